"""The attacks of a plan, shard by shard: jobs for an engine, and the one place where their outcomes are stored."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from typing import Literal

from palpate.attacks.universal.attack import Universal
from palpate.audit.engines.choice import Start
from palpate.audit.engines.contracts import Engine, Job, Outcome, Pause
from palpate.audit.engines.looking import Seen, looks
from palpate.audit.plan.items import Item
from palpate.audit.run.here import local_engine
from palpate.audit.run.journal import Journal
from palpate.audit.run.learned import Learning
from palpate.audit.run.progress import Progress
from palpate.audit.subject.baseline import attackable
from palpate.audit.subject.room import Room
from palpate.audit.work.gallery import pick
from palpate.audit.work.shards import Shard
from palpate.errors import InputError
from palpate.storage.records import Record
from palpate.units import counted

Note = Callable[[Literal["failure", "warning", "note"], str, str], None]


class Attacks:
    """The attacks of one start of an audit.

    Args:
        journal: the state of the run.
        progress: is called as the work proceeds.
        room: how many images fit into memory.
        ready: the model is ready inside this block.
        failed: called with the name of what could not run, and the reason.
        working_on: called with what runs next, in case it hangs.
        note: adds a finding.
        start: gives the plan's engine for other processes; None: all work is done in this one.

    Attributes:
        refused: why images could not be saved, and how many.
    """

    def __init__(
        self,
        journal: Journal,
        progress: Progress,
        room: Room,
        ready: Callable[[], AbstractContextManager[None]],
        failed: Callable[[str, InputError], None],
        working_on: Callable[[Item], None],
        note: Note,
        start: Start | None,
    ):
        self.journal, self.progress, self.room = journal, progress, room
        self.ready, self.failed, self.working_on, self.note, self.start = ready, failed, working_on, note, start
        self.run, self.plan = journal.run, journal.plan
        self.learning = Learning(journal, room, progress.message)
        self.refused: Counter[str] = Counter()
        self._picks: dict[str, frozenset[int]] = {}
        self._seen = Seen()
        self._gone: set[str] = set()
        self._by_identity = {shard.identity: shard for shard in journal.shards}
        self._spent: dict[str, float] = {}

    def missing(self, again: set[str]) -> list[Shard]:
        """The shards that are not stored yet, and those whose files must be made again."""
        return [shard for shard in self.journal.shards if not self._kept(shard) or shard.identity in again]

    def _kept(self, shard: Shard) -> bool:
        """Whether the shard is stored; its records get the current name of the attack."""
        if not self.run.has(shard.identity):
            return False
        self.run.forget_questions(shard.identity)
        # The end of a file says it, and is missing from one that was cut off; the records are read when all are there.
        if self.run.attack_of(shard.identity) == shard.item.name:
            return True
        stored = self.run.read_shard(shard.identity)
        if stored["attack"].unique().to_pylist() != [shard.item.name]:
            records = [replace(Record(**row), attack=shard.item.name) for row in stored.to_pylist()]
            self.run.write_shard(shard.identity, records)
        return True

    def go(self, missing: Sequence[Shard]) -> None:
        """Carry out what is missing; an attack that cannot run is a finding, and the others continue.

        Raises:
            EngineLostError: the workers are gone.
            InputError: an image is not what the model needs, or a worker cannot be used.
        """
        if not missing:
            return
        subject = self.journal.subject
        if not any(self.run.has(shard.identity) for shard in self.journal.shards):
            images, attacks = counted(len(subject.table), "image"), counted(len(self.journal.items), "attack")
            total = sum(len(shard.rows) for shard in missing)
            self.progress.message(f"{images}, {attacks}: {total} to do, each one image under one attack.")
        away = [shard for shard in missing if self.start is not None and not self._asks(shard)]
        if not away:
            rows = attackable(subject, self.journal.items, self.room)
            self._picks = {identity: pick(subject, open_rows) for identity, open_rows in rows.items()}
        self.journal.save()
        self.progress.start(sum(len(shard.rows) for shard in missing))
        with self.ready():
            for engine, shards in self._engines(missing, away):
                self._carry_out(engine, shards, looked=bool(self._picks))

    def _engines(self, missing: Sequence[Shard], away: list[Shard]) -> Iterator[tuple[Engine, list[Shard]]]:
        """The shards for other processes with their engine, then those for this one."""
        here = [shard for shard in missing if self.start is None or self._asks(shard)]
        if self.start is not None and away:
            yield self.start(), away
        if here:
            yield local_engine(self.journal, self.room, self.progress), here

    def _asks(self, shard: Shard) -> bool:
        """Whether questions are counted across interruptions, which only the run folder's own process does."""
        return shard.item.query_budget is not None or self.plan.model.endpoint is not None

    def _carry_out(self, engine: Engine, shards: Sequence[Shard], *, looked: bool) -> None:
        last = time.perf_counter()
        with closing(engine.run(self._jobs(shards, looked=looked))) as outcomes:
            for outcome in outcomes:
                if outcome.job.part == "look":
                    self._seen.add(outcome)
                    continue
                self._commit(outcome)
                # Workers compute at the same time: the time that passed says how fast they are together.
                before, last = last, time.perf_counter()
                if not outcome.failed:
                    self.progress.advance(outcome.job.title, last - before, len(outcome.job.rows))

    def _jobs(self, shards: Sequence[Shard], *, looked: bool) -> Iterator[Job | Pause]:
        """The jobs of some shards, after a look at all images unless this process has looked at them.

        Those of an attack that could not run are left out.
        """
        if not looked:
            yield from looks(self.journal.subject)
            yield Pause()
            names = [item.identity for item in self.journal.items]
            self._picks = {name: pick(self.journal.subject, self._seen.rows(name)) for name in names}
        for shard in shards:
            item = shard.item
            if item.name in self._gone:
                continue
            self.working_on(item)
            begin = time.perf_counter()
            try:
                learned = self.learning.file(item) if isinstance(item.attack, Universal) else b""
            except InputError as error:
                self._fail(item.name, error)
                continue
            self._spent[shard.identity] = time.perf_counter() - begin
            shown = self._picks[item.identity].intersection(shard.rows)
            yield Job(shard.identity, item.identity, shard.rows, shard.describe(), shown, learned=learned)

    def _commit(self, outcome: Outcome) -> None:
        """Store an outcome: its files, then its records. Nothing else writes records of attacks."""
        journal, job = self.journal, outcome.job
        self.refused.update(outcome.refused)
        self.room.batch = min(self.room.batch, outcome.batch or self.room.batch)
        if outcome.failed:
            name = next(item.name for item in journal.items if item.identity == job.item)
            if name not in self._gone:
                self._fail(name, InputError(outcome.failed))
            return
        self.run.commit(job.shard, outcome.records, outcome.files)
        for found in outcome.notes:
            self.note(found.level, found.subject, found.text)
        self.run.forget_questions(job.shard)
        journal.stored(self._by_identity[job.shard], self._spent[job.shard] + outcome.seconds)

    def _fail(self, name: str, error: InputError) -> None:
        self._gone.add(name)
        self.failed(name, error)
