"""What a DICOM file says about its image: form, lattice, rescale, unit, spacing, window. No pixel is decoded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palpate.data.formats.dicom.files import MAX_SURPLUS, Opened, one_sentence, open_header
from palpate.data.formats.dicom.frames import Groups, numbers, stacked
from palpate.data.formats.dicom.pixels import GREY, PALETTE, require_decoder, require_photometric
from palpate.data.formats.forms import require_size
from palpate.data.formats.scan import Header
from palpate.data.formats.volumes import MAX_VOXELS
from palpate.errors import InputError

IMAGE_KEYWORDS = (
    *(
        "SOPClassUID",
        "Modality",
        "ImageType",
        "Manufacturer",
        "ManufacturerModelName",
        "SeriesInstanceUID",
        "SOPInstanceUID",
    ),
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "Units", "ModalityLUTSequence", "WindowCenter", "WindowWidth"),
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "SpacingBetweenSlices", "SliceThickness"),
    *("ImagePositionPatient", "ImageOrientationPatient", "RedPaletteColorLookupTableDescriptor"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "FrameOfReferenceUID"),
)
"""The attributes that reading an image needs; no other attribute is read."""

_MODALITIES = (
    "BDUS BI BMD CD CF CR CT DD DF DG DM DMS DS DX EC ES FA FS GM IO IVOCT IVUS LP LS MA MG MR MS NM OAM OCT OP "
    "OPM OPT OPTBSV OPTENF OT PA POS PT PX RF RG SM ST TG US VF XA XC"
)
_UNITS = {"HU": "HU", "HU_MOD": "HU", "OD": "OD", "MGML": "mg/ml", "PCT": "%", "Z_EFF": "Z_eff", "BQML": "Bq/ml"}
_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.2": "MG",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "MG",
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.4.3": "MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",
    "1.2.840.10008.5.1.4.1.1.6.1": "US",
    "1.2.840.10008.5.1.4.1.1.3.1": "US",
    "1.2.840.10008.5.1.4.1.1.12.1": "XA",
    "1.2.840.10008.5.1.4.1.1.12.1.1": "XA",
    "1.2.840.10008.5.1.4.1.1.12.2": "RF",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.130": "PT",
}
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes of DICOM SEG: segmentations and label maps."""


@dataclass(frozen=True, eq=False)
class Described:
    """A file before its pixels are decoded.

    Attributes:
        path: the file.
        dataset: the attributes of `IMAGE_KEYWORDS`; they never leave `palpate.data.formats.dicom`.
        header: what palpate knows about the image.
        order: which stored frame each slice of the volume is.
    """

    path: Path
    dataset: Any
    header: Header
    order: tuple[int, ...]


def describe(path: Path) -> Described:
    """A file's header and its order of frames, without decoding its pixels.

    Raises:
        InputError: the file is damaged or not an image, it is too large, no decoder is installed for it, or it stores
            numbers that palpate cannot map to one lattice of values.
    """
    with one_sentence(path):
        opened = open_header(path, IMAGE_KEYWORDS)
        dataset = opened.dataset
        _require_image(path, opened)
        list(dataset)  # pydicom reads values on access: do it here, where its errors are handled
        frames, rows, columns = frame_size(path, dataset)
        require_decoder(path, dataset)
        groups = Groups(dataset)
        colour = require_photometric(path, dataset) != GREY
        _require_room(path, opened, frames)
        order, distance = _order(path, groups, frames)
        slope, intercept = (1.0, 0.0) if colour else _rescale(path, groups, frames)
        dtype, lattice = _lattice(path, dataset)
        modality = _modality(dataset)
        spatial = (frames, rows, columns) if frames > 1 else (rows, columns)
        header = Header(
            format="DICOM",
            shape=(3 if colour else 1, *spatial),
            dtype=dtype,
            lattice=lattice,
            slope=slope,
            intercept=intercept,
            unit="" if colour else _unit(groups, modality),
            spacing=_spacing(groups, frames, distance),
            modality=modality,
            scanner=_scanner(dataset),
            inverted=dataset.get("PhotometricInterpretation") == "MONOCHROME1",
            window=None if colour else _window(groups),
        )
        return Described(path, dataset, header, order)


