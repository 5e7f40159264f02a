"""Small DICOM files for tests, made by pydicom. Nothing in them is of a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    generate_uid,
)

from palpate.data.formats.scan import Note

NOTE = Note("PGD", "2 HU", "row 7 of a run")
SERIES, STUDY, FRAME = (generate_uid(entropy_srcs=["palpate tests", what]) for what in ("series", "study", "frame"))
STRAIGHT = [1, 0, 0, 0, 1, 0]


def noise(*shape: int, low: int = 0, high: int = 255, dtype: str = "uint8") -> NDArray[Any]:
    """Pixels that reach both ends of their range."""
    pixels = np.random.default_rng(0).integers(low, high + 1, size=shape).astype(dtype)
    pixels.flat[0], pixels.flat[-1] = low, high
    return pixels


def image(pixels: NDArray[Any], bits: int | None = None, **attributes: Any) -> Dataset:
    """A dataset of pixels (rows, columns), (frames, rows, columns), or with a last axis of 3 for colours."""
    colour = pixels.shape[-1] == 3 and pixels.ndim > 2
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[pixels.tobytes().hex()[:64], str(sorted(attributes.items()))])
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.Modality = "OT"
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    spatial = pixels.shape[:-1] if colour else pixels.shape
    if len(spatial) == 3:
        dataset.NumberOfFrames = spatial[0]
    dataset.Rows, dataset.Columns = spatial[-2:]
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    content = pixels.astype(f"<{pixels.dtype.str[1:]}").tobytes()
    dataset.add_new(0x7FE00010, "OB" if pixels.dtype.itemsize == 1 else "OW", content + b"\0" * (len(content) % 2))
    for keyword, value in attributes.items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            setattr(dataset, keyword, value)
    return dataset


def saved(path: Path, dataset: Dataset) -> Path:
    """The dataset as a file."""
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", SecondaryCaptureImageStorage)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def ct_slice(pixels: NDArray[Any], place: float, **attributes: Any) -> Dataset:
    """One slice of a CT at a position along z."""
    return image(
        pixels,
        **{
            "SOPClassUID": CTImageStorage,
            "Modality": "CT",
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
            "PixelSpacing": [0.5, 0.75],
            "ImagePositionPatient": [-10, -20, place],
            "ImageOrientationPatient": STRAIGHT,
            "FrameOfReferenceUID": FRAME,
            "WindowCenter": 40,
            "WindowWidth": 400,
            **attributes,
        },
    )


def ct_series(folder: Path, volume: NDArray[Any], gap: float = 2.5, **attributes: Any) -> Path:
    """A folder of slices whose names say nothing of their order."""
    for place in range(len(volume)):
        name = f"{(place * 7 + 3) % len(volume):02d}_{place}.dcm"
        saved(folder / name, ct_slice(volume[place], place * gap - 5, **attributes))
    return folder


def item(**attributes: Any) -> Dataset:
    """An item of a sequence."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def enhanced(pixels: NDArray[Any], places: list[float], kind: str = "CT", **attributes: Any) -> Dataset:
    """An enhanced multi-frame object whose frames lie at `places` along z."""
    maps = {"RescaleIntercept": -1024, "RescaleSlope": 1, "RescaleType": "HU" if kind == "CT" else "US"}
    shared = item(
        PixelMeasuresSequence=[item(PixelSpacing=[0.5, 0.75], SliceThickness=1)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=STRAIGHT)],
        PixelValueTransformationSequence=[item(**maps)],
        FrameVOILUTSequence=[item(WindowCenter=40, WindowWidth=400)],
    )
    frames = [
        item(
            FrameContentSequence=[item(StackID="1", InStackPositionNumber=n + 1, DimensionIndexValues=[1, n + 1])],
            PlanePositionSequence=[item(ImagePositionPatient=[-10, -20, place])],
        )
        for n, place in enumerate(places)
    ]
    return image(
        pixels,
        SOPClassUID=EnhancedCTImageStorage if kind == "CT" else EnhancedMRImageStorage,
        Modality=kind,
        ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
        DimensionIndexSequence=[item(DimensionIndexPointer=0x00209057, FunctionalGroupPointer=0x00209111)],
        FrameOfReferenceUID=FRAME,
        **attributes,
    )


def segmentation(
    masks: list[tuple[int, float | None, NDArray[np.bool_]]],
    names: dict[int, str],
    sources: list[str] | None = None,
    **attributes: Any,
) -> Dataset:
    """A BINARY SEG of frames (segment, position along z or None, mask)."""
    stack = np.stack([mask for _, _, mask in masks])
    dataset = image(stack.astype(np.uint8))
    dataset.add_new(0x7FE00010, "OB", np.packbits(stack.ravel(), bitorder="little").tobytes())
    if len(dataset.PixelData) % 2:
        dataset.PixelData += b"\0"
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    dataset.SOPClassUID, dataset.Modality, dataset.SegmentationType = SegmentationStorage, "SEG", "BINARY"
    dataset.FrameOfReferenceUID = FRAME
    dataset.SegmentSequence = [item(SegmentNumber=number, SegmentLabel=name) for number, name in names.items()]
    measures = item(PixelSpacing=[0.5, 0.75], SliceThickness=1)
    dataset.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[measures],
            PlaneOrientationSequence=[item(ImageOrientationPatient=STRAIGHT)],
        )
    ]
    frames = []
    for number, (segment, place, _) in enumerate(masks):
        frame = item(SegmentIdentificationSequence=[item(ReferencedSegmentNumber=segment)])
        if place is not None:
            frame.PlanePositionSequence = [item(ImagePositionPatient=[-10, -20, place])]
        if sources:
            source = item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=sources[number])
            frame.DerivationImageSequence = [item(SourceImageSequence=[source])]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset
