"""A look at a folder: which labelled images lie there, for `palpate init` to write a first plan from.

Columns are recognised by what they hold (paths of existing files, few distinct values, names of splits), and by their
names where several would do. A guess is a proposal: the plan that is written from it shows every choice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from palpate.data.annotations.findings import finding
from palpate.data.cases import class_number
from palpate.data.formats.forms import Form
from palpate.data.formats.registry import is_series
from palpate.data.image_files import folders_in
from palpate.data.inspect.columns import MOST_CLASSES, SPLITS, sorted_splits, split_rank, spread
from palpate.data.inspect.label_columns import Choice, classes_of, finding_columns, finding_lists
from palpate.data.inspect.searched import ANNOTATED, NNUNET, searched_folders
from palpate.data.inspect.seen import OtherKindError, Seen, UnreadError, broken, look_at, reading, reasons
from palpate.data.inspect.table_faults import why_no_labels
from palpate.data.inspect.table_look import TABLE_SUFFIXES, TableLook, other_table
from palpate.data.layouts.archive import findings_in, read_headers
from palpate.data.layouts.class_folders import read_class_folders
from palpate.data.listing import visible
from palpate.data.table import Table
from palpate.errors import InputError

_SLICES_LOOKED_AT = 32
_PATIENT = re.compile(r"(patients?|pat|pt|subjects?|subj?|cases?|study|studies|series|p|s)[ _-]?\d+", re.IGNORECASE)
"""Names of folders that hold the images of a patient or of a study."""
_STUDY = re.compile(r"(^|/)study\d+_(positive|negative)/", re.IGNORECASE)
"""How MURA names the folders of its studies."""


@dataclass(frozen=True)
class FoundClasses:
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
        one_hot: columns of a CSV that hold a 1 for their class each; `label` is None then.
        others: further columns of a CSV that could be the labels.
        asked: whether the column of labels is a mere guess, so that the user has to decide.
        notes: what was left out or understood, a sentence each.
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
    one_hot: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    asked: bool = False
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Images in all."""
        return sum(self.counts)

    @property
    def numbered(self) -> bool:
        """Whether the classes are known by number only, so that a plan need not list them."""
        return self.classes == tuple(str(number) for number in range(len(self.classes)))

    def describe(self) -> str:
        """In one line for a terminal."""
        classes = "; ".join(f"{name} ({count})" for name, count in zip(self.classes, self.counts, strict=True))
        form = self.form.describe() if self.equal else f"sizes differ, the first {self.form.describe()}"
        return f"{self.path}: {self.count} images, {form}; classes {classes}"

    def table(self, split: str | None = None) -> Table:
        """The table of one split (the first of `splits` by default), as this layout reads it.

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
        label = self.label or self.one_hot
        assert self.images is not None and self.file is not None and label
        return Table.from_csv(self.path, self.images, self.file, label, self.group, where, classes)


def find_tables(folder: Path, unread: list[UnreadError] | None = None) -> tuple[FoundClasses, ...]:
    """The layouts of labelled images in a folder and below, the most telling first.

    CSV tables come before class folders, and these before archives. Among equals a folder named after a split that
    is audited (`test`) comes first, then the larger one. Class folders are not guessed where a file that describes
    images was recognised and cannot be read: that guess would be a worse one.

    Args:
        folder: where to look, or a single file.
        unread: what other readers refused; reasons of these readers are added.

    Raises:
        InputError: the folder does not exist, or nothing in it is a labelled image set that can be read; it says what
            was looked at and why each was refused.
    """
    if not folder.exists():
        raise InputError(f"{folder} does not exist. Give the folder of the images.")
    refused = [] if unread is None else unread
    places = searched_folders(folder)
    files = [path for place in places for path in visible(place.iterdir()) if path.is_file()] or [folder]

    def looked(look: Callable[[Path], FoundClasses | None], paths: Iterable[Path]) -> list[FoundClasses]:
        return _ordered(_tried(look, path, refused) for path in paths)

    tables = looked(_csv_layout, [path for path in files if path.suffix.lower() in TABLE_SUFFIXES])
    refused += [error for path in files if (error := other_table(path)) is not None]
    folders = looked(_folder_layout, places if tables or not broken(refused) else ())
    archives = looked(_archive_layout, [path for path in files if path.suffix.lower() == ".npz"])
    found = (*tables, *folders, *archives)
    if not found:
        raise InputError(_nothing(folder, places, refused))
    return found


def _nothing(folder: Path, places: Sequence[Path], refused: Sequence[UnreadError]) -> str:
    """What to say where there are no labelled images: the readers' own reasons, or what palpate reads."""
    if broken(refused):
        return f"{folder} holds no labelled images that can be read. {' '.join(reasons(refused))}"
    if images := next(filter(is_series, places), None):
        return (
            f"{images} holds DICOM files, and nothing in {folder} says what they show. Put a CSV there with a column "
            "of files, or of folders of series, and a column of labels."
        )
    looked = f" Looked at: {' '.join(reasons(refused))}" if refused else ""
    return (
        f"{folder} holds no labelled images that palpate knows. Give a folder with a CSV of paths and labels, with "
        "one folder of images per class, with a MedMNIST .npz, with images beside their masks, or with data for "
        "nnU-Net, MONAI, COCO, YOLO or Pascal VOC."
        f"{looked}"
    )


