"""The labelled or annotated images of an audit: a value that can be filtered, thinned out and identified."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from palpate.data.annotation import Annotation, Annotations
from palpate.data.archive import Archive, archive_cases
from palpate.data.boxes import BoxColumns, box_cases
from palpate.data.cases import Case
from palpate.data.findings import finding_cases
from palpate.data.forms import Array, Form
from palpate.data.images import read_form, read_image
from palpate.data.listing import csv_cases, folder_cases
from palpate.data.masks import coded, mask_cases
from palpate.data.volumes import is_volume, read_volume, read_volume_header
from palpate.errors import InputError
from palpate.seeds import derive


class Source(Protocol):
    """Where the pixels of the cases lie."""

    def read(self, case: Case) -> Array:
        """Pixels (C, *spatial) in stored values, free to be written to."""

    def form(self, case: Case) -> Form:
        """Shape and stored type, without reading the pixels."""

    def content(self, case: Case) -> bytes:
        """Bytes that change whenever the pixels do."""


@dataclass(frozen=True)
class Folder:
    """Image files, and volumes (`.nii`, `.nii.gz`), under a folder; a case's name is its path from there."""

    root: Path

    def read(self, case: Case) -> Array:
        """Pixels (C, H, W) in stored values; of a volume (1, D0, D1, D2) float32."""
        path = self.root / case.name
        return read_volume(path).array if is_volume(path) else read_image(path)

    def form(self, case: Case) -> Form:
        """Shape and stored type from the file's header."""
        path = self.root / case.name
        return Form((1, *read_volume_header(path).shape), "float32") if is_volume(path) else read_form(path)

    def content(self, case: Case) -> bytes:
        """The file as it is: cheaper than its pixels, and equal files have equal pixels."""
        try:
            return (self.root / case.name).read_bytes()
        except OSError as error:
            raise InputError(f"{self.root / case.name} cannot be read: {error.strerror}. Put the file back.") from error


