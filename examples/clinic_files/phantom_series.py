"""Thorax phantoms as DICOM: one folder per series, one file per slice, and a DICOM SEG with lungs and lesions.

These are no patients. Every file says so: PatientName, SeriesDescription and ImageComments.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SegmentationStorage, generate_uid

from palpate.data.phantoms import thorax_volume
from palpate.data.phantoms.folder import NOTICE, labelled
from palpate.models.demo.thorax import SIZE, STRUCTURES
from palpate.seeds import derive

INTERCEPT = -1024
DEPTH, LEVELS = 48, slice(20, 32)
"""Slices of a whole chest, 6 mm each, and those of the middle of the lungs, which are written."""
STRAIGHT = [1, 0, 0, 0, 1, 0]


def write(folder: Path, count: int, seed: int) -> list[dict[str, str]]:
    """Write `count` series and their masks; returns the lines of the table (file, mask, patient)."""
    return [_case(folder, number, np.random.default_rng(derive(seed, "series", number))) for number in range(count)]


def _case(folder: Path, number: int, rng: np.random.Generator) -> dict[str, str]:
    made = thorax_volume(rng, DEPTH, SIZE)
    values, masks = made.image[LEVELS], labelled(made.lungs, made.lesions)[LEVELS]
    name, patient = f"series_{number:02d}", f"phantom {number}"
    shared = _shared(patient, tuple(generate_uid(entropy_srcs=[NOTICE, name, what]) for what in "abc"), made.spacing)
    files = rng.permutation(len(values)).tolist()  # names do not give the order, as in exports of a PACS
    instances = []
    for place, plane in enumerate(values):
        data = _slice(shared, plane, place, made.spacing, generate_uid(entropy_srcs=[NOTICE, name, str(place)]))
        instances.append(data.SOPInstanceUID)
        _saved(data, folder / name / f"IM{files[place]:04d}")
    _saved(_masks(shared, masks, made.spacing, instances), folder / f"{name}_seg.dcm")
    return {"file": name, "mask": f"{name}_seg.dcm", "patient": patient}


def _shared(patient: str, uids: tuple[str, str, str], spacing: tuple[float, ...]) -> Dataset:
    shared = Dataset()
    shared.PatientName, shared.PatientID, shared.PatientBirthDate, shared.PatientSex = NOTICE, patient, "", ""
    shared.StudyInstanceUID, shared.SeriesInstanceUID, shared.FrameOfReferenceUID = uids
    shared.StudyDate = shared.StudyTime = shared.ReferringPhysicianName = shared.StudyID = shared.AccessionNumber = ""
    shared.PositionReferenceIndicator, shared.SeriesDescription, shared.SeriesNumber = "", NOTICE, 1
    shared.Manufacturer, shared.ManufacturerModelName = "palpate", "digital phantom"
    shared.ImageComments = NOTICE
    return shared


def _slice(shared: Dataset, plane: NDArray[Any], place: int, spacing: tuple[float, ...], uid: str) -> FileDataset:
    data = _file(shared, CTImageStorage, uid)
    data.Modality, data.ImageType, data.InstanceNumber = "CT", ["DERIVED", "PRIMARY", "AXIAL"], place + 1
    data.AcquisitionNumber, data.KVP = 1, 120
    data.ImagePositionPatient, data.ImageOrientationPatient = _position(place, spacing), STRAIGHT
    data.PixelSpacing, data.SliceThickness = list(spacing[1:]), spacing[0]
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, INTERCEPT, "HU"
    data.WindowCenter, data.WindowWidth = -500, 1500
    _pixels(data, (plane.astype(np.int32) - INTERCEPT).astype("<i2"), 16, signed=True)
    return data


def _masks(shared: Dataset, masks: NDArray[Any], spacing: tuple[float, ...], instances: list[str]) -> FileDataset:
    data = _file(shared, SegmentationStorage, generate_uid(entropy_srcs=[NOTICE, *instances]))
    data.SeriesInstanceUID, data.SeriesNumber = generate_uid(entropy_srcs=[NOTICE, "seg", *instances]), 2
    data.Modality, data.ImageType, data.SegmentationType = "SEG", ["DERIVED", "PRIMARY"], "BINARY"
    data.InstanceNumber, data.ContentLabel, data.ContentDescription, data.ContentCreatorName = 1, "TRUTH", NOTICE, ""
    data.SegmentSequence = [
        _item(SegmentNumber=number, SegmentLabel=name, SegmentAlgorithmType="AUTOMATIC")
        for number, name in enumerate(STRUCTURES, 1)
    ]
    data.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=list(spacing[1:]), SliceThickness=spacing[0])],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=STRAIGHT)],
        )
    ]
    frames, groups = [], []
    for number in range(1, len(STRUCTURES) + 1):
        for place, plane in enumerate(masks):
            if not (plane == number).any():
                continue  # a slice without a frame is background
            source = _item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=instances[place])
            frames.append(plane == number)
            groups.append(
                _item(
                    SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=number)],
                    PlanePositionSequence=[_item(ImagePositionPatient=_position(place, spacing))],
                    DerivationImageSequence=[_item(SourceImageSequence=[source])],
                )
            )
    data.PerFrameFunctionalGroupsSequence, data.NumberOfFrames = groups, len(frames)
    _pixels(data, np.stack(frames), 1, signed=False)
    return data


def _position(place: int, spacing: tuple[float, ...]) -> list[float]:
    return [0.0, 0.0, round(place * spacing[0], 3)]


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _file(shared: Dataset, kind: str, uid: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", deepcopy(shared), file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = kind, uid
    return data


def _pixels(data: Dataset, stored: NDArray[Any], bits: int, *, signed: bool) -> None:
    data.Rows, data.Columns = stored.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, int(signed)
    packed = stored.tobytes() if bits > 1 else np.packbits(stored.ravel(), bitorder="little").tobytes()
    data.add_new("PixelData", "OW" if bits > 8 else "OB", packed + b"\0" * (len(packed) % 2))


def _saved(data: FileDataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
