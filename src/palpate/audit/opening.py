"""Open a run folder: a new one, or one to go on with, which must be of the same plan, model and images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palpate.audit import lock
from palpate.audit.changes import listed, plan_changes
from palpate.audit.identity import digest, encode
from palpate.audit.subject import Subject
from palpate.errors import StorageError
from palpate.runs import RunFolder, write_atomically

if TYPE_CHECKING:
    from palpate.audit.plan import Plan

_OURS = re.compile(rf"{re.escape(lock.NAME)}|plan\.toml|\.(plan\.toml|run\.json)\.\d+\.tmp")
"""What a start that was killed at once may leave: nothing is stored before the plan and `run.json` are."""
_MEND = (
    "Records of two plans do not belong in one report. Give a new folder, or add --update: it keeps every record "
    "that still fits and makes the others anew."
)


def open_run(folder: Path, plan: Plan, *, update: bool) -> tuple[RunFolder, dict[str, Any] | None]:
    """The run folder, and what its `run.json` says where a run was started there.

    Raises:
        StorageError: the folder holds other things, a newer palpate wrote it, or its plan is another one and
            `update` is not set; the fields that changed are named.
    """
    run = RunFolder(folder)
    started = run.exists()
    if not started and (strange := sorted(path.name for path in folder.iterdir() if not _OURS.fullmatch(path.name))):
        raise StorageError(
            f"{folder} holds other things than an audit ({', '.join(strange[:3])}). Choose a folder of its own."
        )
    run.sweep()
    if not started:
        return run, None
    before = run.describe()
    if not update and run.plan.is_file():
        changes = plan_changes(run.plan.read_text(encoding="utf-8"), plan)
        if changes:
            raise StorageError(f"{folder} was started with another plan. Changed: {listed(changes)}. {_MEND}")
    return run, before


def require_same_subject(run: RunFolder, before: dict[str, Any], subject: Subject) -> None:
    """Refuse to go on with another model or other images than those that the run was started with.

    Raises:
        StorageError: files or weights of the model, or images, labels or groups are not as they were.
    """
    model, data = before.get("model", {}), before.get("data", {})
    changed = []
    if model.get("sha256") != subject.weights:
        changed.append("the model's weights")
    elif model.get("files_sha256") != subject.model:
        changed.append("the model's code or files")
    if model.get("preprocess_sha256") != digest(encode(subject.preprocess)):
        changed.append("the preprocessing")
    if data.get("fingerprint") != subject.data:
        changed.append("the images, labels or groups")
    if changed:
        raise StorageError(f"{run.path}: {' and '.join(changed)} changed since the run was started. {_MEND}")


def store_plan(run: RunFolder, plan: Plan) -> None:
    """Copy the plan into the run folder, byte for byte.

    Raises:
        StorageError: the disk is full or refuses.
    """
    write_atomically(run.plan, plan.text.encode())
