"""A loaded model on which jobs are carried out: each worker has one, and so has the process of the audit itself."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palpate.attacks.universal.attack import Universal
from palpate.audit.engines.contracts import Job, Outcome
from palpate.audit.engines.images import below, unpack, unseen
from palpate.audit.engines.looking import look_identity
from palpate.audit.plan.artefacts import ArtefactItem
from palpate.audit.plan.items import Item
from palpate.audit.subject.baseline import rows_to_win
from palpate.audit.subject.preflight import AuditFinding
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.audit.work.artefacts import ArtefactShard, artefact_shards, run_artefact_shard
from palpate.audit.work.exports import EXPORTS, export
from palpate.audit.work.gallery import draw
from palpate.audit.work.learning import learned, learning_identity
from palpate.audit.work.outcomes import ImageOutcome
from palpate.audit.work.questions import QUESTIONS
from palpate.audit.work.shards import Shard, questions_of, run_shard, shards_of
from palpate.audit.work.survival import Survival
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.storage.artefacts import ArtefactRow
from palpate.storage.records import Record
from palpate.storage.runs import RunFolder, artefact_bytes, shard_bytes
from palpate.storage.writing import fleeting, storing, write_atomically

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

Say = Callable[[str, float, int], None]
"""Called after each batch with the title of the job, the seconds, and the number of images."""


@contextmanager
def ready(subject: Subject) -> Iterator[None]:
    """The model is ready for jobs inside this block.

    It is entered once for all of them, so that the search copy of the model is made once. The first pass comes
    before any of them, so that the results of a model that draws random numbers do not depend on their order.
    """
    with subject.victim as victim:
        with suppress(InputError, RuntimeError):
            victim.score(subject.images([0]))
        yield


@dataclass
class Bench:
    """Carries out jobs, one after the other. Call it inside `with ready(subject):`.

    Attributes:
        plan: the plan.
        survival: model, images, and the post-processing afterwards.
        items: the attacks by their identity.
        artefacts: the artefacts by their identity.
        room: how many images fit into memory.
        sent: the images as the audit names them, for files that it sends; None: as here.
        own: the table with the digests of this machine's files, if they may be others; they are then compared.
    """

    plan: Plan
    survival: Survival
    items: dict[str, Item]
    artefacts: dict[str, ArtefactItem]
    room: Room
    sent: Table | None = None
    own: Table | None = None
    _learned: dict[str, Item] = field(default_factory=dict)

    def carry_out(self, job: Job, folder: RunFolder, say: Say | None = None) -> Outcome:
        """The outcome of a job; pictures, exports and questions are written into `folder`, and not in the outcome.

        Raises:
            NotAskedError: the budget of a service is spent.
            StorageError: the disk is full or does not accept a file.
        """
        begin, before = time.perf_counter(), Counter(self.survival.refused)
        notes: list[AuditFinding] = []
        records, failed = b"", ""
        try:
            if job.part == "look":
                won = rows_to_win(self.survival.subject, list(self.items.values()), self.room, job.rows)
                records = json.dumps(won).encode()
            elif job.part == "artefact":
                records = self._searched(job, say)
            else:
                records = self._attacked(job, folder, notes, say)
        except InputError as error:
            failed = str(error)
        return Outcome(
            job,
            time.perf_counter() - begin,
            records,
            notes=tuple(dict.fromkeys(notes)),
            refused=Counter(self.survival.refused) - before,
            batch=self.room.batch,
            failed=failed,
        )

    def _attacked(self, job: Job, folder: RunFolder, notes: list[AuditFinding], say: Say | None) -> bytes:
        shard, records = self._shard(job, folder), list[Record]()
        with questions_of(self.plan, folder, shard) as questions:
            for batch in _timed(run_shard(self.plan, self.survival, shard, self.room, questions), job, say):
                for found in batch:
                    records += found.records
                    notes += self._keep(shard, found, folder, shown=found.records[0].row in job.shown)
            if questions is not None and (said := questions.describe()) is not None:
                notes.append(AuditFinding("note", QUESTIONS, said))
        return shard_bytes(records)

    def _searched(self, job: Job, say: Say | None) -> bytes:
        shard = ArtefactShard(self.artefacts[job.item], job.rows, job.shard)
        found = run_artefact_shard(self.plan, self.survival.subject, shard, self.room)
        return artefact_bytes(row for batch in _timed(found, job, say) for row in batch)

    def carry_out_apart(self, job: Job, scratch: Path) -> Outcome:
        """The whole outcome of a job as bytes; nothing is left in the folder `scratch`.

        Raises:
            InputError: this worker cannot do what was asked for.
            StorageError: the disk is full or does not accept a file.
        """
        table = self.survival.subject.table
        self._require_same(job)
        if not job.files and (missing := unseen(table, job.rows, self.own)):
            return Outcome(job, unseen=missing)
        with storing(scratch):
            temporary = tempfile.TemporaryDirectory(dir=scratch, prefix="job-")
        with fleeting(), temporary as name:
            made, given = Path(name) / "made", Path(name) / "given"
            bench = self
            if job.files:
                unpack(job.files, given)
                bench = self._on(replace(self.survival.subject, table=below(self.sent or table, given)))
                if missing := unseen(bench.survival.subject.table, job.rows):
                    raise InputError(
                        f"{missing.removeprefix(str(given))}: a worker cannot see it, and it is named by a path that "
                        "cannot be sent. Name images by paths that start at data.images."
                    )
            outcome = bench.carry_out(job, RunFolder(made))
            found = {path.relative_to(made).as_posix(): path for path in made.rglob("*") if path.is_file()}
            # Messages name files of this folder; those of the audit name files of the run folder.
            notes = tuple(replace(note, text=_without(note.text, made, given)) for note in outcome.notes)
            return replace(
                outcome,
                job=replace(job, files={}, learned=b""),
                files={name: path.read_bytes() for name, path in found.items() if not name.startswith("learned/")},
                notes=notes,
                failed=_without(outcome.failed, made, given),
            )

    def _on(self, subject: Subject) -> Bench:
        """The same bench with images that are read from elsewhere."""
        saver = self.survival.saver
        survival = replace(self.survival, subject=subject, saver=saver and replace(saver, subject=subject))
        return replace(self, survival=survival)

    def _shard(self, job: Job, folder: RunFolder) -> Shard:
        item = self._learned.get(job.item) or self.items[job.item]
        subject = self.survival.subject
        if isinstance(item.attack, Universal) and job.item not in self._learned:
            place = folder.learned(learning_identity(self.plan, subject, item))
            if not place.is_file():
                write_atomically(place, job.learned)
            item = self._learned[job.item] = learned(self.plan, subject, folder, item, self.room)
        return Shard(item, job.rows, job.shard)

    def _require_same(self, job: Job) -> None:
        """Refuse a job whose records would not be those that were asked for: anything that decides them is different.

        What attacks learned is not looked at, because its identity needs all images.
        """
        subject = self.survival.subject
        if job.part == "look":
            known = look_identity(subject, job.rows) == job.shard
        elif job.part == "artefact":
            artefact = self.artefacts.get(job.item)
            known = (
                artefact is not None
                and artefact_shards(self.plan, subject, [artefact], [job.rows])[0].identity == job.shard
            )
        else:
            item = self.items.get(job.item)
            known = item is not None and (
                isinstance(item.attack, Universal)
                or shards_of(self.plan, self.survival, [item], [job.rows])[0].identity == job.shard
            )
        if not known:
            raise InputError(
                f"{job.title}: a worker has other packages or other files than this machine, so its records would "
                "differ. Install the same packages and copy the same files to all machines."
            )

    def _keep(self, shard: Shard, found: ImageOutcome, folder: RunFolder, *, shown: bool) -> Iterator[AuditFinding]:
        """Write the pictures and exports of one image that are asked for."""
        subject, wanted = self.survival.subject, self.plan.export
        if shown:
            draw(folder, subject, shard, found)
        if not subject.table.paths(found.records[0].row):
            if wanted.images == "all":
                text = "Images of an archive have no separate files, so no adversarial image is exported."
                yield AuditFinding("note", EXPORTS, text)
        elif wanted.images == "all" or (wanted.images == "shown" and shown):
            try:
                export(folder, subject, shard, found, wanted.images, identifiers=wanted.identifiers)
            except InputError as error:
                yield AuditFinding("warning", EXPORTS, f"An adversarial image could not be exported: {error}")


def _timed(batches: Iterator[list[Any]], job: Job, say: Say | None) -> Iterator[list[Any]]:
    """The batches of a job; each is reported after it was used."""
    last = time.perf_counter()
    for batch in batches:
        yield batch
        if say is not None:
            # Images of a batch are finished together; one at a time, the first would have all their time.
            before, last = last, time.perf_counter()
            say(job.title, last - before, len({_row(one) for one in batch}))


def _row(one: ImageOutcome | ArtefactRow) -> int:
    return one.records[0].row if isinstance(one, ImageOutcome) else one.row


def _without(text: str, *folders: Path) -> str:
    for folder in folders:
        text = text.replace(f"{folder}/", "")
    return text
