"""The adversarial images that a plan exports: files in the run folder, and what happens to those of an earlier plan."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from typing import Any

from palpate.audit.plan.sections.survival import ExportSection
from palpate.audit.subject.preflight import AuditFinding
from palpate.audit.subject.subject import Subject
from palpate.audit.work.outcomes import ImageOutcome
from palpate.audit.work.saving import note_of, write_altered
from palpate.audit.work.shards import Shard
from palpate.errors import StorageError
from palpate.storage.runs import RunFolder

FOLDER = "exports"
EXPORTS = "exports"
"""The subject of what is noticed about them."""
_MORE = ("none", "shown", "all")
_OURS = re.compile(r"([0-9a-f]{16})-(\d+)-(\d+)(\..+)?")


def export(
    run: RunFolder, subject: Subject, shard: Shard, found: ImageOutcome, which: str, *, identifiers: bool
) -> None:
    """Write one image's adversarial files into the run folder: at all budgets, or only at the one that is shown.

    Raises:
        InputError: the format cannot hold the image.
        StorageError: the disk is full or does not accept the file.
    """
    for place, (record, image) in enumerate(zip(found.records, found.images, strict=True)):
        if not record.eligible or (which == "shown" and place != found.best):
            continue
        note = note_of(subject, shard.item, record.row, record.eps, identifiers=identifiers)
        write_altered(
            subject, record.row, image, run.path / FOLDER / f"{shard.identity[:16]}-{record.row}-{place}", note
        )


def settle(run: RunFolder, was: dict[str, Any] | None, section: ExportSection) -> list[AuditFinding]:
    """What happens to the files if a run continues with another `[export]`: images of finished shards are not kept.

    Files with identifiers are removed if the plan does not allow identifiers any more; all files are removed if it
    asks for none.

    Args:
        run: its folder.
        was: the section that was in force when the files were written; None if there was none.
        section: the plan's.

    Raises:
        StorageError: files cannot be removed.
    """
    now = section.model_dump()
    if was is None or was == now:
        return []
    if section.images == "none" or (was["identifiers"] and not section.identifiers):
        try:
            if (run.path / FOLDER).exists():
                shutil.rmtree(run.path / FOLDER)
        except OSError as error:
            raise StorageError(
                f"{run.path / FOLDER} cannot be removed: {error.strerror}. Remove it yourself."
            ) from error
    fewer = _MORE.index(section.images) <= _MORE.index(was["images"])
    if section.images == "none" or (fewer and was["identifiers"] == section.identifiers):
        return []
    text = (
        "The plan's [export] changed after images were attacked. Images of finished shards are not kept: their files "
        "are missing, or are those of the earlier plan. Choose a new run folder to get all of them."
    )
    return [AuditFinding("warning", "exports", text)]


def exported(run: RunFolder, shards: Sequence[Shard]) -> list[dict[str, object]]:
    """The exports that exist and belong to the plan, in its order; those of an earlier plan are removed."""
    known = {shard.identity[:16]: (number, shard) for number, shard in enumerate(shards)}
    entries = []
    folder = run.path / FOLDER
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = _OURS.fullmatch(path.name)
        if name is None:
            continue
        if name[1] not in known:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            continue
        number, shard = known[name[1]]
        row, place = int(name[2]), int(name[3])
        entry = {"attack": shard.item.name, "eps": shard.item.eps[place], "row": row, "file": f"{FOLDER}/{path.name}"}
        entries.append(((number, row, place), entry))
    return [entry for _, entry in sorted(entries, key=lambda one: one[0])]