def _require_image(path: Path, opened: Opened) -> None:
    if opened.dataset.get("SOPClassUID") in SEGMENTATIONS:
        raise InputError(f"{path} is a DICOM segmentation. Name it as the mask of an image, not as an image.")
    if not opened.room:
        raise InputError(
            f"{path} holds no pixel data: it is a report, a presentation or a truncated file. Give an image."
        )
    if opened.floating:
        raise InputError(
            f"{path} stores floating-point pixels (a parametric map), which palpate does not read from DICOM. "
            "Convert it to NIfTI."
        )


def frame_size(path: Path, dataset: Any) -> tuple[int, int, int]:
    """Frames, rows and columns; raises InputError if there are none, or far too many."""
    rows, columns = _whole(dataset, "Rows", 0), _whole(dataset, "Columns", 0)
    frames = _whole(dataset, "NumberOfFrames", 1) or 1
    require_size(path, rows, columns)
    if frames < 1 or frames * rows * columns > MAX_VOXELS:
        raise InputError(
            f"{path}: its header declares {frames} frames of {rows} x {columns} pixels, and palpate reads up to "
            f"{MAX_VOXELS:,} voxels. Split it into fewer frames, or copy it again if this is not its size."
        )
    return frames, rows, columns


def _require_room(path: Path, opened: Opened, frames: int) -> None:
    # Before anything of either size is allocated: a header may declare far more than the file has, or far less.
    dataset = opened.dataset
    samples, size = _whole(dataset, "SamplesPerPixel", 1), _whole(dataset, "BitsAllocated", 0) // 8
    halved = 2 / 3 if dataset.get("PhotometricInterpretation") == "YBR_FULL_422" else 1
    needed = int(frames * dataset.Rows * dataset.Columns * samples * size * halved)
    if opened.room > 2 * needed + MAX_SURPLUS:
        raise InputError(
            f"{path} holds {opened.room:,} bytes of pixels, and its header declares {needed:,}. Copy it again from its "
            "source, or take it out of the table."
        )
    if opened.room < needed and not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        raise InputError(
            f"{path} is truncated: its header declares {needed:,} bytes of pixels, and {opened.room:,} are left in "
            "the file. Copy it again from its source, or take it out of the table."
        )


def _whole(dataset: Any, keyword: str, default: int) -> int:
    found = numbers(dataset.get(keyword), 1)
    return int(found[0]) if found else default


def _lattice(path: Path, dataset: Any) -> tuple[str, tuple[int, int]]:
    if require_photometric(path, dataset) == PALETTE:
        table = numbers(dataset.get("RedPaletteColorLookupTableDescriptor"), 3)
        if not table or table[2] not in (8, 16):
            raise InputError(f"{path}: its colour table has no readable descriptor. Export the image again as RGB.")
        return f"uint{int(table[2])}", (0, 2 ** int(table[2]) - 1)
    allocated, stored = _whole(dataset, "BitsAllocated", 0), _whole(dataset, "BitsStored", 0)
    high, signed = _whole(dataset, "HighBit", stored - 1), _whole(dataset, "PixelRepresentation", 0)
    if allocated not in (8, 16) or not 1 <= stored <= allocated or signed not in (0, 1):
        raise InputError(
            f"{path} stores {stored} of {allocated} bits per pixel, and palpate reads up to 16 bits in 8 or 16. "
            "Convert it."
        )
    if high != stored - 1:
        raise InputError(f"{path}: its highest bit is {high}, where {stored} bits end at {stored - 1}. Correct it.")
    bits = allocated if _padding_outside(dataset, stored, signed) else stored
    lattice = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return f"{'' if signed else 'u'}int{allocated}", lattice


def _padding_outside(dataset: Any, stored: int, signed: int) -> bool:
    # Some scanners mark values outside the body by a number that the bits stored cannot represent, such as -2000
    # with 12 bits: the file then uses all the bits that it allocates.
    low, high = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if signed else (0, 2**stored - 1)
    marks = [*numbers(dataset.get("PixelPaddingValue"), 1), *numbers(dataset.get("PixelPaddingRangeLimit"), 1)]
    return any(not low <= mark <= high for mark in marks)


