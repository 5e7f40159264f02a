"""The images and annotations that `[data]` of a plan names, as a table."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from palpate.audit.plan.labels import DICOM, labels_of, layout_of
from palpate.data.layouts.registry import LAYOUTS
from palpate.data.places import Places
from palpate.data.remote import is_url
from palpate.data.table import Table, read_table
from palpate.errors import InputError, nearest
from palpate.models.inputs.kinds import Columns

if TYPE_CHECKING:
    from palpate.audit.plan.sections.data import DataSection
    from palpate.audit.plan.sections.tasks import TaskSection

_TEXTS = (".txt", ".xml", ".yaml", ".yml")
_TEXT_FOLDERS = ("labels", "annotations", "imagesets")


class NamesImages(Protocol):
    """The part of a plan that names its images."""

    @property
    def data(self) -> DataSection:
        """Its table `[data]`."""

    @property
    def task(self) -> TaskSection:
        """Its table `[task]`."""

    @property
    def root(self) -> Path:
        """The folder that its paths start from."""

    @property
    def beside(self) -> Columns:
        """The columns that the model is given besides the image."""

    @property
    def seed(self) -> int:
        """Decides which images `data.limit` keeps."""


def load_table(plan: NamesImages) -> Table:
    """The images and annotations of a plan; raises InputError where they cannot be read."""
    table = listed(plan)
    return (table if plan.data.limit is None else table.limit(plan.data.limit, plan.seed)).scanned()


def listed(plan: NamesImages) -> Table:
    """All images that `[data]` names, also those beyond `data.limit`; no image is read yet.

    Raises:
        InputError: a table or an annotation cannot be read, or a file leads elsewhere.
    """
    places = Places(plan.root, plan.data.roots)
    for name in (*LAYOUTS, "images", "boxes", "splits"):
        if (written := getattr(plan.data, name)) is not None and not is_url(written):
            places.require(f"data.{name}", [plan.root / written])
            if name in LAYOUTS and LAYOUTS[name].has_texts:
                places.require(f"data.{name}", [plan.root / written, *_linked_texts(plan.root / written)])
            if not (plan.root / written).exists():
                raise InputError(f"data.{name}: {plan.root / written} does not exist. {_instead(plan.root / written)}")
    labels = labels_of(plan.data, plan.task, plan.root)
    table = read_table(layout_of(plan.data, plan.root, plan.beside), labels).placed(places)
    if plan.data.nan is not None:
        table = table.with_nan(plan.data.nan)
    if plan.data.orientation == "exif":
        table = table.turned()
    return table.by_patient() if plan.data.group == DICOM else table


def _instead(path: Path) -> str:
    """What may be meant by a path that leads nowhere."""
    with suppress(OSError):
        others = [other.name for other in path.parent.iterdir() if other.suffix == path.suffix]
        if (said := nearest(path.name, others)).startswith("Did you mean"):
            return said
    return "Correct the path, which starts from the plan's folder, or put it there."


def _linked_texts(place: Path) -> list[Path]:
    """Links among the descriptions of a set, and among the folders that hold them: messages may quote such texts."""
    found = []
    for folder, folders, files in os.walk(place if place.is_dir() else place.parent):
        names = [name for name in files if name.lower().endswith(_TEXTS)]
        names += [name for name in folders if name.lower() in _TEXT_FOLDERS]
        found += [path for name in names if (path := Path(folder, name)).is_symlink()]
    return found
