"""Small data sets in the layouts of other tools, written for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.pictures import noise, save
from tests.data.volumes import scan, write

LABELS = {"background": 0, "front": 1, "back": 2}


def dump(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def nnunet(folder: Path, *, channels: int = 1, cases: int = 2, split: str = "Tr", **document: Any) -> Path:
    """An nnU-Net raw dataset of volumes of 3 x 5 x 4 with labels 0 to 2; keys of dataset.json as told, None removes."""
    told = {
        "channel_names": {str(number): f"MR {number}" for number in range(channels)},
        "labels": LABELS,
        "numTraining": cases,
        "file_ending": ".nii.gz",
        **document,
    }
    dump(folder / "dataset.json", {key: value for key, value in told.items() if value is not None})
    for case in range(cases):
        for channel in range(channels):
            write(folder / f"images{split}/c{case}_{channel:04d}.nii.gz", scan(3, 5, 4, seed=10 * case + channel))
        write(folder / f"labels{split}/c{case}.nii.gz", (scan(3, 5, 4, seed=case) % 3).astype(np.uint8))
    return folder


def coco(folder: Path, **document: Any) -> Path:
    """Three images of 6 x 8 (height x width), of which the last has no annotation; keys as told."""
    for number in range(3):
        save(folder / f"pictures/{number}.png", noise(6, 8, seed=number))
    told = {
        "images": [
            {"id": 70 + number, "file_name": f"pictures/{number}.png", "width": 8, "height": 6, "patient": f"p{number}"}
            for number in range(3)
        ],
        "categories": [{"id": 9, "name": "polyp"}, {"id": 4, "name": "tool"}],
        "annotations": [
            {"id": 1, "image_id": 70, "category_id": 9, "bbox": [1, 2, 3, 2], "iscrowd": 0,
             "segmentation": [[1, 2, 4, 2, 4, 4, 1, 4]]},
            {"id": 2, "image_id": 70, "category_id": 4, "bbox": [5.5, 0, 2, 1],
             "segmentation": [[5, 0, 8, 0, 8, 1, 5, 1]]},
            {"id": 3, "image_id": 71, "category_id": 9, "bbox": [0, 0, 8, 6], "iscrowd": 1,
             "segmentation": {"counts": [0, 6, 42], "size": [6, 8]}},
        ],
        **document,
    }  # fmt: skip
    return dump(folder / "instances.json", told)


OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{0}</xmin><ymin>{1}</ymin>
<xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""


def annotation(*objects: str, size: str = "<size><width>8</width><height>6</height><depth>1</depth></size>") -> str:
    return f'<?xml version="1.0" encoding="utf-8"?><annotation>{size}{"".join(objects)}</annotation>'


def voc(folder: Path) -> Path:
    """Three images of 6 x 8; `test` lists two, of which one has no box, and one box is difficult."""
    boxes = [
        annotation(
            OBJECT.format(1, 1, 3, 2, name="cell", difficult=0),
            OBJECT.format(2, 2, 8, 6, name="clot", difficult=1),
        ),
        annotation(),
        annotation(OBJECT.format(4, 3, 8, 6, name="clot", difficult=0)),
    ]  # fmt: skip
    for number, text in enumerate(boxes):
        save(folder / f"JPEGImages/{number:06d}.jpg", noise(6, 8, seed=number))
        (folder / "Annotations").mkdir(exist_ok=True)
        (folder / f"Annotations/{number:06d}.xml").write_text(text)
    lists = folder / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "test.txt").write_text("000000\n000001\n")
    (lists / "train.txt").write_text("000002\n")
    (lists / "cell_test.txt").write_text("000000  1\n000001 -1\n")
    return folder
