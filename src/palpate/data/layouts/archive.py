"""MedMNIST archives: one `.npz` with `{split}_images` and `{split}_labels`, read without pickle.

Images are (N, H, W), (N, H, W, 3) or volumes (N, D0, D1, D2). Labels are (N, 1), one class an image, or (N, findings),
a 1 or 0 for each of several findings.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.lib.format as npy

from palpate.data.annotations.findings import Findings
from palpate.data.annotations.labels import ClassLabels, FindingLabels, LabelKind
from palpate.data.cases import Case, checked_classes, class_number, label_of, listed, unnamed_classes
from palpate.data.formats.forms import Array, Form, bit_range, require_size
from palpate.data.formats.scan import Header
from palpate.data.layouts.layout import LabelFields, Layout
from palpate.data.listing import Cases
from palpate.data.rows import Rows
from palpate.errors import InputError, nearest

Headers = dict[str, tuple[tuple[int, ...], np.dtype]]
"""Shape and type of each array, by name."""

_TYPES = ("uint8", "uint16", "int16", "float32", "float64")
_COLOURS = (1, 3)
_MOST_CHANNELS = 4
"""A last axis up to here is one of channels; a longer one is the third axis of a volume."""


def read_headers(path: Path) -> Headers:
    """Shape and type of each array of an archive, without reading the arrays.

    Raises:
        InputError: the file is missing, or is no whole `.npz` archive.
    """
    headers: Headers = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if not member.endswith(".npy"):
                    continue
                with archive.open(member) as handle:
                    version = npy.read_magic(handle)
                    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                    shape, _, dtype = read(handle)
                headers[member.removesuffix(".npy")] = (shape, dtype)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Correct the path of the archive.") from error
    except Exception as error:  # zip, zlib, struct and NumPy each fail in their own way: all mean the same
        raise InputError(f"{path} is not a complete .npz archive ({error}). Download or copy it again.") from error
    return headers


def read_array(path: Path, name: str) -> Array:
    """One array of an archive; never by pickle.

    Raises:
        InputError: the array is damaged, or would need pickle.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[name])
    except Exception as error:  # damage shows as OSError, ValueError, BadZipFile, zlib.error, MemoryError ...
        raise InputError(f"{path}: the array '{name}' is damaged ({error}). Download or copy it again.") from error


@dataclass(frozen=True)
class MedMnist(Layout):
    """A MedMNIST archive.

    Attributes:
        split: `train`, `val` or `test`.
    """

    called: ClassVar[str] = "a MedMNIST archive"
    example: ClassVar[str] = "breastmnist.npz"
    reads: ClassVar[LabelFields] = {ClassLabels: (), FindingLabels: ()}
    own_split: ClassVar[str] = "test"

    split: str = "test"

    def rows(self, labels: LabelKind) -> Rows:
        """The images of the split; findings are as many as the labels of an image.

        Raises:
            InputError: an array is missing, damaged, of another shape or type, or a label is outside the classes.
        """
        source = Archive(self.path, self.split)
        if isinstance(labels, FindingLabels):
            cases, values = archive_findings(self.path, self.split, labels.names or ())
            return Rows(*cases, source, values)
        return Rows(*archive_cases(self.path, self.split, labels.names), source)


@dataclass(frozen=True)
class Archive:
    """Images of one split of an archive, read when the first is asked for and kept.

    Attributes:
        path: the `.npz` file.
        split: `train`, `val` or `test`.
    """

    path: Path
    split: str

    @cached_property
    def images(self) -> Array:
        """All images (N, C, *spatial) in stored values.

        Raises:
            InputError: an image holds NaN or infinity, or the array is damaged.
        """
        images = read_array(self.path, f"{self.split}_images")
        if images.dtype.kind == "f":
            finite = np.isfinite(images).reshape(len(images), -1).all(axis=1)
            if not finite.all():
                first = int(np.flatnonzero(~finite)[0])
                raise InputError(
                    f"{self.path}: {self.split}_images[{first}] holds NaN or infinity, the first of "
                    f"{int((~finite).sum())}. Repair these images, or take them out of the archive."
                )
        coloured = len(self._form.shape) == 3 and images.ndim == 4
        planes = images.transpose(0, 3, 1, 2) if coloured else images[:, None]
        return np.ascontiguousarray(planes, dtype=images.dtype.newbyteorder("="))

    def files(self, case: Case) -> tuple[Path, ...]:
        """The archive."""
        return (self.path,)

    def read(self, case: Case) -> Array:
        """A copy of the pixels (C, *spatial) of one case."""
        return np.array(self.images[case.origin])

    def form(self, case: Case) -> Form:
        """Shape and stored type, the same for every case."""
        return self._form

    def header(self, case: Case) -> Header:
        """Shape and bit depth, the same for every case."""
        whole = np.dtype(self._form.dtype).kind in "ui"
        lattice = bit_range(self._form.dtype) if whole else None
        return Header("npz", self._form.shape, self._form.dtype, lattice)

    def content(self, case: Case) -> bytes:
        """The bytes that make the pixels what they are."""
        pixels: bytes = self.images[case.origin].tobytes()
        return self.form(case).describe().encode() + pixels

    @cached_property
    def _form(self) -> Form:
        return archive_form(self.path, self.split, read_headers(self.path))