def _ordered(layouts: Iterable[FoundClasses | None]) -> list[FoundClasses]:
    def key(layout: FoundClasses) -> tuple[bool, int, int]:
        # The form of an answer in a contest, whose labels are placeholders.
        return ("submission" in layout.path.stem.lower(), split_rank(layout.path), -layout.count)

    return sorted((layout for layout in layouts if layout is not None), key=key)


def _tried(look: Callable[[Path], FoundClasses | None], path: Path, refused: list[UnreadError]) -> FoundClasses | None:
    try:
        return look(path)
    except UnreadError as error:
        refused.append(error)
    except InputError as error:
        refused.append(OtherKindError(str(error)))
    return None


# -- CSV -----------------------------------------------------------------------------------------------------------


def _csv_layout(path: Path) -> FoundClasses | None:
    table = TableLook(path)
    chosen = classes_of(table.candidates, table.lines)
    if chosen is None:
        if finding_lists(table.candidates) or finding_columns(table.candidates):
            raise OtherKindError(f"{path} lists several findings per image, not one class.")
        raise why_no_labels(path, table.file, table.candidates, table.lines)
    choice = chosen if isinstance(chosen, Choice) else None
    hot = () if isinstance(chosen, Choice) else chosen
    label = choice.column if choice else None
    classes, counts = _classes(table.values[choice.column]) if choice else (hot, _ones(table, hot))
    seen = table.look()
    return FoundClasses(
        "csv", path, classes, counts, seen.form, seen.equal, table.images, table.file, label,
        table.split, table.group, table.splits, table.site, table.scanner, seen,
        one_hot=hot, others=choice.others if choice else (), asked=choice.asked if choice else False,
        notes=(*filter(None, (table.found,)), *table.left_out),
    )  # fmt: skip


def _ones(table: TableLook, columns: Sequence[str]) -> tuple[int, ...]:
    return tuple(sum(finding(line.cells[column]) == 1 for line in table.lines) for column in columns)


