"""Small files as the clinic has them, a network of a few weights, and a plan: for audits from end to end."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import torch
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage, ExplicitVRLittleEndian, generate_uid

MODEL = """
import torch
from torch import nn

class Shapes(nn.Module):
    '''Decides by coarse means: 2D or 3D, as many channels as there are.'''

    def __init__(self, axes, channels):
        super().__init__()
        pool = nn.AdaptiveAvgPool2d(4) if axes == 2 else nn.AdaptiveAvgPool3d((2, 4, 4))
        size = channels * (16 if axes == 2 else 32)
        self.layers = nn.Sequential(pool, nn.Flatten(), nn.Linear(size, 3))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.layers[-1].weight.copy_(torch.randn(3, size, generator=generator))
            self.layers[-1].bias.zero_()

    def forward(self, images):
        return self.layers(images)

def build(axes=2, channels=1):
    return Shapes(axes, channels)
"""
SECRETS = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "MRN-4711-0815",
    "PatientBirthDate": "19640812",
    "PatientAddress": "Heidestrasse 17 Koeln",
    "OtherPatientIDs": "OTHER-ID-99",
    "ReferringPhysicianName": "Physician^Secret",
    "OperatorsName": "Operator^Hidden",
    "InstitutionName": "Hospital of Nowhere",
    "InstitutionAddress": "Clinic Road 1",
    "AccessionNumber": "ACC-20260101",
    "StudyID": "STUDY-ID-77",
    "StudyDescription": "Described Study Xyz",
    "SeriesDescription": "Described Series Xyz",
    "StationName": "STATION-ZULU",
    "DeviceSerialNumber": "SERIAL-31415",
    "PatientComments": "a remark of someone",
    "ImageComments": "another remark here",
    "StudyDate": "20190203",
    "AcquisitionDate": "20190204",
    "ProtocolName": "Protocol Quebec",
    "RequestedProcedureDescription": "Procedure Romeo",
}
"""Planted in every header; none may reach an output."""


def pattern(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A smooth picture from 0 to 1, another for each seed."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(0, 1, size) for size in shape], indexing="ij")
    waves = sum(np.sin(2 * np.pi * (rng.uniform(0.5, 2) * axis + rng.uniform())) for axis in axes)
    return (waves - waves.min()) / (waves.max() - waves.min())


def dicom(stored: np.ndarray, path: Path, secrets: dict[str, str] | None = None, **fields: object) -> None:
    """One slice of int16 or uint16 as a DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = (
        CTImageStorage if fields.get("Modality", "CT") == "CT" else ComputedRadiographyImageStorage
    )
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3.4.5", "1.2.3.4.5.6", "1.2.3.4.7"
    data.Modality, data.Manufacturer, data.ManufacturerModelName = "CT", "Maker", "Model 9"
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.PixelSpacing = [0.7, 0.7]
    data.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    for name, value in {**(secrets or {}), **fields}.items():
        setattr(data, name, value)
    if secrets:
        block = data.private_block(0x0029, "SECRET MAKER", create=True)
        block.add_new(1, "LO", "private remark 4242")
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, data, enforce_file_format=True)


def ct_series(folder: Path, seed: int, secrets: dict[str, str] | None = None) -> None:
    """Six slices of 24 x 20, -1000 to 1000 HU, stored with intercept -1024; names do not follow the positions."""
    volume = np.rint(pattern((6, 24, 20), seed) * 2000 - 1000 + 1024).astype(np.int16)
    for place, stored in enumerate(volume):
        dicom(
            stored,
            folder / f"{(place * 5) % 7:02d}.dcm",
            secrets,
            ImagePositionPatient=[0, 0, 2.5 * place],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            InstanceNumber=place + 1,
            RescaleSlope=1,
            RescaleIntercept=-1024,
        )


def xray(path: Path, seed: int, secrets: dict[str, str] | None = None) -> None:
    """A radiograph of 32 x 28, 16 bits stored, MONOCHROME1."""
    stored = np.rint(pattern((32, 28), seed) * 60000).astype(np.uint16)
    dicom(stored, path, secrets, Modality="CR", PhotometricInterpretation="MONOCHROME1")


def jpeg(path: Path, seed: int) -> None:
    """A colour frame of an endoscope, 40 x 32."""
    colours = np.stack([pattern((32, 40), 3 * seed + channel) for channel in range(3)], axis=-1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(colours * 255).astype(np.uint8)).save(path, quality=90)


def nifti(path: Path, seed: int) -> None:
    """A volume of 12 x 16 x 14 voxels, int16 with slope 0.5, of unequal spacing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.rint(pattern((12, 16, 14), seed) * 2000).astype(np.int16), np.diag([1.0, 1.5, 2.0, 1.0]))
    image.header.set_slope_inter(0.5, 0.0)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)


def plan(root: Path, names: list[str], labels: list[int], model: str, threat: str, more: str = "") -> Path:
    """A plan of two attacks on these files of a folder."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "model.py").write_text(MODEL)
    lines = [f"{name},{label},p{row}" for row, (name, label) in enumerate(zip(names, labels, strict=True))]
    (root / "labels.csv").write_text("\n".join(["file,label,patient", *lines, ""]))
    text = f"""
title = "Clinic"
[model]
factory = "model.py:build"
{model}
[data]
table = "labels.csv"
group = "patient"
[task]
kind = "multiclass"
classes = ["a", "b", "c"]
[threat]
norm = "linf"
{threat}
[[attacks]]
attack = "bim"
steps = 6
run_to_end = true
[[attacks]]
attack = "noise"
tries = 2
{more}
"""
    (root / "plan.toml").write_text(text)
    return root / "plan.toml"


def decided(path: Path) -> list[int]:
    """What the plan's model decides for its images as they are: labels that are right."""
    from palpate.audit.plan.plan import load_plan
    from palpate.audit.subject.subject import load_subject

    subject = load_subject(load_plan(path))
    with subject.victim, torch.no_grad():
        return [int(subject.victim.judge(subject.images([row])).argmax()) for row in range(len(subject.table))]