def _order(path: Path, groups: Groups, frames: int) -> tuple[tuple[int, ...], float | None]:
    planes = [groups.plane(frame) for frame in range(frames)] if groups.enhanced and frames > 1 else []
    known = [plane for plane in planes if plane is not None]
    if len(known) < 2 or len(known) < frames:
        return tuple(range(frames)), None
    order, distance = stacked(path, known, [f"frame {frame + 1}" for frame in range(frames)])
    return tuple(order), distance


def _rescale(path: Path, groups: Groups, frames: int) -> tuple[float, float]:
    if groups.dataset.get("ModalityLUTSequence"):
        raise InputError(
            f"{path} maps its pixels by a table (Modality LUT), so that equal steps are not equal values. Export it "
            "with a rescale slope and intercept, or with the table applied."
        )
    maps = set()
    for frame in range(frames if groups.enhanced else 1):
        slope = _rescale_number(path, groups, frame, "RescaleSlope", 1.0)
        maps.add((slope, _rescale_number(path, groups, frame, "RescaleIntercept", 0.0)))
    if len(maps) > 1:
        raise InputError(
            f"{path}: its frames have {len(maps)} different rescale slopes and intercepts, so they have no common "
            "lattice of values. Export it with one rescale for all frames."
        )
    return maps.pop()


def _rescale_number(path: Path, groups: Groups, frame: int, keyword: str, default: float) -> float:
    value = groups.get(frame, "PixelValueTransformationSequence", keyword)
    if value is None or value == "":
        return default
    found = numbers(value, 1)
    if not found or (keyword == "RescaleSlope" and found[0] == 0) or abs(found[0]) > 1e30:
        raise InputError(f"{path}: its {keyword} is not a number that can map pixels. Correct it in the file.")
    return found[0]


def _unit(groups: Groups, modality: str) -> str:
    kind = groups.get(0, "PixelValueTransformationSequence", "RescaleType")
    known = groups.get(0, "PixelValueTransformationSequence", "RescaleIntercept") is not None
    if modality == "CT" and known and kind in (None, "", "HU"):
        return "HU"
    # Only defined terms: a free text could contain anything, and this one is shown in reports.
    return _UNITS.get(str(kind or groups.dataset.get("Units") or ""), "")


def _spacing(groups: Groups, frames: int, distance: float | None) -> tuple[float, ...] | None:
    within: list[float] = []
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        found = numbers(groups.get(0, "PixelMeasuresSequence", keyword), 2)
        if found and min(found) > 0:
            within = found
            break
    if not within:
        return None
    if frames == 1:
        return within[0], within[1]
    if distance is None:
        apart = numbers(groups.get(0, "PixelMeasuresSequence", "SpacingBetweenSlices"), 1)
        distance = apart[0] if apart and apart[0] > 0 else None
    return None if distance is None else (distance, within[0], within[1])


def _window(groups: Groups) -> tuple[float, float] | None:
    # Centre -/+ half the width, the usual meaning: "40/400" is -160 to 240.
    centre = numbers(groups.get(0, "FrameVOILUTSequence", "WindowCenter"))
    width = numbers(groups.get(0, "FrameVOILUTSequence", "WindowWidth"))
    if not centre or not width or width[0] <= 0 or not math.isfinite(centre[0] + width[0]):
        return None
    return centre[0] - width[0] / 2, centre[0] + width[0] / 2


def _modality(dataset: Any) -> str:
    written = str(dataset.get("Modality") or "")
    return written if written in _MODALITIES.split() else _CLASSES.get(str(dataset.get("SOPClassUID") or ""), "")


def _scanner(dataset: Any) -> str:
    parts = (str(dataset.get(keyword) or "") for keyword in ("Manufacturer", "ManufacturerModelName"))
    return " ".join(
        " ".join("".join(c if c.isprintable() else " " for c in part).split())[:64] for part in parts
    ).strip()
