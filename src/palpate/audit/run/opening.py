"""Open a run folder: a new one, or one to continue, which must have the same plan, model and images."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palpate.audit.plan.changes import listed, plan_changes
from palpate.audit.plan.copies import run_of
from palpate.audit.plan.identity import digest, encode
from palpate.audit.run import lock
from palpate.audit.run.before import read_before
from palpate.audit.subject.subject import Subject
from palpate.errors import StorageError
from palpate.storage.leftovers import FOLDERS
from palpate.storage.runs import RunFolder
from palpate.storage.writing import MARK, write_atomically

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

_OURS = re.compile(rf"{re.escape(lock.NAME)}|plan\.toml|\.(plan\.toml|run\.json)\.{MARK}\.tmp")
"""What a start may leave that was killed at once: the plan and `run.json` are stored before anything else."""
_FIX = (
    "Records of two plans do not belong in one report. Choose a new folder, or add --update: it keeps every record "
    "that still fits and computes the others again."
)


def require_own(folder: Path, plan: Plan) -> RunFolder:
    """The run folder, if it holds a run of palpate or a run may be started there. Nothing is written or removed.

    Call it also before the folder is locked: a lock is a file, and the folder may belong to another program.

    Raises:
        StorageError: the folder holds other files, or links in place of the folders that palpate writes into.
    """
    run = RunFolder(folder)
    for name in FOLDERS:
        if (folder / name).is_symlink():
            raise StorageError(
                f"{folder / name} is a link. palpate writes and removes files there, so it does not follow links. "
                "Remove the link, or make the whole run folder a link."
            )
    if run.exists() or not folder.is_dir():
        return run
    if strange := sorted(path.name for path in folder.iterdir() if not _OURS.fullmatch(path.name)):
        raise StorageError(
            f"{folder} holds other files than an audit ({', '.join(strange[:3])}). Choose a separate folder."
        )
    # A mark in front of UTF-8 is not a difference.
    if run.plan.is_file() and run.plan.read_bytes().removeprefix(codecs.BOM_UTF8) != plan.text.encode():
        raise StorageError(
            f"{run.plan} is another plan than this one, and no run was started with it. Choose another run folder, or "
            "remove this file."
        )
    return run


def open_run(folder: Path, plan: Plan, *, update: bool) -> tuple[RunFolder, dict[str, Any] | None]:
    """The run folder, and the contents of its `run.json`; None instead of them if no run was started there.

    Raises:
        StorageError: the folder holds other files, a newer palpate wrote it, or its plan is another one and
            `update` is not set; the changed fields are named.
    """
    run = require_own(folder, plan)
    if not run.exists():
        run.sweep()
        return run, None
    # Read before anything is removed: another program may have a `run.json` too.
    before = read_before(run)
    run.sweep()
    if not update and run.plan.is_file():
        changes = plan_changes(run.plan.read_bytes().decode("utf-8", "replace"), plan)
        if changes:
            raise StorageError(f"{folder} was started with another plan. Changed: {listed(changes)}. {_FIX}")
    return run, before


def repeated(run: RunFolder, plan: Plan) -> dict[str, Any] | None:
    """`run.json` of the run that a plan is the copy of, if it is carried out in another folder.

    The repetition uses the settings of that run, so that it gives the same records.
    """
    original = run_of(plan.origin)
    if original is None or original.path.resolve() == run.path.resolve():
        return None
    return read_before(original)


def require_same_shards(run: RunFolder, before: dict[str, Any], plan: Plan, shards: dict[str, list[str]]) -> None:
    """Refuse to continue if the copy of the plan in the run folder was edited and computes something else now.

    Args:
        run: the run folder.
        before: its `run.json`.
        plan: the plan.
        shards: identities of shards by the part of `run.json` that lists them.

    Raises:
        StorageError: a list differs.
    """
    if plan.origin.resolve() != run.plan.resolve():
        return  # two files were compared field by field
    stored = {part: (before.get(part) or {}).get("shards", []) for part in shards if part}
    if {**stored, "": before.get("shards", [])} != shards:
        raise StorageError(f"{run.plan} was changed since the run was started. {_FIX}")


def require_same_subject(run: RunFolder, before: dict[str, Any], subject: Subject) -> None:
    """Refuse to continue with another model or other images than those of the first start.

    Raises:
        StorageError: files or weights of the model, or images, labels or groups have changed.
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
        raise StorageError(f"{run.path}: {' and '.join(changed)} changed since the run was started. {_FIX}")


def store_plan(run: RunFolder, plan: Plan) -> None:
    """Copy the plan into the run folder, byte for byte.

    Raises:
        StorageError: the disk is full or does not accept the file.
    """
    write_atomically(run.plan, plan.text.encode())
