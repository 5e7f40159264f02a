"""Tables on the disk: a CSV with one line an image, or one folder a class. No image is read here."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from palpate.data.cases import Case, checked_classes, class_number, label_of, listed, unnamed_classes
from palpate.data.formats import IMAGE_SUFFIXES, SUFFIXES, is_series
from palpate.errors import InputError, nearest

Cases = tuple[tuple[Case, ...], tuple[str, ...]]
"""The cases, and the classes in the model's order."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a CSV: its number in the file, from 1, and its stripped cells by column."""

    number: int
    cells: dict[str, str]


def read_csv(table: Path) -> tuple[list[str], list[Line]]:
    """Header and lines of a CSV; the delimiter (comma, semicolon, tab) is the header's most frequent one.

    Raises:
        InputError: the file is missing, empty, not UTF-8, or a line does not fit the header.
    """
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{table} does not exist. Correct the path of the table.") from error
    except OSError as error:
        raise InputError(f"{table} cannot be read: {error.strerror}. Give a CSV file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{table} is not UTF-8 text (byte {error.start}). Save it as CSV in UTF-8.") from error
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{table}, line {reader.line_num}: {error}. Save the table again as CSV.") from error
    if len(rows) < 2:
        raise InputError(f"{table} has no line below its header. Give a table with one line an image.")
    header = [cell.strip() for cell in rows[0][1]]
    if doubled := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(f"{table}: the column '{doubled[0]}' stands there twice. Rename one of them.")
    return header, [_line(table, header, number, row) for number, row in rows[1:]]


def _line(table: Path, header: list[str], number: int, row: list[str]) -> Line:
    if len(row) != len(header):
        raise InputError(
            f"{table}, line {number}: {len(row)} cells under {len(header)} columns. Quote cells that hold a comma."
        )
    return Line(number, dict(zip(header, (cell.strip() for cell in row), strict=True)))


def csv_cases(
    table: Path,
    images: Path,
    file: str,
    label: str,
    group: str | None,
    where: Mapping[str, object],
    classes: Sequence[str] | None,
) -> Cases:
    """The cases of a CSV; see `palpate.data.table.Table.from_csv`."""
    header, lines = read_csv(table)
    require_columns(table, header, (file, label, *([group] if group else []), *where))
    names = class_names(table, label, lines, classes)
    cases = []
    for line, case in listed_lines(table, images, lines, file, group, where):
        number = label_of(line.cells[label], names)
        if number is None:
            raise InputError(
                f"{table}, line {line.number}: column '{label}' holds '{line.cells[label]}', which is none of the "
                f"classes {listed(names)}. Correct the label, or list it among the classes."
            )
        cases.append(replace(case, label=number))
    return tuple(cases), names


def require_columns(table: Path, header: Sequence[str], columns: Iterable[str]) -> None:
    """Refuse a CSV that lacks a column, and propose the nearest.

    Raises:
        InputError: a column is not there.
    """
    for column in columns:
        if column not in header:
            raise InputError(f"{table} has no column '{column}'. {nearest(column, header)}")


def listed_lines(
    table: Path, images: Path, lines: list[Line], file: str, group: str | None, where: Mapping[str, object]
) -> list[tuple[Line, Case]]:
    """The lines of a CSV that a filter keeps, one an image, each with its case, of class -1.

    Raises:
        InputError: a file does not exist or is listed twice, a group is empty, or no line is left.
    """
    kept = filtered(table, lines, where)
    paths = _paths(table, images, file, [line for _, line in kept])
    return [
        (line, Case(name, -1, group_of(table, line, group) or name, origin))
        for (origin, line), name in zip(kept, paths, strict=True)
    ]


def group_of(table: Path, line: Line, group: str | None) -> str | None:
    """The cell of the column of groups; None without such a column. Raises InputError where it is empty."""
    if group and not line.cells[group]:
        raise InputError(f"{table}, line {line.number}: column '{group}' is empty. Fill it in, or name no group.")
    return line.cells[group] if group else None


def class_names(table: Path, label: str, lines: list[Line], classes: Sequence[str] | None) -> tuple[str, ...]:
    """The classes as given, or as the numbers in the column of labels; raises InputError as `unnamed_classes`."""
    if classes is not None:
        return checked_classes(classes, "classes")
    return unnamed_classes([line.cells[label] for line in lines], f"{table}: column '{label}'")


