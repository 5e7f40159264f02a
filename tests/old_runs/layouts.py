"""Writes a few made images in each layout and format that commit 18eab80 read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nrrd
import numpy as np
import numpy.typing as npt
import pydicom
import tifffile
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

Array = npt.NDArray[np.integer]
COUNT, SIDE, BOX = 4, 12, (3, 3, 8, 9)
"""Images of each layout, their side, and the corners of the bright box in each."""


def write_layouts(folder: Path) -> None:
    """Write every layout into a folder."""
    for write in (_folders, _medmnist, _nnunet, _datalist, _coco, _voc, _formats, _series):
        write(folder)


def _flat(index: int, dtype: type = np.uint8, low: int = 60, rise: int = 60) -> Array:
    """Darker for the first class, brighter for the second, with a little noise."""
    noise = np.random.default_rng(100 + index).integers(-20, 21, (SIDE, SIDE))
    return (noise + low + rise * (index % 2)).astype(dtype)


def _boxed(index: int) -> Array:
    left, top, right, bottom = BOX
    image = np.full((SIDE, SIDE), 90, np.uint8)
    image[top:bottom, left:right] = 150
    return image + np.random.default_rng(200 + index).integers(0, 8, (SIDE, SIDE)).astype(np.uint8)


def _mask() -> Array:
    left, top, right, bottom = BOX
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def _save(image: Array, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def _folders(folder: Path) -> None:
    for index in range(COUNT):
        _save(_flat(index), folder / "folders" / ("ill" if index % 2 else "healthy") / f"{index}.png")


def _medmnist(folder: Path) -> None:
    images = np.stack([_flat(index) for index in range(COUNT)])
    labels = np.arange(COUNT)[:, None] % 2
    np.savez(folder / "mnist.npz", test_images=images, test_labels=labels.astype(np.uint8))


def _nnunet(folder: Path) -> None:
    root = folder / "Dataset001_Box"
    for index in range(COUNT):
        _save(_boxed(index), root / "imagesTr" / f"case_{index}_0000.png")
        _save(_mask(), root / "labelsTr" / f"case_{index}.png")
    said = {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "box": 1},
        "numTraining": COUNT,
        "file_ending": ".png",
    }
    (root / "dataset.json").write_text(json.dumps(said))


def _datalist(folder: Path) -> None:
    for index in range(COUNT):
        _save(_boxed(index), folder / "listed" / f"{index}.png")
        _save(_mask(), folder / "listed" / f"{index}-mask.png")
    left, top, right, bottom = BOX
    masks = [{"image": f"listed/{index}.png", "label": f"listed/{index}-mask.png"} for index in range(COUNT)]
    boxes = [
        {"image": f"listed/{index}.png", "box": [[left, top, right - left, bottom - top]], "label": [0]}
        for index in range(COUNT)
    ]
    (folder / "masks.json").write_text(json.dumps({"training": masks}))
    (folder / "boxes.json").write_text(json.dumps({"validation": boxes}))


def _coco(folder: Path) -> None:
    left, top, right, bottom = BOX
    said = {
        "images": [
            {"id": index + 1, "file_name": f"listed/{index}.png", "width": SIDE, "height": SIDE}
            for index in range(COUNT)
        ],
        "categories": [{"id": 3, "name": "box"}],
        "annotations": [
            {
                "id": index + 1,
                "image_id": index + 1,
                "category_id": 3,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
                "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
            }
            for index in range(COUNT)
        ],
    }
    (folder / "coco.json").write_text(json.dumps(said))


def _voc(folder: Path) -> None:
    root = folder / "voc"
    left, top, right, bottom = BOX
    for part in ("Annotations", "ImageSets/Main"):
        (root / part).mkdir(parents=True)
    for index in range(COUNT):
        _save(_boxed(index), root / "JPEGImages" / f"{index}.png")
        box = f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
        (root / "Annotations" / f"{index}.xml").write_text(
            f"<annotation><filename>{index}.png</filename><size><width>{SIDE}</width><height>{SIDE}</height></size>"
            f"<object><name>box</name><bndbox>{box}</bndbox></object></annotation>"
        )
    (root / "ImageSets" / "Main" / "test.txt").write_text("".join(f"{index}\n" for index in range(COUNT)))


def _formats(folder: Path) -> None:
    def deep(index: int) -> Array:
        return _flat(index, np.uint16, 15000, 15000)

    def stack(index: int) -> Array:
        return np.stack([_flat(index, np.int16)] * 6, axis=2)

    writers: dict[str, Callable[[int, Path], object]] = {
        "sixteen.png": lambda index, path: Image.fromarray(deep(index)).save(path),
        "jpg": lambda index, path: Image.fromarray(_flat(index)).save(path, quality=95),
        "tif": lambda index, path: tifffile.imwrite(path, deep(index), metadata=None),
        "nrrd": lambda index, path: nrrd.write(str(path), stack(index), {"spacings": [0.5, 0.5, 2.0]}),
    }
    for ending, write in writers.items():
        kind = ending.partition(".")[0]
        lines = ["file,label"]
        for index in range(COUNT):
            write(index, folder / f"{kind}{index}.{ending}")
            lines.append(f"{kind}{index}.{ending},{index % 2}")
        (folder / f"{kind}.csv").write_text("\n".join(lines) + "\n")


def _series(folder: Path) -> None:
    lines = ["file,label"]
    for index in range(COUNT):
        for place in range(3):
            _slice(folder / f"ct{index}" / f"{place}.dcm", index, place)
        lines.append(f"ct{index},{index % 2}")
    (folder / "ct.csv").write_text("\n".join(lines) + "\n")


def _slice(path: Path, index: int, place: int) -> None:
    """One slice in HU, stored 1024 higher. Names are invented."""
    stored = _flat(index, np.int16, 984, 100)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{index}.{place}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = f"1.2.4.{index}", f"1.2.5.{index}"
    data.FrameOfReferenceUID, data.Modality = "1.2.6", "CT"
    data.PatientName, data.PatientID = f"Made^Up{index // 2}", f"MADE-UP-{index // 2}"
    data.Manufacturer, data.ManufacturerModelName = "Maker", "Model 9"
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.PixelSpacing, data.ImagePositionPatient = [0.7, 0.7], [0, 0, 2.5 * place]
    data.ImageOrientationPatient, data.InstanceNumber = [1, 0, 0, 0, 1, 0], place + 1
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = stored.astype("<i2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
