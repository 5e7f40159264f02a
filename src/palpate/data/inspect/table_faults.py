"""Why a table of text is not a table of labelled images, for the user who has one: file, line, column and fix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from palpate.data.cases import listed
from palpate.data.formats.registry import SUFFIXES
from palpate.data.inspect.columns import IMAGE_NAMES, LABEL_NAMES, MOST_CLASSES, file_column, is_blank, rank
from palpate.data.inspect.seen import OtherKindError, UnreadError
from palpate.data.listing import locate, near, visible
from palpate.data.sheets import Line

_HALF = 0.5


def why_no_images(path: Path, header: Sequence[str], lines: Sequence[Line]) -> UnreadError:
    """Why no column of a table names images: an `OtherKindError` if none looks like images.

    Args:
        path: the table.
        header: names of its columns.
        lines: its lines.
    """
    if (headless := without_header(path, header)) is not None:
        return headless
    if (column := _meant(path, header, lines)) is None:
        return OtherKindError(
            f"{path}: none of its columns ({listed(header, 6)}) names image files. "
            "Put a column of paths there, relative to the table."
        )
    doubled = [name for name, count in Counter(line.cells[column] for line in lines).items() if count > 1 and name]
    if doubled and _base(path, column, lines)[1]:
        first = [line for line in lines if line.cells[column] == doubled[0]]
        return UnreadError(
            f"{path} lists {doubled[0]} twice, in lines {first[0].number} and {first[1].number}"
            f"{f', and {len(doubled) - 1} other images too' if len(doubled) > 1 else ''}. Keep one line per image."
        )
    return _missing(path, column, lines)


def without_header(path: Path, header: Sequence[str]) -> UnreadError | None:
    """The error for a table whose first line is not a header, or None."""
    data = [cell for cell in header if is_image_name(cell)]
    return (
        UnreadError(
            f"{path}, line 1: '{data[0]}' looks like an image and not like the name of a column. "
            "Put a line above it that names the columns, such as file,label."
        )
        if data
        else None
    )


def _meant(path: Path, header: Sequence[str], lines: Sequence[Line]) -> str | None:
    """The column that should name images: by its cells, or by its name."""
    shares = {column: sum(is_image_name(line.cells[column]) for line in lines) / len(lines) for column in header}
    alike = [column for column in header if shares[column] >= _HALF]
    if alike:
        return min(alike, key=lambda column: rank(column, IMAGE_NAMES))
    if named := [column for column in header if column.lower() in IMAGE_NAMES]:
        return named[0]
    found = file_column(path, header, lines, repeated=True)
    # Cells such as 0 and 1 may fit images 0.png and 1.png by chance.
    return found[0] if found and len({line.cells[found[0]] for line in lines}) > _HALF * len(lines) else None


def _missing(path: Path, column: str, lines: Sequence[Line]) -> UnreadError:
    images, found = _base(path, column, lines)
    missing = [line for line in lines if locate(images, line.cells[column]) is None]
    if not missing:
        return OtherKindError(f"{path}: column '{column}' does not name one image per line.")
    if not found and not any(is_image_name(line.cells[column]) for line in lines):
        return OtherKindError(
            f"{path}: column '{column}' names no image in {path.parent} or in a folder in it: "
            f"'{missing[0].cells[column]}' in line {missing[0].number} does not exist."
        )
    first = missing[0]
    return UnreadError(
        f"{path}: {len(missing)} of {len(lines)} images in column '{column}' do not exist under {images}: first "
        f"'{first.cells[column]}' in line {first.number}. {hint(images, first.cells[column])}"
    )


def _base(path: Path, column: str, lines: Sequence[Line]) -> tuple[Path, int]:
    """The folder with most images of a column, and their number."""
    places = [path.parent, *visible(place for place in path.parent.iterdir() if place.is_dir())]
    counted = [(sum(locate(place, line.cells[column]) is not None for line in lines), place) for place in places]
    most = max(count for count, _ in counted)
    return next(place for count, place in counted if count == most), most


def hint(images: Path, cell: str) -> str:
    """The probable mistake in a path that does not exist, and the fix."""
    if not cell:
        return "The cell is empty. Write the image's path there, or remove the line."
    if close := near(images, cell):
        return close.strip()
    parts = cell.replace("\\", "/").split("/")
    for count in range(1, len(parts)):
        if locate(images, name := "/".join(parts[count:])) is not None:
            before = "/".join(parts[:count])
            return f"There is '{name}' in {images}. Remove '{before}/' before it in the column."
    return "Put the images there, or correct the paths in the column."


def is_image_name(cell: str) -> bool:
    """Whether a cell ends like the name of an image."""
    return cell.lower().endswith(SUFFIXES)


def why_no_labels(path: Path, file: str, columns: Mapping[str, Counter[str]], lines: Sequence[Line]) -> UnreadError:
    """Why a table that names images has no column of classes or findings.

    Args:
        path: the table.
        file: its column of images.
        columns: the columns that could hold labels.
        lines: its lines.
    """
    exact = [column for column in columns if rank(column, LABEL_NAMES) < len(LABEL_NAMES)]
    for column in exact:
        values = columns[column]
        if empty := [line for line in lines if is_blank(line.cells[column])]:
            held = f"holds '{empty[0].cells[column]}'" if empty[0].cells[column] else "is empty"
            return UnreadError(
                f"{path}, line {empty[0].number}: column '{column}' {held} ({len(empty)} of {len(lines)} lines). "
                "Fill it in, or remove the line."
            )
        if len(values) == 1:
            return UnreadError(
                f"{path}: column '{column}' holds '{next(iter(values))}' in all {len(lines)} lines. "
                "An audit of classes needs images of at least two classes."
            )
        if len(values) > MOST_CLASSES:
            return UnreadError(
                f"{path}: column '{column}' holds {len(values)} different texts, more than the {MOST_CLASSES} classes "
                "that palpate reads as labels. Put a column label there, with the class of each image."
            )
    looked = f" Checked: {listed(columns, 6)}." if columns else ""
    return OtherKindError(
        f"{path} names images in column '{file}', and no other column holds labels.{looked} "
        "Put a column label there, with the class of each image."
    )
