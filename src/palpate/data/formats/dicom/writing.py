"""Derived copies: they are marked as synthetic and altered, have new UIDs, and name no patient.

Sources: DICOM PS3.3 C.7.6.1 (image type, derivation), C.7.1.1 (patient identity removed), PS3.15 E (what identifies).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from palpate.data.formats.copies import SOFTWARE
from palpate.data.formats.dicom.files import one_sentence, open_before_pixels, open_header
from palpate.data.formats.dicom.frames import Groups
from palpate.data.formats.dicom.header import Described
from palpate.data.formats.dicom.kept import FRAME_TYPES, KEPT, keep, keep_groups, plain
from palpate.data.formats.forms import Array
from palpate.data.formats.scan import Header, Note
from palpate.errors import InputError, StorageError
from palpate.storage.writing import mark

PATIENT_NAME, PATIENT_ID = "SYNTHETIC^PALPATE", "SYNTHETIC"
"""The patient of every copy without identifiers."""

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_EMPTY = (
    *("StudyDate", "StudyTime", "ContentDate", "ContentTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"),
    *("PatientBirthDate", "PatientSex"),
)
_EMPTY_BY_MODALITY = {
    "CT": ("KVP", "AcquisitionNumber"),
    "MR": ("ScanningSequence", "SequenceVariant", "ScanOptions", "EchoTime", "RepetitionTime", "EchoTrainLength"),
    "CR": ("BodyPartExamined", "ViewPosition"),
}
_LOSSY = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.203",
)
"""JPEG baseline and extended, JPEG-LS near-lossless, JPEG 2000 and its high throughput."""
# Descriptions of the original pixels, and signatures over them, are not valid for the copy.
_STALE = (
    *("SmallestImagePixelValue", "LargestImagePixelValue", "IconImageSequence", "ExtendedOffsetTable"),
    *("ExtendedOffsetTableLengths", "DigitalSignaturesSequence", "MACParametersSequence", "PixelDataProviderURL"),
    *("LossyImageCompression", "PixelPaddingValue", "PixelPaddingRangeLimit", "PlanarConfiguration"),
)
_PALETTES = tuple(
    f"{prefix}{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for prefix, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
)


def require_range(source: Path, header: Header, stored: Array) -> None:
    """Refuse numbers outside the range that the source can store; raises InputError."""
    low, high = header.lattice or (0, 0)
    if stored.min() < low or stored.max() > high:
        raise InputError(
            f"{source} stores numbers from {low} to {high}, and those to be written reach from {stored.min()} to "
            f"{stored.max()}. Keep the attack inside the range that the file can store."
        )


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """A folder to fill. It is then at `target` complete, or not at all if filling it fails.

    Raises:
        StorageError: the disk cannot be written, or `target` has files that palpate did not write: it is not deleted.
    """
    if target.exists() and not (
        target.is_dir() and all(re.fullmatch(r"\d{4,}\.dcm", entry.name) for entry in target.iterdir())
    ):
        raise StorageError(f"{target} contains other files than slices that palpate wrote. Give another folder.")
    own = mark()
    filled, old = (target.with_name(f".{target.name}.{own}.{what}.partial") for what in ("new", "old"))
    try:
        shutil.rmtree(filled, ignore_errors=True)
        filled.mkdir(parents=True)
        yield filled
        if target.exists():
            os.replace(target, old)
        os.replace(filled, target)
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        for leftover in (filled, old):
            shutil.rmtree(leftover, ignore_errors=True)


def derived(source: Described, stored: Array, note: Note, place: int = 0) -> bytes:
    """A file with other pixels, marked as derived.

    Args:
        source: the original and its header.
        stored: numbers (C, *spatial) in the order of `source.header`.
        note: what the copy says about itself.
        place: which slice of a series it is, from 0.

    Raises:
        InputError: the numbers do not fit the source, or it can no longer be read.
    """
    require_range(source.path, source.header, stored)
    with one_sentence(source.path):
        if note.identifiers:
            copy = open_before_pixels(source.path)
            _drop_stale(copy)
        else:
            copy = _kept(source.path)
        _set_pixels(copy, source, stored)
        _mark(copy, source, note)
        _identify(copy, source, note, place, hashlib.sha256(stored.tobytes()).hexdigest())
        return _as_bytes(copy)


def _kept(path: Path) -> Any:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

    original = open_header(path, KEPT).dataset
    copy = Dataset()
    copy.SpecificCharacterSet = "ISO_IR 192"
    copy.PatientName, copy.PatientID = PATIENT_NAME, PATIENT_ID
    for keyword in _EMPTY:
        setattr(copy, keyword, "")
    keep(original, copy)
    keep_groups(original, copy)
    _keep_dimensions(original, copy)
    written = UID(str(original.get("SOPClassUID") or ""))
    copy.SOPClassUID = written if written.keyword.endswith("ImageStorage") else UID(_SECONDARY_CAPTURE)
    if copy.SOPClassUID == _SECONDARY_CAPTURE:
        copy.ConversionType = "WSD"
    if original.get("FrameIncrementPointer") == 0x00181063 and "FrameTime" in copy:
        copy.FrameIncrementPointer = 0x00181063
    for keyword in _EMPTY_BY_MODALITY.get(str(original.get("Modality") or ""), ()):
        if keyword not in copy:
            setattr(copy, keyword, None)
    copy.PatientIdentityRemoved = "YES"
    copy.DeidentificationMethod = "palpate: built from an allow-list of technical attributes"
    return copy


def _keep_dimensions(original: Any, copy: Any) -> None:
    from pydicom.dataset import Dataset

    items = []
    for item in original.get("DimensionIndexSequence") or []:
        kept = Dataset()
        for keyword in ("DimensionIndexPointer", "FunctionalGroupPointer"):
            tag = item.get(keyword)
            if tag is not None and isinstance(tag, int) and not tag >> 16 & 1:
                setattr(kept, keyword, tag)
        items.append(kept)
    # An index into a private attribute has no meaning without it, and the numbers of the others would shift.
    if items and all("DimensionIndexPointer" in item for item in items):
        copy.DimensionIndexSequence = items


def _drop_stale(copy: Any) -> None:
    lossy = copy.get("LossyImageCompression")
    for keyword in (*_STALE, *_PALETTES):
        if keyword in copy:
            delattr(copy, keyword)
    for group in range(0x6000, 0x6020, 2):
        if (group, 0x0102) in copy and (group, 0x3000) not in copy:  # an overlay in the pixels' unused bits
            for tag in [tag for tag in copy.keys() if tag.group == group]:  # noqa: SIM118
                del copy[tag]
    if lossy in ("00", "01"):
        copy.LossyImageCompression = lossy


def _set_pixels(copy: Any, source: Described, stored: Array) -> None:
    header, colour = source.header, source.header.shape[0] == 3
    low, high = header.lattice or (0, 0)
    frames = stored if len(header.shape) == 4 else stored[:, None]
    in_file_order = np.empty_like(frames)
    in_file_order[:, list(source.order)] = frames
    pixels = np.ascontiguousarray(in_file_order.transpose(1, 2, 3, 0)).astype(f"<{stored.dtype.str[1:]}", copy=False)
    copy.SamplesPerPixel = len(stored)
    copy.PhotometricInterpretation = "RGB" if colour else source.dataset.PhotometricInterpretation
    if colour:
        copy.PlanarConfiguration = 0
    if len(header.shape) == 4 or "NumberOfFrames" in source.dataset:
        copy.NumberOfFrames = frames.shape[1]
    copy.Rows, copy.Columns = frames.shape[2:]
    copy.BitsAllocated = stored.dtype.itemsize * 8
    copy.BitsStored = (high - low + 1).bit_length() - 1
    copy.HighBit = copy.BitsStored - 1
    copy.PixelRepresentation = int(low < 0)
    content = pixels.tobytes()
    copy.add_new(0x7FE00010, "OB" if stored.dtype.itemsize == 1 else "OW", content + b"\0" * (len(content) % 2))
    if not colour:
        _keep_padding(copy, source)


def _keep_padding(copy: Any, source: Described) -> None:
    low, high = source.header.lattice or (0, 0)
    value = source.dataset.get("PixelPaddingValue")
    if isinstance(value, int) and low <= value <= high:
        copy.add_new(0x00280120, "SS" if low < 0 else "US", value)


def _mark(copy: Any, source: Described, note: Note) -> None:
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes

    enhanced = Groups(copy).enhanced
    copy.Modality = source.header.modality or "OT"
    # Enhanced objects define no SECONDARY (PS3.3 C.8.16.1.2).
    copy.ImageType = ["DERIVED", "PRIMARY" if enhanced else "SECONDARY", *_further_kinds(source, note, enhanced)]
    for group in (*Groups(copy).items("Shared"), *Groups(copy).items("PerFrame")):
        for kind in [group[name].value[0] for name in FRAME_TYPES if group.get(name)]:
            kind.FrameType = list(copy.ImageType)
    copy.DerivationDescription = plain(note.text, 1024)
    copy.DerivationCodeSequence = [_code(codes.DCM.PixelByPixelAddition)]
    copy.SeriesDescription = plain(f"palpate synthetic {note.attack} {note.eps}")
    tool = Dataset()
    tool.PurposeOfReferenceCodeSequence = [_code(codes.DCM.ModifyingEquipment)]
    tool.Manufacturer = tool.ManufacturerModelName = SOFTWARE
    tool.SoftwareVersions = SOFTWARE
    tool.ContributionDescription = plain(note.text, 1024)
    copy.ContributingEquipmentSequence = [*(copy.get("ContributingEquipmentSequence") or []), tool]
    if enhanced and not note.identifiers:
        copy.ContentQualification = "RESEARCH"
        copy.DeviceSerialNumber, copy.SoftwareVersions = "SYNTHETIC", SOFTWARE
    if source.dataset.file_meta.TransferSyntaxUID in _LOSSY:
        copy.LossyImageCompression = "01"


def _further_kinds(source: Described, note: Note, enhanced: bool) -> list[str]:
    written = source.dataset.get("ImageType") or []
    further = [str(part) for part in ([written] if isinstance(written, str) else written)][2:]
    if note.identifiers:
        return further
    known = ("AXIAL", "LOCALIZER") if source.header.modality == "CT" else ()
    first = further[0] if further and further[0] in known else "OTHER"
    return [first, "NONE"] if enhanced else [first]


def _code(code: Any) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _identify(copy: Any, source: Described, note: Note, place: int, content: str) -> None:
    """New UIDs: one study, series and frame of reference for a note, one instance for its pixels and position."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    if note.identifiers and copy.get("SOPInstanceUID"):
        original = Dataset()
        original.ReferencedSOPClassUID, original.ReferencedSOPInstanceUID = copy.SOPClassUID, copy.SOPInstanceUID
        copy.SourceImageSequence = [original]
    copy.StudyInstanceUID, copy.SeriesInstanceUID, frame_of_reference, dimensions = (
        generate_uid(entropy_srcs=[SOFTWARE, note.identity, what]) for what in ("study", "series", "frame", "index")
    )
    copy.SOPInstanceUID = generate_uid(entropy_srcs=[SOFTWARE, note.identity, "instance", str(place), content])
    copy.SeriesNumber, copy.InstanceNumber = 1, place + 1
    if "ImagePositionPatient" in copy or Groups(copy).enhanced:
        copy.FrameOfReferenceUID, copy.PositionReferenceIndicator = frame_of_reference, ""
    elif "FrameOfReferenceUID" in copy:
        copy.FrameOfReferenceUID = frame_of_reference
    if not note.identifiers and "DimensionIndexSequence" in copy:
        organization = Dataset()
        organization.DimensionOrganizationUID = dimensions
        copy.DimensionOrganizationSequence = [organization]
        for item in copy.DimensionIndexSequence:
            item.DimensionOrganizationUID = dimensions
    copy.file_meta = FileMetaDataset()
    copy.file_meta.MediaStorageSOPClassUID = copy.SOPClassUID
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    copy.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _as_bytes(copy: Any) -> bytes:
    from pydicom import dcmwrite

    copy.preamble = bytes(128)
    buffer = BytesIO()
    dcmwrite(buffer, copy, enforce_file_format=True)
    return buffer.getvalue()
