"""What the columns of an unknown CSV mean: paths of existing files, names of splits, labels, patients."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from palpate.data.listing import locate, visible
from palpate.data.scattered import scattered_share
from palpate.data.sheets import Line

SPLITS = ("test", "testing", "val", "valid", "validation", "dev", "train", "training")
"""Names of splits, the one to audit first."""
FILE_NAMES = ("file", "image", "path", "filename", "file_name", "img")
IMAGE_NAMES = (*FILE_NAMES, "image_id", "imageid", "image_name", "image index", "id_code", "image_path", "images", "id")
"""Names of columns of images; the cells of some are identifiers without an ending."""
LABEL_NAMES = (
    *("label", "class", "diagnosis", "grade", "target", "y", "dx", "finding", "disease", "category", "level"),
    *("labels", "class_name", "classname", "class_id", "pathology", "benign_malignant", "findings", "finding labels"),
)
GROUP_NAMES = (
    *("patient", "patient_id", "patientid", "patient id", "subject", "subject_id", "group", "case", "study", "pid"),
    *("lesion_id", "studyinstanceuid"),
)
SITE_NAMES = ("site", "hospital", "centre", "center", "institution", "clinic")
SCANNER_NAMES = ("scanner", "manufacturer", "vendor", "device", "machine")
NO_LABELS = (
    *("sex", "gender", "male", "female", "age", "patient age", "patient gender", "age_approx", "race", "ethnicity"),
    *("view", "view position", "viewposition", "projection", "frontal/lateral", "ap/pa", "laterality", "side", "eye"),
    *("id", "index", "width", "height", "rows", "columns", "spacing", "fold", "dx_type", "localization", "modality"),
    *("anatom_site_general_challenge", "anatom_site_general", "follow-up #", "usage", "rad_id", "reader", "split"),
    *("smoker", "weight", "size", "year", "date", "time", "quality"),
)
"""Columns that describe the patient or the picture, and are not labels."""
MOST_CLASSES = 50
"""Columns of more distinct values are not classes."""

_LOOKED_AT = 40
_FOUND_ENOUGH = 0.9

Item = TypeVar("Item")


def file_column(
    path: Path, header: Sequence[str], lines: Sequence[Line], *, repeated: bool = False
) -> tuple[str, Path] | None:
    """The column of images and the folder that its paths start from, or None.

    Args:
        path: the CSV; images are in its folder, or in a folder next to it.
        header: names of its columns.
        lines: its lines.
        repeated: whether an image may be in several lines, as in a table with one line per box.
    """
    bases = [path.parent, *visible(place for place in path.parent.iterdir() if place.is_dir())]
    found: list[tuple[float, int, int, str, Path]] = []
    for order, column in enumerate(header):
        cells = [line.cells[column] for line in lines]
        if not repeated and len(set(cells)) < len(cells):
            continue  # boxes and findings take several lines per image: not a table with one label per image
        for base in bases:
            share = found_share(base, column, lines)
            if share >= _FOUND_ENOUGH:
                found.append((-share, rank(column, FILE_NAMES), order, column, base))
                break
    if found or repeated:
        return min(found)[3:] if found else None
    for column in sorted(header, key=lambda column: rank(column, IMAGE_NAMES)):
        names = [line.cells[column] for line in lines]
        if column.lower() not in IMAGE_NAMES or len(set(names)) < len(names):
            continue
        if scattered_share(path.parent, spread(names)) >= _FOUND_ENOUGH:
            return column, path.parent
    return None


def is_blank(cell: str) -> bool:
    """Whether a cell of labels is empty, or has the text that tools write for a missing value."""
    return cell.lower() in ("", "nan", "n/a", "na", "null", "<na>", "#n/a")


def is_no_label(column: str) -> bool:
    """Whether a column's name says that it describes the patient or the picture, or it has none, like an index."""
    lowered = column.lower().strip()
    return not lowered or lowered.startswith("unnamed") or lowered in NO_LABELS


def path_columns(base: Path, header: Sequence[str], lines: Sequence[Line]) -> list[str]:
    """The columns whose filled cells name files under a folder."""
    filled = {column: [line for line in lines if line.cells[column]] for column in header}
    return [
        column for column, own in filled.items() if own and found_share(base, column, own) >= _FOUND_ENOUGH
    ]  # fmt: skip


def found_share(base: Path, column: str, lines: Sequence[Line]) -> float:
    """The share of a few lines whose cell names a file under a folder."""
    few = spread(lines)
    return sum(locate(base, line.cells[column]) is not None for line in few) / len(few)


def is_split(values: Counter[str]) -> bool:
    """Whether the values of a column are names of splits."""
    return len(values) > 1 and all(value.lower() in SPLITS for value in values)


def split_rank(path: Path) -> int:
    """The position in `SPLITS` of a file or folder that is named after a split; the number of splits for others."""
    name = path.stem.lower()
    return SPLITS.index(name) if name in SPLITS else len(SPLITS)


def sorted_splits(values: Counter[str]) -> tuple[tuple[str, int], ...]:
    """Splits and how often they occur, the one to audit first."""
    return tuple(sorted(values.items(), key=lambda item: SPLITS.index(item[0].lower())))


def rank(column: str, names: Sequence[str]) -> int:
    """How well a column's name fits: exact names in their order, then names as its last word; 2 n if none fits."""
    # `patient_age` is not a patient: the last word counts.
    lowered = column.lower()
    if lowered in names:
        return names.index(lowered)
    words = re.split(r"[\s_\-.]+", lowered)
    return len(names) + next((place for place, name in enumerate(names) if words[-1] == name), len(names))


def named(names: Sequence[str], columns: Sequence[str]) -> str | None:
    """The column whose name fits best, or None if none fits."""
    ranked = [(place, order) for order, column in enumerate(columns) if (place := rank(column, names)) < 2 * len(names)]
    return columns[min(ranked)[1]] if ranked else None


def spread(items: Sequence[Item]) -> Sequence[Item]:
    """A few of many items, from the first to the last."""
    return items[:: max(1, len(items) // _LOOKED_AT)]
