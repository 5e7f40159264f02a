"""DICOM SEG: the masks of structures on the grid of the image that they were drawn on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from palpate.data.formats.dicom.files import Opened, one_sentence, open_header, open_pixels
from palpate.data.formats.dicom.frames import TURNED, Groups, Plane, numbers
from palpate.data.formats.dicom.header import SEGMENTATIONS, describe, frame_size
from palpate.data.formats.dicom.kept import plain
from palpate.data.formats.dicom.pixels import PIXEL_TAGS, bounded_pixels, require_decoder
from palpate.data.formats.dicom.series import slices_of
from palpate.data.formats.volumes import MAX_VOXELS
from palpate.errors import InputError

MAX_LABELS = 4 * MAX_VOXELS
"""Most structures times voxels (bytes) of the masks of one file; more is refused before it is read."""

_KEYWORDS = (
    *("SOPClassUID", "SegmentationType", "SegmentSequence", "FrameOfReferenceUID"),
    *("NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
_PART = 0.1
"""A frame is on a slice if it is nearer than this share of a pixel."""


@dataclass(frozen=True, eq=False)
class SegmentMasks:
    """Masks of structures, separate if they overlap.

    Attributes:
        labels: (S, *spatial) 0 and 1, on the grid of the image.
        names: what each structure is called, in the order of `labels`.
        spacing: mm of a pixel along each spatial axis of the image, or None.
    """

    labels: npt.NDArray[np.uint8]
    names: tuple[str, ...]
    spacing: tuple[float, ...] | None


@dataclass(frozen=True, eq=False)
class _Slice:
    """One slice of the image: which instance and frame it is, and its position."""

    instance: str
    frame: int
    plane: Plane | None


@dataclass(frozen=True, eq=False)
class _Grid:
    """The image: its slices in order, and what they have in common."""

    path: Path
    slices: list[_Slice]
    spatial: tuple[int, ...]
    spacing: tuple[float, ...] | None
    frame_of_reference: str


def read_segmentation(path: Path, reference: Path) -> SegmentMasks:
    """The structures of a DICOM SEG on the grid of a DICOM file or series.

    A frame is on the slice at its position; if positions are not known, on the one that it refers to. Slices
    without a frame are background. BINARY and LABELMAP are read.

    Args:
        path: the SEG file.
        reference: the image that it was drawn on: a file, or the folder of a series.

    Raises:
        InputError: one of them cannot be read, the SEG stores fractions, it has another grid, or a frame is on no
            slice of the image.
    """
    grid = _grid(reference)
    with one_sentence(path):
        opened = open_header(path, _KEYWORDS)
        _require_segmentation(path, opened)
        frames, rows, columns = frame_size(path, opened.dataset)
        require_decoder(path, opened.dataset)
        groups = Groups(opened.dataset)
        _require_grid(path, groups, grid, (rows, columns))
        names = _names(path, opened.dataset)
        if len(names) * int(np.prod(grid.spatial, dtype=np.int64)) > MAX_LABELS:
            raise InputError(
                f"{path} holds {len(names)} structures of {' x '.join(map(str, grid.spatial))} voxels, and palpate "
                f"reads up to {MAX_LABELS:,} in all. Leave out structures, or crop the image."
            )
        places = [_place(path, groups, frame, grid) for frame in range(frames)]
        pixels = bounded_pixels(path, open_pixels(path, PIXEL_TAGS)).reshape(frames, rows, columns)
        labels = np.zeros((len(names), len(grid.slices), rows, columns), dtype=np.uint8)
        for frame, place in enumerate(places):
            for segment, mask in _masks(path, groups, frame, pixels[frame], list(names)):
                labels[segment, place] |= mask
        return SegmentMasks(labels.reshape(len(names), *grid.spatial), _distinct(list(names.values())), grid.spacing)


def _grid(reference: Path) -> _Grid:
    if reference.is_dir():
        header, described = slices_of(reference)
    else:
        one = describe(reference)
        header, described = one.header, [one]
    with one_sentence(reference):
        slices = [
            _Slice(str(each.dataset.get("SOPInstanceUID") or ""), frame, Groups(each.dataset).plane(frame))
            for each in described
            for frame in each.order
        ]
    frame_of_reference = str(described[0].dataset.get("FrameOfReferenceUID") or "")
    return _Grid(reference, slices, header.shape[1:], header.spacing, frame_of_reference)


def _require_segmentation(path: Path, opened: Opened) -> None:
    dataset = opened.dataset
    if dataset.get("SOPClassUID") not in SEGMENTATIONS:
        raise InputError(f"{path} is DICOM, but not a segmentation (SEG). Name the file with the mask.")
    kind = dataset.get("SegmentationType")
    if kind == "FRACTIONAL":
        raise InputError(
            f"{path} stores fractions (probabilities or shares of a voxel), and a mask says yes or no. Threshold it "
            "and save it as BINARY."
        )
    if kind not in ("BINARY", "LABELMAP") or not opened.room:
        raise InputError(f"{path} is not a complete segmentation. Copy it again from its source.")


def _require_grid(path: Path, groups: Groups, grid: _Grid, size: tuple[int, int]) -> None:
    if size != grid.spatial[-2:]:
        rows, columns = grid.spatial[-2:]
        raise InputError(
            f"{path} has {size[0]} x {size[1]} pixels, and its image {grid.path} {rows} x {columns}. Give each image "
            "the segmentation that was drawn on it."
        )
    within = numbers(groups.get(0, "PixelMeasuresSequence", "PixelSpacing"), 2)
    if within and grid.spacing is not None and not np.allclose(within, grid.spacing[-2:], rtol=0.01):
        raise InputError(
            f"{path} has another grid than its image {grid.path}: its pixels have other sizes. Resample it."
        )


def _names(path: Path, dataset: Any) -> dict[int, str]:
    found = {}
    for item in dataset.get("SegmentSequence") or []:
        number = numbers(item.get("SegmentNumber"), 1)
        if number and number[0] >= 1:  # 0 is the background of a LABELMAP
            found[int(number[0])] = plain(item.get("SegmentLabel") or "") or f"segment {int(number[0])}"
    if not found:
        raise InputError(f"{path} names no structure (SegmentSequence). Copy it again from its source.")
    return found


def _distinct(names: list[str]) -> tuple[str, ...]:
    return tuple(
        name if names.count(name) == 1 else f"{name} {names[: at + 1].count(name)}" for at, name in enumerate(names)
    )


def _masks(path: Path, groups: Groups, frame: int, pixels: Any, known: list[int]) -> list[tuple[int, Any]]:
    """Which structures a frame has: (place among `known`, 0 and 1)."""
    if groups.dataset.SegmentationType == "LABELMAP":
        strange = np.setdiff1d(pixels, [0, *known])
        if len(strange):
            raise InputError(f"{path} holds the label {strange[0]}, which it does not describe. Correct the file.")
        return [(place, (pixels == number).astype(np.uint8)) for place, number in enumerate(known)]
    number = numbers(groups.get(frame, "SegmentIdentificationSequence", "ReferencedSegmentNumber"), 1)
    if not number or int(number[0]) not in known:
        raise InputError(f"{path}: frame {frame + 1} has no structure that the file describes. Correct the file.")
    return [(known.index(int(number[0])), (pixels != 0).astype(np.uint8))]


def _place(path: Path, groups: Groups, frame: int, grid: _Grid) -> int:
    plane, referenced = groups.plane(frame), _referenced(groups, frame)
    named = [
        place
        for place, each in enumerate(grid.slices)
        if any(each.instance == uid and (not only or each.frame + 1 in only) for uid, only in referenced)
    ]
    planes = [each.plane for each in grid.slices]
    if plane is None or any(each is None for each in planes):
        if len(named) == 1:
            return named[0]
        raise InputError(
            f"{path}: frame {frame + 1} refers to {len(named) or 'no'} slices of {grid.path}, and does not say where "
            "it is. Give the image that it was drawn on."
        )
    other = str(groups.dataset.get("FrameOfReferenceUID") or "")
    if not named and other and grid.frame_of_reference and other != grid.frame_of_reference:
        raise InputError(
            f"{path} was drawn in another frame of reference than {grid.path}, and refers to none of its slices. Give "
            "the image that it was drawn on."
        )
    return _at_position(path, plane, frame, grid)


def _referenced(groups: Groups, frame: int) -> list[tuple[str, list[float]]]:
    sources = groups.get(frame, "DerivationImageSequence", "SourceImageSequence") or []
    return [
        (str(item.get("ReferencedSOPInstanceUID") or ""), numbers(item.get("ReferencedFrameNumber")))
        for item in sources
        if item.get("ReferencedSOPInstanceUID")
    ]


def _at_position(path: Path, plane: Plane, frame: int, grid: _Grid) -> int:
    planes = [each.plane for each in grid.slices if each.plane is not None]
    if np.abs(plane.orientation - planes[0].orientation).max() > TURNED:
        raise InputError(
            f"{path} has another grid than its image {grid.path}: its rows or columns have other directions. "
            "Resample it to the image."
        )
    apart = np.array([plane.position - each.position for each in planes])
    nearest = int(np.linalg.norm(apart, axis=1).argmin())
    slack = _PART * min(grid.spacing) if grid.spacing else _PART
    if np.linalg.norm(apart[nearest]) <= slack:
        return nearest
    across = np.abs(apart @ planes[0].normal)
    if across.min() > slack:
        raise InputError(
            f"{path}: frame {frame + 1} is on no slice of {grid.path}; the nearest is {across.min():.2f} mm away. "
            "Give the image that it was drawn on, with all its slices."
        )
    raise InputError(
        f"{path} has another grid than its image {grid.path}: its first pixel is shifted by "
        f"{np.linalg.norm(apart[nearest]):.2f} mm. Resample it to the image."
    )
