"""A look at a folder: which labelled images lie there, for `palpate init` to write a first plan from.

Columns are told by what they hold (paths of existing files, few distinct values, names of splits), and by their
names where several would do. A guess is a proposal: the plan that is written from it shows every choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from palpate.data.archive import read_headers
from palpate.data.cases import class_number
from palpate.data.columns import (
    GROUP_NAMES,
    LABEL_NAMES,
    MOST_CLASSES,
    SCANNER_NAMES,
    SITE_NAMES,
    SPLITS,
    file_column,
    is_split,
    named,
    rank,
    sorted_splits,
    spread,
)
from palpate.data.formats import is_series
from palpate.data.forms import Form
from palpate.data.listing import locate, visible
from palpate.data.seen import Seen, UnreadError, look_at, reading
from palpate.data.sheets import read_csv
from palpate.data.table import Table
from palpate.errors import InputError

_SLICES_LOOKED_AT = 32
_NO_CLASSES = ("images", "imgs", "masks", "labels", "annotations", "fov", "segmentation")


@dataclass(frozen=True)
class Layout:
    """Labelled images as they lie in a folder.

    Attributes:
        kind: a CSV, one folder a class, or a MedMNIST archive.
        path: the CSV, the folder of class folders, or the archive.
        images: folder that the paths of a CSV start from.
        file: column of paths of a CSV.
        label: column of labels of a CSV.
        split: column of splits of a CSV.
        group: column of patients of a CSV.
        splits: names of the splits and their images, the one to audit first; empty where there are none. Splits that
            are folders (`test/`, `train/`) are layouts of their own.
        classes: names of the classes: as numbered, or as sorted names whose order the user must confirm.
        counts: images of each class, over all splits.
        form: shape and stored type of the first image.
        equal: whether all images that were looked at have this form.
        site: column of a CSV that says where images were taken.
        scanner: column of scanners of a CSV.
        seen: what the images that were looked at say of themselves; None for archives, which hold bare numbers.
    """

    kind: Literal["csv", "folders", "medmnist"]
    path: Path
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    form: Form
    equal: bool
    images: Path | None = None
    file: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None
    splits: tuple[tuple[str, int], ...] = ()
    site: str | None = None
    scanner: str | None = None
    seen: Seen | None = None

    @property
    def count(self) -> int:
        """Images in all."""
        return sum(self.counts)

    @property
    def numbered(self) -> bool:
        """Whether the classes are known by number only, so that a plan need not list them."""
        return self.classes == tuple(str(number) for number in range(len(self.classes)))

    def words(self) -> str:
        """In one line for a terminal."""
        classes = "; ".join(f"{name} ({count})" for name, count in zip(self.classes, self.counts, strict=True))
        form = self.form.words() if self.equal else f"sizes differ, the first {self.form.words()}"
        return f"{self.path}: {self.count} images, {form}; classes {classes}"

    def table(self, split: str | None = None) -> Table:
        """The table of one split (the first of `splits` unless told), as this layout reads it.

        Raises:
            InputError: as the constructors of `palpate.data.table.Table`.
        """
        split = split or (self.splits[0][0] if self.splits else None)
        classes = None if self.numbered else self.classes
        if self.kind == "medmnist":
            return Table.from_medmnist(self.path, split or "test", classes)
        if self.kind == "folders":
            return Table.from_folders(self.path, classes)
        where = {self.split: split} if self.split and split else {}
        assert self.images is not None and self.file is not None and self.label is not None
        return Table.from_csv(self.path, self.images, self.file, self.label, self.group, where, classes)


def find_tables(folder: Path, unread: Sequence[UnreadError] = ()) -> tuple[Layout, ...]:
    """The layouts of labelled images in a folder and one level below, the most telling first.

    CSV tables come before class folders, and these before archives. Among equals a folder named after a split that
    is audited (`test`) comes first, then the larger one.

    Args:
        folder: where to look.
        unread: image sets of other kinds that could not be read, told where nothing else is found.

    Raises:
        InputError: the folder does not exist, or nothing in it is a labelled image set that can be read.
    """
    if not folder.exists():
        raise InputError(f"{folder} does not exist. Give the folder of the images.")
    places = [folder, *visible(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []
    files = [path for place in places for path in visible(place.iterdir()) if path.is_file()] or [folder]
    damaged = list(unread)

    def looked(look: Callable[[Path], Layout | None], paths: Iterable[Path]) -> list[Layout]:
        return _ordered(_tried(look, path, damaged) for path in paths)

    tables = looked(_csv_layout, [path for path in files if path.suffix.lower() in (".csv", ".tsv")])
    folders = looked(_folder_layout, places)
    archives = looked(_archive_layout, [path for path in files if path.suffix.lower() == ".npz"])
    found = (*tables, *folders, *archives)
    if not found and damaged:
        raise InputError(f"{folder} holds no labelled images that can be read. {damaged[0]}")
    if not found and (images := next(filter(is_series, places), None)):
        raise InputError(
            f"{images} holds DICOM files, and nothing in {folder} says what they show. Put a CSV there with a column "
            "of files, or of folders of series, and a column of labels."
        )
    if not found:
        raise InputError(
            f"{folder} holds no labelled images that palpate knows. Give a folder with a CSV of paths and labels, with "
            "one folder of images a class, with a MedMNIST .npz, or with data for nnU-Net, MONAI, COCO or Pascal VOC."
        )
    return found


def _ordered(layouts: Iterable[Layout | None]) -> list[Layout]:
    def key(layout: Layout) -> tuple[int, int]:
        name = layout.path.name.lower()
        return (SPLITS.index(name) if name in SPLITS else len(SPLITS), -layout.count)

    return sorted((layout for layout in layouts if layout is not None), key=key)


def _tried(look: Callable[[Path], Layout | None], path: Path, damaged: list[UnreadError]) -> Layout | None:
    try:
        return look(path)
    except UnreadError as error:
        damaged.append(error)
    except InputError:  # of another kind
        pass
    return None


# -- CSV -----------------------------------------------------------------------------------------------------------


def _csv_layout(path: Path) -> Layout | None:
    _, header, lines = read_csv(path)
    found = file_column(path, header, lines)
    if found is None:
        return None
    file, images = found
    columns = {column: Counter(line.cells[column] for line in lines) for column in header if column != file}
    split = next((column for column, values in columns.items() if is_split(values)), None)
    group = named(GROUP_NAMES, [c for c, values in columns.items() if "" not in values and len(values) > 1])
    site, scanner = (named(names, list(columns)) for names in (SITE_NAMES, SCANNER_NAMES))
    label = _label_column(columns, (split, group, site, scanner))
    if label is None:
        return None
    classes, counts = _classes(columns[label])
    seen = look_at([images / name for line in spread(lines) if (name := locate(images, line.cells[file]))])
    splits = sorted_splits(columns[split]) if split else ()
    return Layout(
        "csv", path, classes, counts, seen.form, seen.equal, images, file, label, split, group, splits,
        site, scanner, seen,
    )  # fmt: skip


def _label_column(columns: dict[str, Counter[str]], taken: tuple[str | None, ...]) -> str | None:
    several = {
        column: values
        for column, values in columns.items()
        if column not in taken and "" not in values and 2 <= len(values) <= MOST_CLASSES
    }
    few = [column for column, values in several.items() if len(values) <= values.total() // 2]
    # In a table of a handful of studies a class may stand there once: then its name must say what the column is.
    exact = [column for column in several if rank(column, LABEL_NAMES) < len(LABEL_NAMES)]
    return named(LABEL_NAMES, few) or named(LABEL_NAMES, exact) or next(iter(few), None)


def _classes(values: Counter[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    numbers = {text: class_number(text) for text in values}
    known = [number for number in numbers.values() if number is not None]
    if len(known) == len(numbers) and min(known) == 0 and max(known) < MOST_CLASSES:
        counts = Counter({number: values[text] for text, number in numbers.items() if number is not None})
        return tuple(map(str, range(max(known) + 1))), tuple(counts[number] for number in range(max(known) + 1))
    names = sorted(values)
    return tuple(names), tuple(values[name] for name in names)


# -- folders and archives ------------------------------------------------------------------------------------------


def _folder_layout(root: Path) -> Layout | None:
    below = {path.name.lower(): path for path in visible(path for path in root.iterdir() if path.is_dir())}
    if any(name in _NO_CLASSES or name in SPLITS for name in below):
        return None
    if any(map(_is_volume, below.values())):
        return None
    table = Table.from_folders(root)
    if len(table.classes) < 2:
        return None
    seen = look_at([root / case.name for case in spread(list(table))])
    return Layout("folders", root, table.classes, table.counts(), seen.form, seen.equal, seen=seen)


def _is_volume(folder: Path) -> bool:
    """Whether a folder holds the slices of one DICOM series, which are one image and no class of images."""
    from palpate.data.dicom.files import is_image_file, one_sentence, open_header

    asked = ("SeriesInstanceUID", "ImagePositionPatient")
    found: list[tuple[str, bool]] = []
    for path in visible(folder.iterdir())[:_SLICES_LOOKED_AT]:
        if is_image_file(path):
            with reading(), one_sentence(path):
                dataset = open_header(path, asked).dataset
                found.append((str(dataset.get(asked[0]) or path.name), bool(dataset.get(asked[1]))))
    # Radiographs of one class may share a series too, but they have no place in space.
    return len(found) > 1 and len({series for series, _ in found}) == 1 and all(placed for _, placed in found)


def _archive_layout(path: Path) -> Layout | None:
    with reading():
        headers = read_headers(path)
    splits = {
        name.removesuffix("_images"): shape[0] for name, (shape, _) in headers.items() if name.endswith("_images")
    }
    ordered = sorted_splits(Counter({name: count for name, count in splits.items() if name in SPLITS and count}))
    tables = [Table.from_medmnist(path, name) for name, _ in ordered]
    if not tables:
        return None
    counts = tuple(sum(column) for column in zip(*(table.counts() for table in tables), strict=True))
    return Layout("medmnist", path, tables[0].classes, counts, tables[0].form(), True, splits=ordered)