def archive_form(path: Path, split: str, headers: Headers) -> Form:
    """Shape and stored type of the images of a split.

    Raises:
        InputError: the archive has no images of this split, or they are neither grey, RGB nor volumes.
    """
    for name in (f"{split}_images", f"{split}_labels"):
        if name not in headers:
            raise InputError(f"{path} has no array '{name}'. {nearest(name, headers) if headers else 'It is empty.'}")
    shape, dtype = headers[f"{split}_images"]
    if dtype.name not in _TYPES:
        raise InputError(f"{path}: {split}_images are of type {dtype.name}. Give one of {listed(_TYPES)}.")
    volumes = len(shape) == 4 and shape[3] > _MOST_CHANNELS
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in _COLOURS and not volumes):
        raise InputError(
            f"{path}: {split}_images have shape {shape}; palpate reads (N, H, W), (N, H, W, C) with 1 or 3 channels, "
            "and volumes (N, D0, D1, D2)."
        )
    require_size(path, shape[1], shape[2] * shape[3] if volumes else shape[2])
    if volumes:
        return Form((1, *shape[1:]), dtype.name)
    return Form((shape[3] if len(shape) == 4 else 1, shape[1], shape[2]), dtype.name)


def archive_cases(path: Path, split: str, classes: Sequence[str] | None) -> Cases:
    """The cases of one split; the arguments are those of `MedMnist` and of its labels."""
    headers = read_headers(path)
    archive_form(path, split, headers)
    count = headers[f"{split}_images"][0][0]
    shape, dtype = headers[f"{split}_labels"]
    where = f"{path}: {split}_labels"
    if shape not in ((count,), (count, 1)):
        several = len(shape) == 2 and shape[0] == count and shape[1] > 1
        fix = (
            f'They hold {shape[1]} findings per image: write kind = "multilabel" with {shape[1]} findings in [task].'
            if several
            else "Give one label an image."
        )
        raise InputError(f"{where} have shape {shape} for {count} images; classes need ({count}, 1). {fix}")
    if dtype.kind not in "uif":
        raise InputError(f"{where} are of type {dtype.name}. Give class numbers.")
    if not count:
        raise InputError(f"{where} are empty. Choose another split.")
    texts = _label_texts(path, split)
    if classes is not None:
        names = checked_classes(classes, "classes")
    else:
        # A split may lack a class: all splits together say how many there are.
        splits = [name.removesuffix("_labels") for name in headers if name.endswith("_labels")]
        names = unnamed_classes([text for other in splits for text in _label_texts(path, other)], where)
    cases = []
    for row, text in enumerate(texts):
        number = label_of(text, names) if class_number(text) is not None else None
        if number is None:
            raise InputError(f"{where}[{row}] is {text}, which is not one of the classes {listed(names)}. Correct it.")
        name = f"{path.name}[{row}]"
        cases.append(Case(name, number, name, row))
    return tuple(cases), names


def _label_texts(path: Path, split: str) -> list[str]:
    return [str(value) for value in read_array(path, f"{split}_labels").ravel().tolist()]


def findings_in(path: Path, split: str) -> int:
    """How many findings the labels of a split hold of each image; 0 where they are one class an image.

    Raises:
        InputError: as `archive_form`.
    """
    headers = read_headers(path)
    archive_form(path, split, headers)
    shape, _ = headers[f"{split}_labels"]
    return shape[1] if len(shape) == 2 and shape[1] > 1 else 0


def archive_findings(path: Path, split: str, findings: Sequence[str]) -> tuple[Cases, Findings]:
    """The cases and findings of one split; the arguments are those of `MedMnist` and of its labels."""
    names = checked_classes(findings, "findings")
    count = findings_in(path, split)
    where = f"{path}: {split}_labels"
    if len(names) != count:
        held = f"{count} findings" if count else "one class"
        raise InputError(f"{where} hold {held} per image, and task.findings names {len(names)}. Name as many.")
    labels = read_array(path, f"{split}_labels")
    images = read_headers(path)[f"{split}_images"][0][0]
    if len(labels) != images or not images:
        raise InputError(f"{where} are of {len(labels)} images, and there are {images}. Give one line per image.")
    if labels.dtype.kind not in "uif" or not np.isin(labels, (0, 1)).all():
        raise InputError(f"{where} hold other values than 0 and 1. Write 1 for a finding that is present and 0 else.")
    cases = [Case(f"{path.name}[{row}]", -1, f"{path.name}[{row}]", row) for row in range(len(labels))]
    values = {case.path: tuple(int(value) for value in labels[case.origin]) for case in cases}
    return (tuple(cases), names), Findings(values)