def filtered(table: Path, lines: list[Line], where: Mapping[str, object]) -> list[tuple[int, Line]]:
    """The lines whose columns have these values, each with its position from 0; InputError where none is left."""
    kept = list(enumerate(lines))
    for column, wanted in where.items():
        held = sorted({line.cells[column] for _, line in kept})
        kept = [(origin, line) for origin, line in kept if line.cells[column] == str(wanted)]
        if not kept:
            raise InputError(
                f"{table}: no line has {column} = '{wanted}', so nothing is left. "
                f"The column '{column}' holds {listed(held)}."
            )
    return kept


def located(table: Path, images: Path, file: str, lines: list[Line]) -> list[str]:
    """The image of each line, as a path from the folder of images; raises InputError where one does not exist."""
    if not images.is_dir():
        raise InputError(f"{images} is not a folder. Give the folder that the paths in {table} start from.")
    cells = {line.cells[file] for line in lines}
    places = {cell: locate(images, cell) for cell in cells}
    found = [places[line.cells[file]] for line in lines]
    if missing := [line for line, name in zip(lines, found, strict=True) if name is None]:
        first = listed([f"'{line.cells[file]}' (line {line.number})" for line in missing[:3]])
        raise InputError(
            f"{table}: {len(missing)} of {len(lines)} image files do not exist under {images}: first {first}. "
            f"Correct column '{file}', or the folder of the images."
        )
    return [name for name in found if name is not None]


def _paths(table: Path, images: Path, file: str, lines: list[Line]) -> list[str]:
    names = located(table, images, file, lines)
    seen: dict[str, int] = {}
    for line, name in zip(lines, names, strict=True):
        if name in seen:
            raise InputError(
                f"{table} lists {name} twice, in lines {seen[name]} and {line.number}. Keep one line an image."
            )
        seen[name] = line.number
    return names


def locate(images: Path, cell: str) -> str | None:
    """The path under `images` that a cell means, or None: a file, or the folder of a DICOM series.

    A bare identifier stands for the image of that name.
    """
    if not cell:
        return None
    path = PurePosixPath(cell)
    if path.is_absolute() and path.is_relative_to(images.resolve()):
        # Records name images; the folders of one machine are nobody else's business.
        path = path.relative_to(images.resolve())
    if os.path.isfile(images / path):
        return path.as_posix()
    for suffixes in (IMAGE_SUFFIXES, SUFFIXES):
        endings = [ending for ending in suffixes if os.path.isfile(images / f"{path}{ending}")]
        if endings:
            return f"{path.as_posix()}{endings[0]}" if len(endings) == 1 else None
    return path.as_posix() if path.parts and is_series(images / path) else None


def folder_cases(root: Path, classes: Sequence[str] | None) -> Cases:
    """The cases of class folders; see `palpate.data.table.Table.from_folders`."""
    if not root.is_dir():
        raise InputError(f"{root} is not a folder. Give the folder that holds one folder a class.")
    folders = visible(path for path in root.iterdir() if path.is_dir())
    if stray := image_files(root, deep=False):
        raise InputError(
            f"{root} holds {len(stray)} images outside any class folder: first {stray[0].name}. "
            "Move them into the folder of their class, or give a CSV."
        )
    found = sorted((path.name for path in folders), key=_natural)
    if not found:
        raise InputError(f"{root} holds no folders. Give one folder a class, or a CSV.")
    names = tuple(found) if classes is None else checked_classes(classes, "classes")
    for name in found:
        if name not in names:
            raise InputError(f"{root / name} is none of the classes {listed(names)}. {nearest(name, names)}")
    cases: list[Case] = []
    for number, name in enumerate(names):
        for path in image_files(root / name, deep=True):
            relative = path.relative_to(root).as_posix()
            cases.append(Case(relative, number, relative, len(cases)))
    if not cases:
        raise InputError(
            f"{root} holds {len(found)} folders without images. Their names must end in {listed(SUFFIXES)}."
        )
    return tuple(cases), names


def visible(paths: Iterable[Path]) -> list[Path]:
    """Sorted paths without what the system hides (`.DS_Store`, `.ipynb_checkpoints`, `__MACOSX`)."""
    return sorted(path for path in paths if not path.name.startswith((".", "__")))


def image_files(folder: Path, *, deep: bool) -> list[Path]:
    """Sorted files that are images by their ending, in the folder or in everything below it."""
    found = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    files = [path for path in visible(found) if path.name.lower().endswith(SUFFIXES)]
    if deep and folder.is_dir():
        for below in visible(path for path in folder.iterdir() if path.is_dir()):
            files += image_files(below, deep=True)
    return files


def _natural(name: str) -> tuple[int, str]:
    # Grades 0 to 10 in the order of numbers, names in the order of letters.
    number = class_number(name)
    return (-1 if number is None else number, name)
