"""The artefacts of a plan, carried out after its attacks: shard by shard, each stored when it is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing

from palpate.audit.engines.choice import Start
from palpate.audit.engines.contracts import Job, Outcome
from palpate.audit.plan.artefacts import ArtefactItem
from palpate.audit.run.here import local_engine
from palpate.audit.run.journal import Journal
from palpate.audit.run.progress import Progress
from palpate.audit.subject.room import Room
from palpate.audit.work.artefact_pictures import draw_worst
from palpate.audit.work.artefacts import ArtefactShard, kept_artefacts
from palpate.errors import InputError
from palpate.storage.artefacts import FOUND


class Artefacts:
    """The artefacts of one start of an audit.

    Args:
        journal: the state of the run.
        progress: is called as the work proceeds.
        room: how many images fit into memory.
        ready: the model is ready inside this block.
        failed: called with the name of what could not run, and the reason.
        working_on: called with what runs next, in case it hangs.
        start: gives the plan's engine for other processes; None: all work is done in this one.
    """

    def __init__(
        self,
        journal: Journal,
        progress: Progress,
        room: Room,
        ready: Callable[[], AbstractContextManager[None]],
        failed: Callable[[str, InputError], None],
        working_on: Callable[[ArtefactItem], None],
        start: Start | None,
    ):
        self.journal, self.progress, self.room = journal, progress, room
        self.ready, self.failed, self.working_on = ready, failed, working_on
        self.run, self.start = journal.run, start
        self._gone: set[str] = set()
        self._by_identity = {shard.identity: shard for shard in journal.artefact_shards}

    def missing(self) -> list[ArtefactShard]:
        """The shards that are not stored yet."""
        return [shard for shard in self.journal.artefact_shards if not kept_artefacts(self.run, shard)]

    def go(self) -> None:
        """Carry out what is missing; an artefact that cannot run is a finding, and the others continue.

        Raises:
            EngineLostError: the workers are gone.
            InputError: a worker cannot be used.
        """
        missing = self.missing()
        if not missing:
            return
        self.progress.start(sum(len(shard.rows) for shard in missing))
        # Questions to a service are counted by this process alone.
        away = self.start is not None and self.journal.plan.model.endpoint is None
        with self.ready():
            engine = self.start() if away and self.start else local_engine(self.journal, self.room, self.progress)
            last = time.perf_counter()
            with closing(engine.run(self._jobs(missing))) as outcomes:
                for outcome in outcomes:
                    before, last = last, time.perf_counter()
                    self._commit(outcome, last - before)

    def _jobs(self, missing: Sequence[ArtefactShard]) -> Iterator[Job]:
        for shard in missing:
            if shard.item.identity not in self._gone:
                self.working_on(shard.item)
                yield Job(shard.identity, shard.item.identity, shard.rows, shard.describe(), part="artefact")

    def _commit(self, outcome: Outcome, seconds: float) -> None:
        """Store an outcome; nothing else writes rows of artefacts."""
        journal, job = self.journal, outcome.job
        self.room.batch = min(self.room.batch, outcome.batch or self.room.batch)
        if outcome.failed:
            if job.item not in self._gone:
                self._gone.add(job.item)
                name = next(item.name for item in journal.artefacts if item.identity == job.item)
                self.failed(name, InputError(outcome.failed))
            return
        self.run.commit_artefacts(job.shard, outcome.records)
        journal.stored(self._by_identity[job.shard], outcome.seconds)
        self.progress.advance(job.title, seconds, len(job.rows))

    def unchanged(self) -> Iterator[tuple[str, str]]:
        """Artefacts whose worst changes no stored value of some images: name and sentence."""
        frame = self.run.artefact_frame()
        for item in self.journal.artefacts:
            worst = (frame["item"] == item.identity) & (frame["kind"] == FOUND)
            idle = int((worst & (frame["linf"] == 0) & (frame["step"] != "clean")).sum())
            if idle:
                yield (
                    item.name,
                    f"At severity {item.ladder.severity:g} it changes no stored value of {idle} of "
                    f"{int(worst.sum())} images: they may be too small or too plain for it, so they show nothing about "
                    "the model.",
                )

    def draw(self) -> None:
        """The picture of the worst image of each artefact whose shards are all stored."""
        done = [shard for shard in self.journal.artefact_shards if self.run.has_artefacts(shard.identity)]
        whole = [
            item
            for item in self.journal.artefacts
            if all(shard in done for shard in self.journal.artefact_shards if shard.item is item)
        ]
        if whole:
            with self.ready():
                self.journal.artefact_pictures = draw_worst(self.run, self.journal.subject, whole)