@dataclass(frozen=True)
class Table:
    """Cases with their classes, and where their pixels lie. Rows count from 0; images are read one by one, on demand.

    Attributes:
        cases: the images, in order; each with its class, or with class -1 where `annotations` say what it shows.
        classes: names of the classes, structures or findings, in the order of the model's outputs.
        source: reads the pixels.
        annotations: reads masks, boxes or findings; None where each image has one class.
    """

    cases: tuple[Case, ...]
    classes: tuple[str, ...]
    source: Source
    annotations: Annotations | None = None
    _digests: dict[Case, bytes] = field(default_factory=dict, init=True, repr=False, compare=False)

    @classmethod
    def from_csv(
        cls,
        table: Path,
        images: Path,
        file: str = "file",
        label: str = "label",
        group: str | None = None,
        where: Mapping[str, object] | None = None,
        classes: Sequence[str] | None = None,
    ) -> Table:
        """A table from a CSV with one line an image.

        Args:
            table: the CSV, in UTF-8; comma, semicolon or tab.
            images: folder that the paths in the column `file` start from.
            file: column of paths; a bare identifier stands for the one image of that name.
            label: column of labels: names of classes, or their numbers from 0.
            group: column that says which images belong together, such as the patient's; none: each image alone.
            where: keep lines whose column has this value, such as `{"split": "test"}`.
            classes: names of the classes in the model's order; without them labels must be numbers.

        Raises:
            InputError: a column, a file or a label is not there or not what it should be, or no line is left.
        """
        return cls(*csv_cases(table, images, file, label, group, where or {}, classes), Folder(images))

    @classmethod
    def from_masks(
        cls,
        table: Path,
        images: Path,
        file: str = "file",
        mask: str | Sequence[str] = "mask",
        *,
        structures: Sequence[str] | None = None,
        values: Sequence[int] | None = None,
        field: str | None = None,
        ignore_value: int | None = None,
        spacing: Sequence[float] | None = None,
        group: str | None = None,
        where: Mapping[str, object] | None = None,
    ) -> Table:
        """A table of images or volumes with masks, from a CSV with one line an image.

        Masks of images are PNG or TIFF, grey; masks of volumes NIfTI on the grid of the volume. Files are kept as
        stored: axes are not reordered, nothing is resampled. A mask of zeros is a valid mask.

        Args:
            table: the CSV; `file`, `group` and `where` as in `from_csv`.
            images: folder that the paths of images and of masks start from.
            file: column of images.
            mask: column of masks; or one column a structure, where structures may overlap.
            structures: names of the structures; the numbers 1 to S, or the columns of masks, unless told.
            values: stored value of each structure; 0 is background. One column: 1 to S unless told, (255,) for a
                usual PNG. One column a structure: 1 in each unless told; a single value holds for all.
            field: column of field-of-view masks, whose zeros become `IGNORE`; an empty cell is the whole image.
            ignore_value: stored value that becomes `IGNORE`.
            spacing: mm of a pixel along rows and columns; for volumes the header says it.
            group: column that says which images belong together.
            where: keep lines whose column has this value.

        Raises:
            InputError: a column or file is not there, values contradict each other, or no line is left.
        """
        coding = coded(mask, values, structures, field, ignore_value)
        cases, masks = mask_cases(table, images, file, coding, structures, spacing, group, where or {})
        return cls(*cases, Folder(images), masks)

    @classmethod
    def from_boxes(
        cls,
        table: Path,
        images: Path,
        file: str = "image",
        label: str = "label",
        corners: tuple[str, str, str, str] = ("xmin", "ymin", "xmax", "ymax"),
        *,
        listing: Path | None = None,
        listing_file: str | None = None,
        group: str | None = None,
        where: Mapping[str, object] | None = None,
        classes: Sequence[str] | None = None,
    ) -> Table:
        """A table of images with boxes, from a CSV with one line a box.

        A line without corners stands for an image without boxes. So does an image of `listing` that no box names;
        boxes of images that it leaves out are passed over.

        Args:
            table: the CSV of boxes.
            images: folder that the paths of images start from.
            file: its column of images.
            label: its column of classes: names, or numbers from 0.
            corners: its columns of left, top, right and bottom, in pixels of the stored image.
            listing: a second CSV with one line an image; none takes the images from the CSV of boxes.
            listing_file: its column of images; `file` unless told.
            group: column that says which images belong together; of the listing, if there is one.
            where: keep lines whose column has this value; of the listing, if there is one.
            classes: names of the classes in the model's order; without them labels must be numbers.

        Raises:
            InputError: a column or file is not there, a box has no area, no number or no known class, or none is left.
        """
        columns = BoxColumns(file, label, corners)
        second = None if listing is None else (listing, listing_file or file)
        cases, boxes = box_cases(table, images, columns, second, group, where or {}, classes)
        return cls(*cases, Folder(images), boxes)

    @classmethod
    def from_findings(
        cls,
        table: Path,
        images: Path,
        findings: Sequence[str],
        file: str = "file",
        group: str | None = None,
        where: Mapping[str, object] | None = None,
    ) -> Table:
        """A table of images of which each may show several findings, from a CSV with one line an image.

        Args:
            table: the CSV; `file`, `group` and `where` as in `from_csv`.
            images: folder that the paths of images start from.
            findings: columns of findings, in the order of the model's outputs. Cells: 1 present, 0 absent; -1, `u`,
                `uncertain` or nothing: not judged.
            file: column of images.
            group: column that says which images belong together.
            where: keep lines whose column has this value.

        Raises:
            InputError: a column, a file or a cell is not there or not what it should be, or no line is left.
        """
        cases, values = finding_cases(table, images, file, findings, group, where or {})
        return cls(*cases, Folder(images), values)

    @classmethod
    def from_folders(cls, root: Path, classes: Sequence[str] | None = None) -> Table:
        """A table from one folder a class, its images at any depth below; hidden files are passed over.

        Args:
            root: the folder of class folders.
            classes: names of the folders in the model's order; without them numbers count up and names are sorted.

        Raises:
            InputError: there are no class folders or no images, images lie outside, or a folder is no class.
        """
        return cls(*folder_cases(root, classes), Folder(root))

    @classmethod
    def from_medmnist(cls, archive: Path, split: str = "test", classes: Sequence[str] | None = None) -> Table:
        """A table from one split of a MedMNIST `.npz`: `{split}_images` (N, H, W[, C]) and `{split}_labels` (N, 1).

        Raises:
            InputError: an array is missing, damaged, of another shape or type, or a label is outside the classes.
        """
        return cls(*archive_cases(archive, split, classes), Archive(archive, split))

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def __getitem__(self, row: int) -> Case:
        return self.cases[row]

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """True classes (N,); -1 where an image has none of its own."""
        return np.array([case.label for case in self.cases], dtype=np.int64)

    def counts(self) -> tuple[int, ...]:
        """Images of each class; 0 throughout where images have no class of their own."""
        labels = self.labels
        return tuple(np.bincount(labels[labels >= 0], minlength=len(self.classes)).tolist())

    def annotation(self, row: int) -> Annotation:
        """Masks, boxes or findings of one row, read and checked anew each time; all None in a table of classes.

        Raises:
            InputError: a file cannot be read, or does not fit its image.
        """
        return Annotation() if self.annotations is None else self.annotations.read(self.cases[row])

    def shape_of(self, row: int) -> tuple[int, ...]:
        """Shape (C, *spatial) of one row, from its header; raises InputError where that cannot be read."""
        return self.source.form(self.cases[row]).shape

    def image(self, row: int) -> Array:
        """Pixels (C, H, W) of one row in stored values; of a volume (1, D0, D1, D2) float32.

        Raises:
            InputError: the image cannot be read; see `palpate.data.images.read_image`.
        """
        return self.source.read(self.cases[row])

    def form(self) -> Form:
        """The shape and stored type that all images share, from their headers.

        Raises:
            InputError: two images differ, or one cannot be read.
        """
        if not self.cases:
            raise InputError("data: the table has no images. Give at least one.")
        first = self.source.form(self.cases[0])
        for case in self.cases[1:]:
            other = self.source.form(case)
            if other != first:
                raise InputError(
                    f"data: {self.cases[0].name} is {first.words()}, and {case.name} is {other.words()}; images of one "
                    "audit need one shape and bit depth. Resize or convert them, or list only equal ones."
                )
        return first

    def shape(self) -> tuple[int, ...]:
        """The shape (C, *spatial) that all images share; raises as `form`."""
        return self.form().shape

    def take(self, rows: Sequence[int]) -> Table:
        """The table of these rows, in this order."""
        return replace(self, cases=tuple(self.cases[row] for row in rows))

    def limit(self, count: int, seed: int = 0) -> Table:
        """At most `count` images, every class in proportion, in the table's order; the same for the same seed.

        The image of rank r (from 0, ranks drawn by seed and name) among the n of its class has the key r / n; those
        with the smallest keys stay (Adams' apportionment). So no class vanishes while `count` covers the classes,
        and a smaller limit is part of a larger one. Annotated images without a class are drawn at random.

        Raises:
            InputError: the count is below 1.
        """
        if count < 1:
            raise InputError(f"data.limit: {count} leaves no image. Give at least 1.")
        drawn = sorted(range(len(self)), key=lambda row: (derive(seed, "limit", self.cases[row].name), row))
        totals, ranks = Counter(case.label for case in self.cases), Counter[int]()
        keys: list[tuple[float, int, int]] = []
        for order, row in enumerate(drawn):
            label = self.cases[row].label
            keys.append((ranks[label] / totals[label], order, row))
            ranks[label] += 1
        return self.take(sorted(row for _, _, row in sorted(keys)[:count]))

    def fingerprint(self, rows: Sequence[int] | None = None) -> str:
        """SHA-256 over names, labels, groups, images and annotations of these rows (all unless told): their identity.

        Each image is hashed once in the life of the table and of what was taken from it.

        Raises:
            InputError: an image cannot be read.
        """
        digest = hashlib.sha256()
        for row in range(len(self)) if rows is None else rows:
            digest.update(self._digest(self.cases[row]))
        return digest.hexdigest()

    def _digest(self, case: Case) -> bytes:
        if case not in self._digests:
            named = json.dumps([case.name, case.label, case.group]).encode()
            digest = hashlib.sha256(len(named).to_bytes(8, "big") + named)
            image = self.source.content(case)
            digest.update(image)
            if self.annotations is not None:  # tables of classes keep the identity that finished runs have recorded
                digest.update(len(image).to_bytes(8, "big") + self.annotations.content(case))
            self._digests[case] = digest.digest()
        return self._digests[case]
