"""Images with masks or boxes in the layouts that people have: `palpate init`, then `palpate audit`, unedited.

Where a folder says too little, `init` writes a line to fill in, and the audit runs once it is filled in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from palpate.cli import app
from tests.data.layouts import nnunet
from tests.data.pictures import noise, save

SEGMENTER = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(20.0))

    def forward(self, images):
        lit = (images.mean(1, keepdim=True) - 0.5) * self.gain
        return torch.cat([-lit, lit], 1)

def build():
    return Net()
"""


def bright(place: int, size: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """An image of 16 x 16 with a bright square, and its mask of 0 and 255."""
    mask = np.zeros((16, 16), dtype=np.uint8)
    mask[place : place + size, place : place + size] = 255
    return np.where(mask, 220, 30).astype(np.uint8), mask


def write(folder: Path, image: str, *masks: str, count: int = 4) -> None:
    """Images and masks; `#` in a name is their number."""
    for number in range(count):
        picture, mask = bright(number)
        save(folder / image.replace("#", f"{number:02d}"), picture)
        for name in masks:
            save(folder / name.replace("#", f"{number:02d}"), mask)


def palpate(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def started(folder: Path, model: str) -> tuple[Path, Result]:
    (folder / "model.py").write_text(model)
    said = palpate("init", str(folder))
    assert said.exit_code == 0, said.output
    return folder / "plan.toml", said


def audited(plan: Path) -> Result:
    """The audit of a plan with a single quick attack."""
    text = plan.read_text()
    head = text[: text.index("[[attacks]]")]
    plan.write_text(
        head + '[[attacks]]\nattack = "pgd"\nsteps = 2\n\n[survival]\nafter = []\n\n[stability]\nimages = 0\n'
        "[quality]\nimages = 0\n"
    )
    return palpate("audit", str(plan))


MASKS: dict[str, Callable[[Path], None]] = {
    "equal names": lambda folder: write(folder, "images/img#.png", "masks/img#.png"),
    "other ending": lambda folder: write(folder, "img/#.tif", "label/#.png"),
    "splits below": lambda folder: [  # type: ignore[func-returns-value]
        write(folder, "images/train/#.png", "masks/train/#.png", count=6),
        write(folder, "images/val/#.png", "masks/val/#.png"),
    ],
    "splits above": lambda folder: [  # type: ignore[func-returns-value]
        write(folder, "set/train/images/#.png", "set/train/ground_truth/#.png", count=6),
        write(folder, "set/test/images/#.png", "set/test/ground_truth/#.png"),
    ],
    "suffix": lambda folder: write(folder, "images/ISIC_#.png", "masks/ISIC_#_segmentation.png"),
    "long names": lambda folder: write(
        folder, "ISIC2018_Task1-2_Test_Input/ISIC_#.png", "ISIC2018_Task1_Test_GroundTruth/ISIC_#_segmentation.png"
    ),
    "field of view": lambda folder: write(
        folder, "test/images/#_test.tif", "test/1st_manual/#_manual1.png", "test/2nd_manual/#_manual2.png",
        "test/mask/#_test_mask.png",
    ),
    "one folder": lambda folder: write(folder, "set/#.png", "set/#_mask.png"),
    "prefixes": lambda folder: write(folder, "imgs/image_#.png", "masks/mask_#.png"),
    "one folder a case": lambda folder: write(folder, "case#/case#.png", "case#/case#_seg.png"),
    "class folders": lambda folder: [  # type: ignore[func-returns-value]
        write(folder, "benign/benign (#).png", "benign/benign (#)_mask.png", "benign/benign (#)_mask_1.png"),
        write(folder, "normal/normal (#).png", "normal/normal (#)_mask.png", count=3),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_masks_beside_images_run_unedited(tmp_path: Path, name: str) -> None:
    MASKS[name](tmp_path)
    plan, _ = started(tmp_path, SEGMENTER)
    text = plan.read_text()
    assert 'kind = "segmentation"' in text and "values = [255]" in text
    said = audited(plan)
    assert said.exit_code == 0, said.output
    count = 7 if name == "class folders" else 4
    assert f"Found: {tmp_path}" in text and f"{count} images" in text
    assert re.search(rf"\b{count} of {count}\b", said.output), said.output


def test_images_without_masks_are_asked_about(tmp_path: Path) -> None:
    write(tmp_path, "images/#.png", "masks/#.png")
    save(tmp_path / "images/healthy.png", noise(16, 16) // 8)
    plan, said = started(tmp_path, SEGMENTER)
    line = next(line for line in plan.read_text().splitlines() if line.startswith("unpaired"))
    assert "FILL IN: 1 of 5 images has no mask (healthy.png)" in line
    assert "1 of 5 images has no mask" in " ".join(said.output.split())
    plan.write_text(plan.read_text().replace(line, 'unpaired = "empty"'))
    said = audited(plan)
    assert said.exit_code == 0, said.output


def test_two_annotators_are_asked_about(tmp_path: Path) -> None:
    write(tmp_path, "images/#.png", "masks_anna/#.png", "masks_bob/#.png")
    plan, _ = started(tmp_path, SEGMENTER)
    assert 'masks = "masks_anna"  # FILL IN: or masks_bob' in plan.read_text()


def test_names_that_do_not_fit_are_said(tmp_path: Path) -> None:
    write(tmp_path, "images/#.png")
    for letter in "xyz":
        Image.fromarray(bright(1)[1]).save(save(tmp_path / f"masks/{letter}.png"))
    (tmp_path / "model.py").write_text(SEGMENTER)
    said = palpate("init", str(tmp_path))
    assert said.exit_code != 0
    assert "no mask is named after an image" in str(said.exception)


DETECTOR = """
import torch

from palpate.annotations import Candidates

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(20.0))

    def forward(self, images):
        lit = (images.mean(1)[:, 2:8, 2:8].mean((1, 2)) - 0.45) * self.gain
        box = torch.tensor([[2.0, 2.0, 8.0, 8.0]]) / 16
        return Candidates(logits=lit[:, None, None], boxes=box.expand(len(images), 1, 4))

def build():
    return Net()
"""


def lit(folder: Path, name: str, *, healthy: bool = False) -> None:
    """An image of 16 x 16 with a bright square from 2 to 8, or without one."""
    pixels = np.full((16, 16), 20, dtype=np.uint8)
    pixels[2:8, 2:8] = 20 if healthy else 230
    save(folder / name, pixels)


def listed(folder: Path, header: str, box: str, *, empty: str, images: str = "images/#.png") -> None:
    """A CSV of boxes of images 0 to 3, of which the last is healthy."""
    lines = []
    for number in range(4):
        lit(folder, images.replace("#", f"s{number}"), healthy=number == 3)
        lines.append((empty if number == 3 else box).replace("#", f"s{number}"))
    (folder / "boxes.csv").write_text("\n".join([header, *lines]) + "\n")


def yolo(folder: Path, *, described: bool = True, split_first: bool = False) -> None:
    for split in ("train", "val"):
        pictures, texts = (
            (f"{split}/images", f"{split}/labels") if split_first else (f"images/{split}", f"labels/{split}")
        )
        for number in range(4):
            lit(folder, f"{pictures}/{number}.png", healthy=number == 3)
            (folder / texts).mkdir(parents=True, exist_ok=True)
            (folder / f"{texts}/{number}.txt").write_text("" if number == 3 else "0 0.3125 0.3125 0.375 0.375\n")
    if described:
        val = "../val/images" if split_first else "images/val"
        (folder / "data.yaml").write_text(f"train: {val.replace('val', 'train')}\nval: {val}\nnc: 1\nnames: ['cell']\n")


def roboflow(folder: Path) -> None:
    for split in ("train", "valid"):
        for number in range(4):
            lit(folder, f"{split}/{number}.png", healthy=number == 3)
        document = {
            "images": [{"id": n, "file_name": f"{n}.png", "width": 16, "height": 16} for n in range(4)],
            "categories": [{"id": 0, "name": "cells"}, {"id": 1, "name": "cell", "supercategory": "cells"}],
            "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [2, 2, 6, 6]} for n in range(3)],
        }
        (folder / split / "_annotations.coco.json").write_text(json.dumps(document))


BOXES: dict[str, tuple[Callable[[Path], None], str]] = {
    "corner and size": (
        lambda folder: listed(folder, "patientId,x,y,width,height,Target", "#,2,2,6,6,1", empty="#,,,,,0"),
        'box_mode = "xywh"',
    ),
    "readers": (
        lambda folder: listed(
            folder, "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max", "#,Nodule,8,R1,2,2,8,8",
            empty="#,No finding,14,R1,,,,",
        ),
        'label = "class_name"',
    ),
    "centres in pixels": (
        lambda folder: listed(folder, "file,cx,cy,w,h,label", "#.png,5,5,6,6,cell", empty="#.png,,,,,"),
        'box_mode = "ccwh"',
    ),
    "centres in fractions": (
        lambda folder: listed(
            folder, "file,x_center,y_center,width,height,label", "#.png,.3125,.3125,.375,.375,cell", empty="#.png,,,,,"
        ),
        'box_unit = "fractions"',
    ),
    "yolo": (yolo, 'yolo = "data.yaml"'),
    "yolo as exported": (lambda folder: yolo(folder, split_first=True), 'split = "val"'),
    "yolo without data.yaml": (lambda folder: yolo(folder, described=False), 'yolo = "."'),
    "roboflow": (roboflow, 'coco = "valid/_annotations.coco.json"'),
}  # fmt: skip


@pytest.mark.parametrize("name", BOXES)
def test_boxes_run_unedited(tmp_path: Path, name: str) -> None:
    write_set, line = BOXES[name]
    write_set(tmp_path)
    plan, _ = started(tmp_path, DETECTOR)
    text = plan.read_text()
    assert 'kind = "detection"' in text and line in text
    said = audited(plan)
    assert said.exit_code == 0, said.output
    assert re.search(r"\b4 of 4\b", said.output), said.output


def test_fractions_that_may_be_a_corner_or_a_centre_are_asked_about(tmp_path: Path) -> None:
    listed(tmp_path, "file,x,y,w,h,label", "#.png,.4,.4,.3,.3,cell", empty="#.png,,,,,")
    plan, _ = started(tmp_path, DETECTOR)
    assert 'box_mode = "xywh"  # FILL IN: "xywh": x and y are the left upper corner; "ccwh"' in plan.read_text()


def test_several_sets_of_nnunet_are_asked_about(tmp_path: Path) -> None:
    for name in ("Dataset001_A", "Dataset002_B"):
        nnunet(tmp_path / "nnUNet_raw" / name)
    plan, _ = started(tmp_path, SEGMENTER)
    assert 'nnunet = "nnUNet_raw/Dataset001_A"  # FILL IN: which set? Or Dataset002_B' in plan.read_text()


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("a.json", '{"shapes": [], "imagePath": "a.png"}', "labelme (first a.json), which palpate does not read"),
        ("annotations.xml", "<annotations><image/></annotations>", "CVAT (annotations.xml), which palpate does not"),
        ("via.json", '{"a.png1": {"filename": "a.png", "regions": []}}', "VGG Image Annotator (via.json)"),
        (
            "a.xml",
            "<annotation><object><bndbox/></object></annotation>",
            "Pascal VOC (first a.xml), without the folders of VOC",
        ),
    ],
)
def test_annotations_of_other_tools_are_named(tmp_path: Path, file: str, text: str, said: str) -> None:
    lit(tmp_path, "a.png")
    (tmp_path / file).write_text(text)
    refused = palpate("init", str(tmp_path))
    assert refused.exit_code != 0 and said in str(refused.exception)
