"""Tiny audits of masks, volumes, boxes and findings: bright squares, and networks that are one threshold on paper."""

from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

from palpate.audit.plan.plan import Plan, load_plan

SIDE = 16
BRIGHT, DARK = 150, 90

MODEL = '''
import torch
from torch import nn
from palpate.annotations import Candidates

class Threshold(nn.Module):
    """A logit per pixel that is 0 at 120."""
    def forward(self, images):
        return (images - 120) / 10

class Cells(nn.Module):
    """One proposed box per cell of 4 x 4 pixels, as sure as the cell is bright."""
    def forward(self, images):
        cells = nn.functional.avg_pool2d(images, 4)
        count, _, rows, columns = cells.shape
        top, left = torch.meshgrid(torch.arange(rows) / rows, torch.arange(columns) / columns, indexing="ij")
        boxes = torch.stack([left, top, left + 1 / columns, top + 1 / rows], -1).reshape(1, -1, 4)
        return Candidates((cells.reshape(count, -1, 1) - 120) / 10, boxes.expand(count, -1, -1))

class Halves(nn.Module):
    """Two findings: a bright cell in the upper half, one in the lower half."""
    def forward(self, images):
        cells = nn.functional.avg_pool2d(images[:, 0], 4)
        return torch.stack([cells[:, :2].amax((1, 2)), cells[:, 2:].amax((1, 2))], 1) - 120
'''

TASKS = {
    "segmentation": """
[data]
table = "images.csv"
mask = "mask"
values = [255]
spacing = [2.0, 1.0]

[task]
kind = "segmentation"
structures = ["square"]
floor = 0.6
""",
    "volume": """
[data]
table = "volumes.csv"
mask = "mask"

[task]
kind = "segmentation"
structures = ["cube"]
floor = 0.6
""",
    "detection": """
[data]
table = "images.csv"
boxes = "boxes.csv"

[task]
kind = "detection"
classes = ["square"]
""",
    "multilabel": """
[data]
table = "images.csv"

[task]
kind = "multilabel"
findings = ["upper", "lower"]
""",
}
_FACTORIES = {"segmentation": "Threshold", "volume": "Threshold", "detection": "Cells", "multilabel": "Halves"}
_HEAD = """
title = "Tiny"

[model]
factory = "model.py:{factory}"
bounds = [0, 255]
{inferer}
{task}
[threat]
norm = "linf"
eps = [20, 40]

[[attacks]]
attack = "noise"
tries = 2

[[attacks]]
attack = "pgd"
steps = 4
{more}
[run]
batch = 4
shard = 4
layout = "contiguous"
"""
_NO_PROBES = "\n[quality]\nimages = 0\n"
"""Probes of survivors take longer than these audits; `work/test_probing.py` tests them."""
_NO_TRACES = "\n[stability]\nimages = 0\n"
"""So do traces; `work/test_traces_dense.py` tests them."""
_INFERER = """
[model.inferer]
size = [12, 12, 12]
flips = [[0]]
"""


def text(kind: str, more: str = "") -> str:
    """The plan of one kind of task."""
    inferer = _INFERER if kind == "volume" else ""
    plan = _HEAD.format(factory=_FACTORIES[kind], inferer=inferer, task=TASKS[kind], more=more)
    plan += "" if "[quality]" in more else _NO_PROBES
    return plan if "[stability]" in more else plan + _NO_TRACES


def write(folder: Path, kind: str, more: str = "") -> Plan:
    """Write images, annotations, model and plan; image 5 shows nothing."""
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text(MODEL)
    images, boxes, volumes = ["file,mask,upper,lower"], ["image,label,xmin,ymin,xmax,ymax"], ["file,mask"]
    for index in range(6):
        mask = _mask(index)
        Image.fromarray(_pixels(mask, index)).save(folder / f"{index}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{index}-mask.png")
        lower = "" if index == 1 else str(int(mask[SIDE // 2 :].any()))
        images.append(f"{index}.png,{index}-mask.png,{int(mask[: SIDE // 2].any())},{lower}")
        if mask.any():
            rows, columns = np.nonzero(mask)
            corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            boxes.append(f"{index}.png,square,{','.join(map(str, corners))}")
        _volume(folder, mask, index)
        volumes.append(f"{index}.nii.gz,{index}-mask.nii.gz")
    for name, lines in (("images.csv", images), ("boxes.csv", boxes), ("volumes.csv", volumes)):
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "plan.toml").write_text(text(kind, more))
    return load_plan(folder / "plan.toml")


def _mask(index: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    if index != 5:
        top, left = 4 * (index % 4), 4 * ((index + 1) % 4)
        mask[top : top + 4, left : left + 4] = True
    return mask


def _pixels(mask: np.ndarray, index: int) -> np.ndarray:
    noise = np.random.default_rng(index).integers(-8, 9, mask.shape)
    return (np.where(mask, BRIGHT, DARK) + noise).astype(np.uint8)


def _volume(folder: Path, mask: np.ndarray, index: int) -> None:
    # Two sizes, so that volumes of one batch are not mixed.
    depth = 8 if index % 2 else 10
    stack = np.repeat(_pixels(mask, index)[..., None], depth, axis=2).astype(np.float32)
    labels = np.repeat(mask[..., None], depth, axis=2).astype(np.uint8)
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    for data, name in ((stack, f"{index}.nii.gz"), (labels, f"{index}-mask.nii.gz")):
        image = nibabel.Nifti1Image(data, affine)
        image.header.set_xyzt_units("mm")
        nibabel.save(image, folder / name)
