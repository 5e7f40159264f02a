"""Volumes as they are stored: NIfTI (`.nii`, `.nii.gz`) through nibabel. No reorientation, no resampling.

A fourth axis has channels, such as the sequences of one MR examination. An image of one slice is two-dimensional.
The axes keep the order of the file, because a deployed network sees them in the order of its own reader. To reorient
or resample before the network, do it in the files, or as part of the model. Values are the scanner's, such as
Hounsfield units: the slope and intercept of the header are applied.
"""

from __future__ import annotations

import gzip
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from palpate.data.formats.finite import with_finite_values
from palpate.data.formats.forms import Array, bit_range
from palpate.data.formats.scan import Header, Scan
from palpate.errors import InputError

VOLUME_SUFFIXES = (".nii.gz", ".nii")
"""Endings of files that are read as volumes."""

MAX_VOXELS = 2**29
"""Volumes of more voxels (512 x 512 x 2048) are refused before they are read: a damaged or hostile header."""

MOST_CHANNELS = 16
"""A longer fourth axis is time or directions, not channels of one image."""

_GZIP = b"\x1f\x8b"
_SLACK = 2**20
_LONGEST_HEADER = 2**26
_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_APART = 0.1


@dataclass(frozen=True)
class Axes:
    """The axes of a file.

    Attributes:
        sizes: numbers along each axis of the file.
        space: axes in space, three or two.
        place: axis of the channels; None if there is one channel.
    """

    sizes: tuple[int, ...]
    space: tuple[int, ...]
    place: int | None = None

    @property
    def spatial(self) -> tuple[int, ...]:
        """Numbers along the axes in space."""
        return tuple(self.sizes[axis] for axis in self.space)

    @property
    def channels(self) -> int:
        """Numbers of one place in space."""
        return 1 if self.place is None else self.sizes[self.place]

    def arranged(self, numbers: Array) -> Array:
        """Numbers in the order of the file as (C, *spatial)."""
        moved = numbers if self.place is None else np.moveaxis(numbers, self.place, 0)
        return moved.reshape(self.channels, *self.spatial)

    def restored(self, stored: Array) -> Array:
        """The inverse of `arranged`."""
        if self.place is None:
            return stored.reshape(self.sizes)
        others = [size for axis, size in enumerate(self.sizes) if axis != self.place]
        return np.moveaxis(stored.reshape(self.channels, *others), 0, self.place)


