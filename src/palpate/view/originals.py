"""The images as stored: the table of the plan, read without the model and without torch."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from palpate.audit.plan.sections.data import DataSection
from palpate.audit.plan.sections.tasks import TaskSection
from palpate.audit.plan.tables import listed
from palpate.data.remote import is_url
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.models.inputs.kinds import Columns
from palpate.storage.runs import RunFolder

_TASK: TypeAdapter[TaskSection] = TypeAdapter(TaskSection)


@dataclass(frozen=True)
class Listed:
    """What a plan says of its images.

    Attributes:
        data: its table `[data]`.
        task: its table `[task]`.
        root: folder that paths start from.
        seed: decides which images `data.limit` keeps.
        beside: columns for the model; this page has none, and so reads none.
    """

    data: DataSection
    task: TaskSection
    root: Path
    seed: int
    beside: Columns = Columns()


@dataclass(frozen=True)
class Originals:
    """The images of a run, or why they are not at hand.

    Attributes:
        table: the images, in the order of the records; None if they were not found.
        why: a sentence, if they were not found.
    """

    table: Table | None
    why: str = ""


def originals(run: RunFolder, names: dict[int, str], root: Path | None) -> Originals:
    """The images that a run's plan names.

    The plan in a run folder is a copy, so its paths are tried from the folder of the run, from the folders above it
    (`palpate audit` writes to `runs/NAME` beside the plan), or from `root` alone.

    Args:
        run: the run folder.
        names: row -> name of the image in the records; the table must agree with it.
        root: folder that the plan's paths start from.
    """
    home = run.path.resolve()
    for place in [root] if root is not None else [home, *list(home.parents)[:3]]:
        try:
            table = _table(run.plan, place)
        except _RemoteError as error:
            return Originals(None, str(error))
        # A plan of another version, or one that was edited, is no reason to show nothing.
        except (InputError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
        if all(row < len(table) and table[row].name == name for row, name in names.items()):
            return Originals(table)
    looked = "there" if root is not None else "where the plan names them"
    return Originals(None, f"The images as stored were not found {looked}. Give the folder of the plan: --root FOLDER.")


class _RemoteError(Exception):
    """The images are not on this machine."""


def _table(plan: Path, place: Path) -> Table:
    document = _tuples(tomllib.loads(plan.read_text(encoding="utf-8-sig")))
    data, task = DataSection.model_validate(document["data"]), _TASK.validate_python(document["task"])
    if data.images is not None and is_url(data.images):
        raise _RemoteError("The images as stored are behind a URL, and this page uses no network.")
    table = listed(Listed(data, task, place / str(document.get("paths_from", "")), int(document.get("seed", 0))))
    return table if data.limit is None else table.limit(data.limit, int(document.get("seed", 0)))


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value
