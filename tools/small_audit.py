"""Write two audits of a few seconds, for a check of an installation: `python tools/small_audit.py DIR`.

`DIR/images` has photographs (PNG) of two classes, `DIR/volumes` has volumes (NIfTI) with masks. The networks are a few
lines without training, so nothing is loaded. It needs palpate's dependencies only, and imports nothing of palpate.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

SIDE = 24
COMMON = """
[[attacks]]
attack = "pgd"
steps = 3

[[attacks]]
attack = "smia"
steps = 3

[survival]
after = ["half"]

[stability]
images = 1

[quality]
images = 1

[run]
batch = 4
"""

CLASSES = (
    """
title = "Small audit of images"

[model]
factory = "model.py:build"
bounds = [0, 255]

[data]
table = "labels.csv"

[task]
kind = "binary"
classes = ["dark", "bright"]

[threat]
norm = "linf"
eps = ["1/255", "48/255"]
"""
    + COMMON
)

MASKS = (
    """
title = "Small audit of volumes"

[model]
factory = "model.py:build"
bounds = [-1024, 1024]

[data]
table = "images.csv"
mask = "mask"
values = [1]

[task]
kind = "segmentation"
structures = ["block"]
exclusive = true
score = "dice"
floor = 0.8

[threat]
norm = "linf"
eps = [5, 150]
"""
    + COMMON
)

BRIGHTNESS = '''
"""A network that calls an image bright if its mean is above the middle."""

import torch
from torch import nn


class Brightness(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.1))

    def forward(self, images):
        above = self.scale * (images.mean(dim=(1, 2, 3)) - 127.5)
        return torch.stack([-above, above], dim=1)


def build():
    return Brightness()
'''

THRESHOLD = '''
"""A network that outlines what is above zero."""

import torch
from torch import nn


class Threshold(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.01))

    def forward(self, volumes):
        above = self.scale * volumes[:, :1]
        return torch.cat([-above, above], dim=1)


def build():
    return Threshold()
'''


def images(folder: Path, count: int = 12) -> Path:
    """Write PNGs, half of them dark, half bright; the path of their plan."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    lines = ["file,label"]
    for index in range(count):
        bright = index % 2
        pixels = random.normal(165 if bright else 90, 12, (SIDE, SIDE, 3)).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:02}.png")
        lines.append(f"{index:02}.png,{'bright' if bright else 'dark'}")
    return _rest(folder, "labels.csv", lines, BRIGHTNESS, CLASSES)


def volumes(folder: Path, count: int = 4) -> Path:
    """Write NIfTI volumes with a bright block and its mask; the path of their plan."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    lines = ["file,mask"]
    for index in range(count):
        inside = np.zeros((SIDE, SIDE, 8), np.uint8)
        inside[5:15, 6 + index : 18, 2:6] = 1
        values = np.where(inside, 100, -100) + random.normal(0, 10, inside.shape)
        spacing = np.diag([0.7, 0.7, 2.0, 1.0])
        nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), spacing), folder / f"{index}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(inside, spacing), folder / f"{index}_mask.nii.gz")
        lines.append(f"{index}.nii.gz,{index}_mask.nii.gz")
    return _rest(folder, "images.csv", lines, THRESHOLD, MASKS)


def _rest(folder: Path, table: str, lines: list[str], model: str, plan: str) -> Path:
    (folder / table).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "model.py").write_text(model.lstrip(), encoding="utf-8")
    (folder / "plan.toml").write_text(plan.lstrip(), encoding="utf-8")
    return folder / "plan.toml"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for written in (images(target / "images"), volumes(target / "volumes")):
        print(written)
