"""What a file says about its image: stored numbers, what they mean, and how an altered copy is written.

Every format (`palpate.data.formats.registry`) reads a file into a `Scan` and writes stored numbers into a copy.
Between the two, images are *values*: `slope * stored + intercept`, such as Hounsfield units; attacks search in values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from palpate.data.formats.forms import Array, Form
from palpate.errors import InputError


@dataclass(frozen=True)
class Header:
    """What is known of an image before its pixels are read. It contains nothing that identifies a patient.

    Attributes:
        format: `DICOM`, `DICOM series`, `NIfTI`, `NRRD`, `PNG`, `JPEG`, `TIFF`.
        shape: channels (1 grey, 3 RGB), then the spatial axes in the file's order; a series or several frames are
            a volume (1, slices, rows, columns).
        dtype: name of the NumPy type of the stored numbers, such as `int16`.
        lattice: lowest and highest number that the file can store (its bits stored, signed or not); None for
            floating point, whose steps are too fine to matter.
        slope: value of one stored step.
        intercept: value of a stored 0.
        unit: unit of the values, such as `HU`; empty if the file does not say.
        spacing: mm of a pixel along each spatial axis; None if the file does not say.
        modality: DICOM's code, such as `CT`, `MR`, `CR`, `US`; empty elsewhere.
        scanner: manufacturer and model; empty if the file does not say.
        inverted: low values are shown bright (MONOCHROME1). Reading never inverts values.
        lossless: an altered copy in this format has exactly the numbers that were written; a JPEG does not.
        window: lowest and highest value that the file asks to be shown, or None.
        orientation: how a viewer turns the stored pixels, 1 to 8 as in EXIF; reading does not turn them.
    """

    format: str
    shape: tuple[int, ...]
    dtype: str
    lattice: tuple[int, int] | None = None
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    spacing: tuple[float, ...] | None = None
    modality: str = ""
    scanner: str = ""
    inverted: bool = False
    lossless: bool = True
    window: tuple[float, float] | None = None
    orientation: int = 1

    @property
    def rescaled(self) -> bool:
        """Whether values differ from the stored numbers."""
        return self.slope != 1 or self.intercept != 0

    @property
    def step(self) -> float | None:
        """Difference of two neighbouring values that can be stored; None for floating point."""
        return None if self.lattice is None else abs(self.slope)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Lowest and highest value that can be stored; None for floating point."""
        if self.lattice is None:
            return None
        ends = sorted(self.slope * number + self.intercept for number in self.lattice)
        return ends[0], ends[1]

    @property
    def form(self) -> Form:
        """Shape and type of the values as palpate reads them: rescaled ones and volumes are float32."""
        floating = self.rescaled or self.lattice is None or len(self.shape) > 3
        return Form(self.shape, "float32" if floating else self.dtype)

    def values(self, stored: Array) -> Array:
        """`slope * stored + intercept` in the type of `form`; computed in float64, so that whole HU are exact."""
        if self.form.dtype != "float32":
            return stored
        if not self.rescaled:
            return stored.astype(np.float32)
        return (stored.astype(np.float64) * self.slope + self.intercept).astype(np.float32)

    def stored(self, values: npt.ArrayLike) -> Array:
        """The stored numbers nearest to some values, rounded and never truncated, in the file's own type.

        Raises:
            InputError: a value is outside the range that the file can store, or is not finite.
        """
        numbers = (np.asarray(values, dtype=np.float64) - self.intercept) / self.slope
        if not np.isfinite(numbers).all():
            raise InputError("values: they contain NaN or infinity, which no image stores. Replace them.")
        if self.lattice is None:
            return numbers.astype(self.dtype)
        whole = np.rint(numbers)
        low, high = self.lattice
        if whole.size and (whole.min() < low or whole.max() > high):
            raise InputError(
                f"values: stored numbers from {whole.min():g} to {whole.max():g} do not fit into {low} to {high}. "
                "Correct model.bounds: an attack then stays within what the file can store."
            )
        return whole.astype(self.dtype)


@dataclass(frozen=True, eq=False)
class Scan:
    """An image as it was read.

    Attributes:
        header: what the file says about it.
        stored: stored numbers (C, *spatial), in `header.dtype`; they may be changed.
    """

    header: Header
    stored: Array

    @property
    def values(self) -> Array:
        """Values (C, *spatial): see `Header.values`."""
        return self.header.values(self.stored)


@dataclass(frozen=True)
class Note:
    """What an altered copy says about itself, so that it cannot pass for an original.

    Attributes:
        attack: name of the attack.
        eps: its budget in words.
        identity: text that new identifiers (DICOM UIDs) are derived from: equal notes make equal files.
        identifiers: keep what identifies the patient; only if the user requests it.
    """

    attack: str
    eps: str
    identity: str
    identifiers: bool = False

    @property
    def text(self) -> str:
        """One sentence for the file's metadata."""
        return (
            f"Synthetic: altered by palpate ({self.attack}, {self.eps}) to test a model. "
            "No patient's original; not for diagnosis."
        )


class Format(Protocol):
    """One format of images on the disk. A path may be a folder, for a DICOM series."""

    @property
    def name(self) -> str:
        """The value of `Header.format`."""

    @property
    def suffix(self) -> str:
        """Ending of files of this format, `.dcm`; empty if a copy is a folder."""

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether a path is of this format by its first bytes (empty for a folder), never only by its name."""

    def header(self, path: Path) -> Header:
        """What the file says, without decoding its pixels.

        Raises:
            InputError: one sentence that names the file and the fix.
        """

    def read(self, path: Path) -> Scan:
        """The image.

        Raises:
            InputError: one sentence that names the file and the fix.
        """

    def write(self, source: Path, stored: Array, target: Path, note: Note) -> None:
        """Write stored numbers (C, *spatial) as a copy of `source`, marked as altered.

        Args:
            source: the original, for everything that is kept: affine, spacing, bit depth, quantisation tables.
            stored: numbers in the type and range of the source's header.
            target: file, or folder for a series; what is there is replaced.
            note: what the copy says about itself.

        Raises:
            InputError: the numbers do not fit the source.
            StorageError: the disk is full or cannot be written.
        """
