"""The copy of a plan in a run folder: which run it is of, and where its images and model are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from palpate.data.remote import is_url
from palpate.errors import PlanError, StorageError
from palpate.storage.runs import RunFolder

KEY = "root"
"""Key of `run.json`."""
_RUNS = "runs"
"""Without `--out`, runs are in a folder of this name, next to the plan."""


def run_of(plan: Path) -> RunFolder | None:
    """The run whose copy of its plan this file is; None for any other plan."""
    run = RunFolder(plan.parent)
    if plan.name != run.plan.name or not run.exists():
        return None
    try:
        run.describe()
    except StorageError:
        # Other programs write a `run.json` too. A damaged one of palpate has records beside it.
        return run if (run.path / "records").is_dir() else None
    return run


def noted_root(root: Path, run: Path) -> str | None:
    """How `run.json` says where the paths of the plan start: `../..`, or None.

    It is kept only if the run folder is inside that folder. Any other way would name folders of this machine.
    """
    try:
        way = Path(os.path.relpath(root.resolve(), run.resolve()))
    except ValueError:  # another drive
        return None
    return way.as_posix() if set(way.parts) <= {".."} else None


def root_of(copy: Path, paths_from: str) -> Path:
    """The folder that the paths of a copied plan start from.

    Args:
        copy: the plan in the run folder.
        paths_from: the field of that name.

    Raises:
        PlanError: the run folder does not say it.
        StorageError: `run.json` cannot be read.
    """
    run = copy.parent
    if Path(paths_from).is_absolute():
        return Path(paths_from)
    noted = RunFolder(run).describe().get(KEY)
    if isinstance(noted, str) and set(Path(noted).parts) <= {".."}:
        return (run.resolve() / noted).resolve()
    if run.resolve().parent.name == _RUNS:  # a run of an earlier palpate
        return run.resolve().parent.parent / paths_from
    raise PlanError(
        f"{copy} is the copy of a plan, and its run folder is not below the folder of the images and the model. Name "
        "that folder, which the paths of the plan start from: --root FOLDER."
    )


def require_found(copy: Path, root: Path, data: Any) -> None:
    """Refuse a copy whose images are not below the folder that it names.

    Raises:
        PlanError: the table or folder of the images does not exist.
    """
    named = None if data.layout is None else getattr(data, data.layout)
    if named is not None and not is_url(named) and not (root / named).exists():
        raise PlanError(
            f"{copy}: data.{data.layout}: {root / named} does not exist. The run folder was moved, or the images were. "
            "Name the folder that the paths of the plan start from: --root FOLDER."
        )
