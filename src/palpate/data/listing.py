"""The cases that the lines of a sheet stand for, and the files that their cells name. No image is read here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from palpate.data.cases import Case, checked_classes, listed, unnamed_classes
from palpate.data.formats.registry import IMAGE_SUFFIXES, SUFFIXES, is_series
from palpate.data.places import from_folder
from palpate.data.remote import Remote, is_url, without_secrets
from palpate.data.scattered import scattered
from palpate.data.sheets import Line, Sheet
from palpate.errors import InputError

Cases = tuple[tuple[Case, ...], tuple[str, ...]]
"""The cases, and the classes in the model's order."""


@dataclass(frozen=True, slots=True)
class About:
    """Columns that say where an image comes from; each None where there is no such column.

    Attributes:
        group: which images belong together, such as the patient's.
        site: where it was taken.
        scanner: manufacturer and model.
        region: path of a mask that `threat.region` may name; an empty cell is no mask.
        cells: several columns, which the model is given besides the image.
        views: several columns with paths of further images, which the model is given too.
    """

    group: str | None = None
    site: str | None = None
    scanner: str | None = None
    region: str | None = None
    cells: tuple[str, ...] = ()
    views: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that are named."""
        return (*filter(None, (self.group, self.site, self.scanner, self.region)), *self.cells, *self.views)

    def case(self, listing: Listing, line: Line, name: str, origin: int) -> Case:
        """The case, of class -1, that a line stands for.

        Raises:
            InputError: the group is empty, or the region's mask or a further image does not exist.
        """
        site, scanner = (line.cells[column] if column else "" for column in (self.site, self.scanner))
        group = self._group(listing.sheet, line) or name
        cells = tuple(line.cells[column] for column in self.cells)
        views = tuple(listing.locate(line, column, "leave the image out") for column in self.views)
        return Case(name, -1, group, origin, site, scanner, self._region(listing, line), cells=cells, views=views)

    def _group(self, sheet: Sheet, line: Line) -> str | None:
        if self.group and not line.cells[self.group]:
            raise InputError(
                f"{sheet.path}, {line.place}: column '{self.group}' is empty. Fill it in, or name no group."
            )
        return line.cells[self.group] if self.group else None

    def _region(self, listing: Listing, line: Line) -> str:
        if not self.region or not line.cells[self.region]:
            return ""
        return listing.locate(line, self.region, "leave the cell empty")


@dataclass(frozen=True)
class Listing:
    """A sheet with one line per image, and how its lines are read.

    Attributes:
        sheet: the lines.
        images: folder that the paths in the column `file` start from.
        file: column of paths; a bare identifier stands for the one image of that name.
        about: columns that say where an image comes from.
        where: keep the lines whose column has this value, such as `{"split": "test"}`.
        remote: where the files really are, if `images` is the folder of copies.
    """

    sheet: Sheet
    images: Path
    file: str = "file"
    about: About = About()
    where: Mapping[str, object] = field(default_factory=dict)
    remote: Remote | None = None

    def require(self, *columns: str) -> None:
        """Refuse a sheet without some columns, or without those that the listing itself reads; raises InputError."""
        self.sheet.require((self.file, *columns, *self.about.columns, *self.where))

    def lines(self) -> list[tuple[Line, Case]]:
        """The lines that the filter keeps, each with its case, of class -1; call `require` first.

        Raises:
            InputError: a file does not exist or is listed twice, a group is empty, or no line is left.
        """
        kept = self.sheet.filtered(self.where)
        names = self.located(self.sheet.path, self.file, [line for _, line in kept])
        seen: dict[str, Line] = {}
        for (_, line), name in zip(kept, names, strict=True):
            if name in seen:
                numbers = f"{line.word}s {seen[name].number} and {line.number}"
                raise InputError(f"{self.sheet.path} lists {name} twice, in {numbers}. Keep one of them.")
            seen[name] = line
        return [
            (line, self.about.case(self, line, name, origin)) for (origin, line), name in zip(kept, names, strict=True)
        ]

    def located(self, table: Path, file: str, lines: list[Line]) -> list[str]:
        """The image of each line of a table, as a path from the folder of images.

        Raises:
            InputError: one does not exist; behind a URL this is found when it is read.
        """
        if self.remote is None:
            return located(table, self.images, file, lines)
        return [_behind(self.remote, table, line, file, "take the line out") for line in lines]

    def locate(self, line: Line, column: str, otherwise: str) -> str:
        """The path from the folder of images that a cell means.

        Args:
            line: of the sheet.
            column: of a mask or the like.
            otherwise: what may be done if it cannot be corrected, for the message.

        Raises:
            InputError: there is no such file; behind a URL this is found when it is read.
        """
        if self.remote is not None:
            return _behind(self.remote, self.sheet.path, line, column, otherwise)
        cell = line.cells[column]
        name = locate(self.images, cell)
        if name is None:
            what = f"'{without_secrets(cell)}', which does not exist under {self.images}" if cell else "nothing"
            raise InputError(
                f"{self.sheet.path}, {line.place}: column '{column}' holds {what}. Correct it, or {otherwise}."
            )
        return name


def class_names(sheet: Sheet, label: str, lines: Iterable[Line], classes: Sequence[str] | None) -> tuple[str, ...]:
    """The classes as given, or as the numbers in the column of labels; raises InputError as `unnamed_classes`."""
    if classes is not None:
        return checked_classes(classes, "classes")
    return unnamed_classes([line.cells[label] for line in lines], f"{sheet.path}: column '{label}'")


def _behind(remote: Remote, table: Path, line: Line, column: str, otherwise: str) -> str:
    try:
        return remote.name(line.cells[column])
    except InputError as error:
        raise InputError(f"{table}, {line.place}: column '{column}': {error}. Correct it, or {otherwise}.") from error


def located(table: Path, images: Path, file: str, lines: list[Line]) -> list[str]:
    """The image of each line, as a path from the folder of images; raises InputError where one does not exist."""
    if not images.is_dir():
        raise InputError(f"{images} is not a folder. Give the folder that the paths in {table} start from.")
    places = places_of(images, {line.cells[file] for line in lines})
    found = [places[line.cells[file]] for line in lines]
    if missing := [line for line, name in zip(lines, found, strict=True) if name is None]:
        bare = [line for line in missing if line.cells[file] and os.path.isdir(images / line.cells[file])]
        first = listed([f"'{line.cells[file]}' ({line.place})" for line in (bare or missing)[:3]])
        if bare:
            raise InputError(
                f"{table}: {len(bare)} of {len(lines)} images are folders under {images} without a DICOM file: first "
                f"{first}. Put the files of the series there, or name an image file in column '{file}'."
            )
        if is_url(cell := missing[0].cells[file]):
            start = without_secrets(cell.rpartition("/")[0])
            raise InputError(
                f"{table}: column '{file}' holds URLs. Write in [data] where they start: images = '{start}'."
            )
        raise InputError(
            f"{table}: {len(missing)} of {len(lines)} image files do not exist under {images}: first {first}. "
            f"{near(images, missing[0].cells[file])}Correct column '{file}', or the folder of the images."
        )
    return [name for name in found if name is not None]


def places_of(images: Path, cells: Iterable[str]) -> dict[str, str | None]:
    """The path under `images` that each cell means, as `locate` says; a bare name may lie in any folder below."""
    places = {cell: locate(images, cell) for cell in cells}
    return places | scattered(images, [cell for cell, place in places.items() if place is None])


def locate(images: Path, cell: str) -> str | None:
    """The path under `images` that a cell means, or None: a file, or the folder of a DICOM series.

    A bare identifier stands for the image of that name. A path may begin with the name of the folder itself, as those
    of CheXpert and MURA do.
    """
    if not cell or "\0" in cell:
        return None
    found = _existing(images, PurePosixPath(from_folder(images, cell)))
    if found is None and (below := PurePosixPath(cell).parts[1:]) and cell.startswith(f"{images.resolve().name}/"):
        return _existing(images, PurePosixPath(*below))
    if found is None and "\\" in cell:  # written on Windows
        return locate(images, cell.replace("\\", "/"))
    return found


def _existing(images: Path, path: PurePosixPath) -> str | None:
    if os.path.isfile(images / path):
        return path.as_posix()
    for suffixes in (IMAGE_SUFFIXES, SUFFIXES):
        endings = [ending for ending in suffixes if os.path.isfile(images / f"{path}{ending}")]
        if endings:
            return f"{path.as_posix()}{endings[0]}" if len(endings) == 1 else None
    return path.as_posix() if path.parts and is_series(images / path) else None


def near(images: Path, cell: str) -> str:
    """A sentence on a file whose name differs from a missing one in upper and lower case, or in its ending only."""
    path = images / PurePosixPath(cell.replace("\\", "/"))
    if not path.name or not os.path.isdir(path.parent):
        return ""
    with os.scandir(path.parent) as entries:
        names = sorted(entry.name for entry in entries)
    if same := [name for name in names if name.casefold() == path.name.casefold()]:
        return f"There is '{same[0]}': upper and lower case differ. "
    if same := [name for name in names if name.casefold().startswith(f"{path.stem.casefold()}.")]:
        return f"There is '{same[0]}', with another ending. "
    return ""


def visible(paths: Iterable[Path]) -> list[Path]:
    """Sorted paths without what the system hides (`.DS_Store`, `.ipynb_checkpoints`, `__MACOSX`)."""
    return sorted(path for path in paths if not path.name.startswith((".", "__")))
