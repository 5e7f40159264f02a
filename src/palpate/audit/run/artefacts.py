"""The artefacts of a plan, carried out after its attacks: shard by shard, each stored when it is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from palpate.audit.plan.artefacts import ArtefactItem
from palpate.audit.run.journal import Journal
from palpate.audit.run.progress import Finer, Progress
from palpate.audit.subject.room import Room
from palpate.audit.work.artefact_pictures import draw_worst
from palpate.audit.work.artefacts import ArtefactShard, kept_artefacts, run_artefact_shard
from palpate.errors import InputError
from palpate.storage.artefacts import FOUND, ArtefactRow


class Artefacts:
    """The artefacts of one start of an audit.

    Args:
        journal: the state of the run.
        progress: is called as the work proceeds.
        room: how many images fit into memory.
        ready: the model is ready inside this block.
        failed: is told which artefact could not run, and why.
        working_on: is told which artefact runs, in case it hangs.
    """

    def __init__(
        self,
        journal: Journal,
        progress: Progress,
        room: Room,
        ready: Callable[[], AbstractContextManager[None]],
        failed: Callable[[str, InputError], None],
        working_on: Callable[[ArtefactItem], None],
    ):
        self.journal, self.progress, self.room = journal, progress, room
        self.ready, self.failed, self.working_on = ready, failed, working_on
        self.run = journal.run

    def missing(self) -> list[ArtefactShard]:
        """The shards that are not stored yet."""
        return [shard for shard in self.journal.artefact_shards if not kept_artefacts(self.run, shard)]

    def go(self) -> None:
        """Carry out what is missing; an artefact that cannot run is a finding, and the others continue."""
        missing, gone = self.missing(), set[str]()
        if not missing:
            return
        self.progress.start(sum(len(shard.rows) for shard in missing))
        with self.ready():
            for shard in missing:
                if shard.item.name not in gone and not self._run(shard):
                    gone.add(shard.item.name)

    def _run(self, shard: ArtefactShard) -> bool:
        journal, begin = self.journal, time.perf_counter()
        self.working_on(shard.item)
        rows: list[ArtefactRow] = []
        try:
            last = begin
            for found in run_artefact_shard(journal.plan, journal.subject, shard, self.room):
                rows += found
                if isinstance(self.progress, Finer):
                    before, last = last, time.perf_counter()
                    self.progress.within(shard.describe(), last - before, len({row.row for row in found}))
        except InputError as error:
            self.failed(shard.item.name, error)
            return False
        seconds = time.perf_counter() - begin
        self.run.write_artefacts(shard.identity, rows)
        journal.stored(shard, seconds)
        self.progress.advance(shard.describe(), seconds, len(shard.rows))
        return True

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