def _classes(values: Counter[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    numbers = {text: class_number(text) for text in values}
    known = [number for number in numbers.values() if number is not None]
    if len(known) == len(numbers) and min(known) == 0 and max(known) < MOST_CLASSES:
        counts = Counter({number: values[text] for text, number in numbers.items() if number is not None})
        return tuple(map(str, range(max(known) + 1))), tuple(counts[number] for number in range(max(known) + 1))
    names = sorted(values)
    return tuple(names), tuple(values[name] for name in names)


# -- folders and archives ------------------------------------------------------------------------------------------


def _folder_layout(root: Path) -> FoundClasses | None:
    below = folders_in(root)
    names = {path.name.lower() for path in below}
    if not below or names & {*ANNOTATED, *SPLITS, *NNUNET} or any(map(_is_volume, below)):
        return None
    sets = [path for path in below if _is_described(path)]
    # Class folders that each hold images and their masks are classes; one such folder among others is a set of its own.
    if described := next((path for path in sets if len(sets) < len(below) or (path / "dataset.json").exists()), None):
        raise OtherKindError(f"{described} is a separate set of images, not a class. Give that folder.")
    if mixed := next((path for path in below if _splits_in(path)), None):
        raise OtherKindError(
            f"{mixed} holds the splits {', '.join(_splits_in(mixed))}. Put the class folders of each split into a "
            "folder of its own, such as test/NORMAL, so that an audit reads one split."
        )
    held = read_class_folders(root, None)
    if len(held.classes) < 2:
        raise OtherKindError(
            f"{root} holds one folder of images, {held.classes[0]}; an audit of classes needs two or more."
        )
    if len(held.classes) > MOST_CLASSES or all(_PATIENT.fullmatch(name) for name in held.classes):
        raise OtherKindError(
            f"{root} holds {len(held.classes)} folders such as {held.classes[0]}, which look like patients or studies "
            "and not like classes. Put a CSV there with the columns file and label."
        )
    if study := next((case for case in held.cases if _STUDY.search(case.name)), None):
        raise UnreadError(
            f"{root / study.name}: the label is in the name of the study's folder, and not of the folder in {root}. "
            "Write a CSV with the columns file and label."
        )
    table = Table.from_folders(root)
    seen = look_at([root / case.name for case in spread(list(table))])
    return FoundClasses(
        "folders", root, table.classes, table.counts(), seen.form, seen.equal, seen=seen, notes=table.notes
    )


def _splits_in(folder: Path) -> list[str]:
    return [path.name for path in folders_in(folder) if path.name.lower() in SPLITS]


def _is_described(folder: Path) -> bool:
    """Whether a folder is an image set by itself, as of nnU-Net or with folders of images and masks."""
    names = {path.name.lower() for path in folder.iterdir()}
    return "dataset.json" in names or len(names & set(ANNOTATED)) > 1


def _is_volume(folder: Path) -> bool:
    """Whether a folder holds the slices of one DICOM series, which are one image and no class of images."""
    from palpate.data.formats.dicom.files import is_image_file, one_sentence, open_header

    asked = ("SeriesInstanceUID", "ImagePositionPatient")
    found: list[tuple[str, bool]] = []
    for path in visible(folder.iterdir())[:_SLICES_LOOKED_AT]:
        if is_image_file(path):
            with reading(), one_sentence(path):
                dataset = open_header(path, asked).dataset
                found.append((str(dataset.get(asked[0]) or path.name), bool(dataset.get(asked[1]))))
    # Radiographs of one class may share a series too, but they have no place in space.
    return len(found) > 1 and len({series for series, _ in found}) == 1 and all(placed for _, placed in found)


def _archive_layout(path: Path) -> FoundClasses | None:
    with reading():
        headers = read_headers(path)
    splits = {
        name.removesuffix("_images"): shape[0] for name, (shape, _) in headers.items() if name.endswith("_images")
    }
    ordered = sorted_splits(Counter({name: count for name, count in splits.items() if name in SPLITS and count}))
    if not ordered:
        raise OtherKindError(f"{path} holds no arrays test_images and test_labels, as MedMNIST has them.")
    if findings_in(path, ordered[0][0]):
        raise OtherKindError(f"{path} holds several findings per image, not one class.")
    with reading():
        tables = [Table.from_medmnist(path, name) for name, _ in ordered]
    counts = tuple(sum(column) for column in zip(*(table.counts() for table in tables), strict=True))
    return FoundClasses("medmnist", path, tables[0].classes, counts, tables[0].form(), True, splits=ordered)
