"""`[model.inputs]` of a first plan: columns of the table that have the names of what the model is called with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from palpate.audit.plan.toml_words import CHECK, FILL_IN, numbered, plain, text_of
from palpate.audit.starter.columns import IN_A_TABLE, cells_of
from palpate.data.cases import listed
from palpate.data.inspect.folder import FoundClasses
from palpate.data.inspect.found_annotations import FoundAnnotations
from palpate.data.inspect.table_faults import is_image_name
from palpate.data.listing import locate
from palpate.data.sheets import Sheet
from palpate.models.inputs.kinds import is_number
from palpate.models.inputs.stated import stated_inputs
from palpate.models.source import ModelSource

_TELLING = ("age", "sex", "gender", "bmi", "view", "view2", "lateral", "age_approx")
"""Columns that models are given too, for a plan whose model does not say what it is called with."""


def input_lines(source: ModelSource | None, folder: Path, layout: FoundClasses | FoundAnnotations) -> list[str]:
    """`[model.inputs]` of a model by name, or a comment that says how; nothing if the model is given images alone.

    Args:
        source: the model; None if it is not known.
        folder: what its paths start from.
        layout: the images.
    """
    if source is None or not (source.factory or source.torchscript or source.exported):
        return []
    stated, sheet = stated_inputs(source, folder), cells_of(layout)
    if stated is None:
        known = [column for column in (sheet.header if sheet else ()) if column.lower() in _TELLING]
        said = "# [model.inputs]  # if its forward takes more than the image: keyword = column"
        return ["", said, *(f"# {_key(column)} = {text_of(column)}" for column in known[:1])] if known else []
    if sheet is None or layout.images is None:
        named = listed([f"{name} = {text_of(name)}" for name in stated.required])
        # Most layouts without a sheet have no columns, and a plan of them can name none.
        return ["", f"[model.inputs]  # {FILL_IN}: {named}; {IN_A_TABLE}"] if named else []
    own = {name: _input(name, sheet, layout.images) for name in (*stated.required, *stated.optional)}
    lines = [own[name] for name in stated.required]
    lines += [f"# {line}" for name in stated.optional if FILL_IN not in (line := own[name])]
    return ["", "[model.inputs]" if stated.required else "# [model.inputs]", *lines] if lines else []


def _input(name: str, sheet: Sheet, images: Path) -> str:
    """The line of one keyword."""
    column = next((one for one in sheet.header if one.lower() == name.lower()), None)
    if column is None:
        there = plain(listed(sheet.header, 8))
        return f"{name} = {text_of(name)}  # {FILL_IN}: which column? The model needs it, and the table has {there}"
    cells = [line.cells[column] for line in sheet.lines]
    value, asked = _value(column, cells, images)
    if "" in cells and not asked:
        asked = f"some cells of this column are empty, and the model needs {name} for each image"
    return f"{name} = {value}  # {f'{FILL_IN}: {asked}' if asked else f'{CHECK}: given as it is in the table'}"


def _value(column: str, cells: Sequence[str], images: Path) -> tuple[str, str]:
    """How a plan reads a column, and the question to the user, if there is one."""
    filled = [cell for cell in cells if cell]
    if all(map(is_number, filled)):
        return text_of(column), ""
    if filled and all(is_image_name(cell) and locate(images, cell) for cell in filled):
        return f"{{image = {text_of(column)}}}", ""
    if written := numbered(column, set(filled)):
        return written, "the number of each word in the training"
    return text_of(column), "this column holds texts, and numbers are read"


def _key(column: str) -> str:
    return column.lower() if column.isidentifier() else "age"