@dataclass(frozen=True, eq=False)
class VolumeHeader:
    """What is known of a volume before its voxels are read.

    Attributes:
        axes: which axes of the file are in space, and which one has the channels.
        kind: name of the NumPy type that the file stores, such as `int16`.
        spacing: mm of a voxel along each axis in space; None if the file names no unit and only sizes of 1.
        affine: (4, 4) from voxel indices to positions in the file's unit.
        slope: value of one stored step.
        intercept: value of a stored 0.
    """

    axes: Axes
    kind: str
    spacing: tuple[float, ...] | None
    affine: npt.NDArray[np.float64]
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis in space: three, or two for one slice."""
        return self.axes.spatial

    @property
    def scan(self) -> Header:
        """The same as a header of any format."""
        lattice = None if np.dtype(self.kind).kind == "f" else bit_range(self.kind)
        return Header(
            "NIfTI",
            (self.axes.channels, *self.shape),
            self.kind,
            lattice,
            self.slope,
            self.intercept,
            spacing=self.spacing,
        )


class Volume(NamedTuple):
    """A volume that was read.

    Attributes:
        array: (C, D0, D1, D2) float32, of one slice (C, D0, D1), after the header's slope and intercept.
        spacing: mm of a voxel along each axis in space, or None; see `VolumeHeader.spacing`.
        kind: name of the NumPy type that the file stores.
    """

    array: Array
    spacing: tuple[float, ...] | None
    kind: str


def is_volume(path: Path | str) -> bool:
    """Whether a file is a volume by its ending."""
    return str(path).lower().endswith(VOLUME_SUFFIXES)


def read_volume(path: Path) -> Volume:
    """The voxels of a NIfTI file.

    Raises:
        InputError: as in `read_volume_header`, or the file is truncated, damaged, or has NaN or infinity.
    """
    header = read_volume_header(path)
    scan = with_finite_values(path, Scan(header.scan, read_stored(path, header)))
    return Volume(scan.values, header.spacing, header.kind)


def read_stored(path: Path, header: VolumeHeader) -> Array:
    """The numbers (C, *spatial) that the file stores, in their own type, before slope and intercept.

    Raises:
        InputError: the file is truncated or damaged.
    """
    with _one_sentence(path):
        return header.axes.arranged(_voxels(path))


def read_volume_header(path: Path) -> VolumeHeader:
    """Shape, stored type and spacing of a NIfTI file, without reading its voxels.

    Raises:
        InputError: the file is missing, not NIfTI, not an image or volume of numbers, far too large, or its voxels
            have no size or two sizes.
    """
    with _one_sentence(path):
        header = raw_header(path)
        axes, kind = axes_of(path, header.get_data_shape()), header.get_data_dtype()
        if kind.kind not in "uif":
            what = "colours" if kind.fields else f"values of type {kind.name}"
            raise InputError(f"{path} stores {what}, and palpate reads volumes of one number per voxel. Convert it.")
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        slope, intercept = header.get_slope_inter()
        if slope is None:  # a slope of 0 means that numbers are not scaled
            slope, intercept = 1.0, 0.0
        spacing = _spacing(path, header, affine, axes)
        return VolumeHeader(axes, kind.newbyteorder("=").name, spacing, affine, float(slope), float(intercept))


def same_grid(one: VolumeHeader, other: VolumeHeader) -> bool:
    """Whether the voxels of two volumes of one shape are at the same places, to a tenth of a voxel."""
    sizes = (*one.shape, 1)[:3]
    corners = np.array(np.meshgrid(*[(0.0, float(size - 1)) for size in sizes])).reshape(3, -1)
    corners = np.vstack([corners, np.ones(8)])
    apart = np.linalg.norm(((one.affine - other.affine) @ corners)[:3], axis=0).max()
    return bool(apart <= _APART * np.linalg.norm(one.affine[:3, : len(one.shape)], axis=0).min())


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    # nibabel logs what it fixes in a header; problems that matter here are raised.
    logger = logging.getLogger("nibabel.global")
    # Another level would clear the cache of every logger, which takes longer than reading a small volume.
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Correct its name in the table, or put the file there.") from error
    except Exception as error:  # gzip, zlib, struct, nibabel and NumPy raise different errors that all mean the same
        code = "its header holds an unknown code, " if isinstance(error, KeyError) else ""
        reason = code + (" ".join(str(error).split())[:200] or type(error).__name__)
        raise InputError(
            f"{path} is not a complete NIfTI volume ({reason}). Copy it again from its source, or take it out of "
            "the table."
        ) from error
    finally:
        logger.disabled = before


def _open(path: Path) -> Any:
    with open(path, "rb") as handle:
        packed = handle.read(2) == _GZIP
    return gzip.open(path, "rb") if packed else open(path, "rb")


def raw_header(path: Path) -> Any:
    """The header as nibabel parses it, unchecked: its check writes 1 mm if the file stores no size."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    with _open(path) as handle:
        head = handle.read(Nifti2Header.sizeof_hdr)
    if not head:
        raise InputError(f"{path} is empty (0 bytes). Copy it again from its source, or take it out of the table.")
    sizes = [int.from_bytes(head[:4], order) for order in ("little", "big")]
    kind: Any = Nifti2Header if Nifti2Header.sizeof_hdr in sizes else Nifti1Header
    header = kind(head[: kind.sizeof_hdr], check=False)
    if bytes(header["magic"])[:3] not in (b"n+1", b"n+2"):
        raise InputError(f"{path} is not a single-file NIfTI. Save it as .nii or .nii.gz.")
    if not 0 <= header["vox_offset"] <= _LONGEST_HEADER:
        raise InputError(f"{path}: its header puts the voxels at byte {header['vox_offset']}. Copy the file again.")
    return header


