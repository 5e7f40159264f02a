"""Every layout that images and annotations come in, by the name of its field in a plan.

A new layout is a module of this folder and a row here: the field of the plan, its help text, the checks of the plan and
`read_table` follow from its class.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from palpate.data.layouts.archive import MedMnist
from palpate.data.layouts.class_folders import ClassFolders
from palpate.data.layouts.coco import Coco
from palpate.data.layouts.csv_table import CsvTable
from palpate.data.layouts.datalist import Datalist
from palpate.data.layouts.layout import Layout
from palpate.data.layouts.mask_folders import MaskFolders
from palpate.data.layouts.nnunet import NnUNet
from palpate.data.layouts.voc import PascalVoc
from palpate.data.layouts.yolo import Yolo
from palpate.data.listing import About

__all__ = ["LAYOUTS", "fields_of", "has_columns", "help_of", "layout_named"]

LAYOUTS: dict[str, type[Layout]] = {
    "table": CsvTable,
    "folders": ClassFolders,
    "medmnist": MedMnist,
    "nnunet": NnUNet,
    "datalist": Datalist,
    "coco": Coco,
    "voc": PascalVoc,
    "masks": MaskFolders,
    "yolo": Yolo,
}
"""Field of `[data]` -> layout."""


def layout_named(name: str, path: Path, values: Mapping[str, object]) -> Layout:
    """The layout of a name, with those of some values that it has a field for and that are given (not None)."""
    kind = LAYOUTS[name]
    known = {field.name for field in fields(kind)}
    return kind(path, **{key: value for key, value in values.items() if key in known and value is not None})


def fields_of(name: str) -> frozenset[str]:
    """The fields of `[data]` that a layout reads, besides its own name: those of the layout and those of its labels."""
    kind = LAYOUTS[name]
    own = {field.name for field in fields(kind)} - {"path"}
    about = set(About.__slots__) - {"cells", "views"} if has_columns(name) else set()
    return frozenset(own - {"about"} | about | {field for used in kind.reads.values() for field in used})


def has_columns(name: str) -> bool:
    """Whether the images of a layout have columns, or keys, with more about each of them."""
    return "about" in {field.name for field in fields(LAYOUTS[name])}


def help_of(kind: type[Layout]) -> str:
    """The help text of a layout's field in a plan: the first paragraph of its docstring, in one line."""
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
