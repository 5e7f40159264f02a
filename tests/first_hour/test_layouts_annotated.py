"""Images with masks or boxes in the layouts that people have: `palpate init`, then `palpate audit`, unedited.

Where a folder says too little, `init` writes a line to fill in, and the audit runs once it is filled in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from palpate.cli import app
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
    values = re.sub(r"  # FILL IN: (the mean|its standard)", r"  # CHECK: \1", head)
    plan.write_text(
        values.replace("[model.preprocess]", "[model.preprocess]", 1)
        + '[[attacks]]\nattack = "pgd"\nsteps = 2\n\n[survival]\nafter = []\n\n[stability]\nimages = 0\n'
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