def _voxels(path: Path) -> Array:
    from nibabel.nifti1 import Nifti1Image
    from nibabel.nifti2 import Nifti2Header, Nifti2Image

    header = raw_header(path)
    size = int(header["vox_offset"]) + math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
    with _open(path) as handle:
        content = handle.read(size + _SLACK)  # to the end of the file, so that gzip compares its checksum
    if len(content) < size:  # before memory is allocated for missing data
        raise ValueError(f"{len(content):,} of {size:,} bytes")
    kind = Nifti2Image if isinstance(header, Nifti2Header) else Nifti1Image
    image: Any = kind.from_bytes(content)
    stored = np.asarray(image.dataobj.get_unscaled())
    return stored.astype(stored.dtype.newbyteorder("="), copy=not stored.flags.writeable)


def axes_of(path: Path, shape: tuple[int, ...]) -> Axes:
    """The meaning of the axes of a NIfTI file.

    Channels are on the first axis after the third that is longer than 1: (x, y, z, C), or (x, y, z, 1, C) as ITK
    writes vectors. They are on the first of four if that is the shortest, or the only one of at most
    `MOST_CHANNELS` of these two.
    One slice, (x, y, 1), is an image of two dimensions.

    Raises:
        InputError: there is one axis only, no voxels or far too many, or more volumes than channels are allowed.
    """
    sizes = tuple(int(size) for size in shape)
    words = " x ".join(map(str, sizes))
    if len(sizes) < 2:
        raise InputError(f"{path} has one axis ({words}), and an image has two or three. Take it out of the table.")
    require_voxels(path, sizes)
    beyond = [axis for axis in range(3, len(sizes)) if sizes[axis] > 1]
    place = beyond[0] if beyond else None
    if beyond == [3] and sizes[0] <= MOST_CHANNELS and (sizes[3] > MOST_CHANNELS or sizes[0] < min(sizes[1:])):
        place = 0
    if len(beyond) > 1 or (place is not None and sizes[place] > MOST_CHANNELS):
        raise InputError(
            f"{path} holds {words} voxels: a series of volumes. palpate reads up to {MOST_CHANNELS} volumes of a file "
            "as channels. Save each volume as a separate file, for example with nibabel's four_to_three."
        )
    space = tuple(axis for axis in range(min(len(sizes), 4)) if axis != place)[:3]
    return Axes(sizes, space[:2] if len(space) == 3 and sizes[space[2]] == 1 else space, place)


def require_voxels(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse a volume whose header declares no voxels or far too many; raises InputError."""
    words = " x ".join(map(str, shape))
    if min(shape) < 1:
        raise InputError(f"{path}: its header declares {words} voxels. Copy the file again from its source.")
    if math.prod(shape) > MAX_VOXELS:
        raise InputError(
            f"{path}: its header declares {words} voxels, and palpate reads up to {MAX_VOXELS:,}. "
            "Crop or resample the volume, or copy it again if this is not its size."
        )


def _spacing(path: Path, header: Any, affine: npt.NDArray[np.float64], axes: Axes) -> tuple[float, ...] | None:
    stored = np.asarray([header["pixdim"][axis + 1] for axis in axes.space], dtype=np.float64)
    words = " x ".join(f"{size:g}" for size in stored)
    if not (np.isfinite(stored).all() and (stored > 0).all() and np.isfinite(affine).all()):
        raise InputError(f"{path}: its voxels have the size {words}. Write their size in mm into the header (pixdim).")
    if axes.place != 0:  # the affine is about the first three axes
        placed = np.linalg.norm(affine[:3, :3], axis=0)[list(axes.space)]
        if not np.allclose(stored, placed, rtol=0.01):
            raise InputError(
                f"{path}: its voxels have the size {words} by pixdim, and {' x '.join(f'{size:g}' for size in placed)} "
                "by its affine. Correct the header, so that mm and ml are right."
            )
    unit = header.get_xyzt_units()[0]
    if unit == "unknown" and (stored == 1.0).all():
        return None
    return tuple(float(size) * _MILLIMETRES[unit] for size in stored)
