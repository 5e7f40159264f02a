"""Writes the inputs of the old runs: made pictures of squares and noise, and networks of a few weights."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from tests.old_runs.layouts import write_layouts

Array = npt.NDArray[np.uint8]
SIDE = 16
BRIGHT, DARK = 150, 90

MODEL = '''"""The networks of the old runs. Their digests are in the records: do not change a byte."""

import torch
from torch import nn
from palpate.annotations import Candidates


def layers(width=4):
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 3)
    )


class Nearest(nn.Module):
    """Decides for the class whose centre is nearest to one number of the image, of any dimensions."""

    def __init__(self, centres, width, form, contrast):
        super().__init__()
        self.register_buffer("centres", torch.tensor(centres))
        self.width, self.form, self.contrast = width, form, contrast

    def number(self, images):
        if not self.contrast:
            return images.flatten(1).mean(1, keepdim=True)
        half = images.shape[2] // 2
        upper, lower = images[:, :, :half].flatten(1), images[:, :, half:].flatten(1)
        return (upper.mean(1, keepdim=True) - lower.mean(1, keepdim=True)) / images.flatten(1).std(1, keepdim=True)

    def forward(self, images):
        number = self.number(images)
        logits = -(((number - self.centres) / self.width) ** 2)
        if self.form == "one-logit":
            return logits[:, 1:] - logits[:, :1]
        if self.form == "cumulative":
            return (number - (self.centres[1:] + self.centres[:-1]) / 2) / self.width
        return logits.softmax(1) if self.form == "probabilities" else logits


def means(centres=(60.0, 120.0), width=20.0, form="softmax"):
    return Nearest(centres, width, form, False)


def contrast(centres=(-0.6, 0.0, 0.6), width=0.3, form="softmax"):
    return Nearest(centres, width, form, True)


class Threshold(nn.Module):
    """A logit per pixel that is 0 at 120."""

    def forward(self, images):
        return (images - 120) / 10


def threshold():
    return Threshold()


class Structures(nn.Module):
    """Logits of background and two structures: the second is brighter than the first."""

    def forward(self, images):
        return torch.cat([(120 - images) / 10, (images - 120) / 10, (images - 140) / 5], 1)


def structures():
    return Structures()


class Overlapping(nn.Module):
    """A logit for each of two structures that may overlap."""

    def forward(self, images):
        return torch.cat([(images - 120) / 10, (images - 130) / 10], 1)


def overlapping():
    return Overlapping()


class Cells(nn.Module):
    """One proposed box per cell of 4 x 4 pixels, as sure as the cell is bright."""

    def __init__(self, classes=1, nothing=False):
        super().__init__()
        self.classes, self.nothing = classes, nothing

    def forward(self, images):
        cells = nn.functional.avg_pool2d(images, 4)
        count, _, rows, columns = cells.shape
        top, left = torch.meshgrid(torch.arange(rows) / rows, torch.arange(columns) / columns, indexing="ij")
        boxes = torch.stack([left, top, left + 1 / columns, top + 1 / rows], -1).reshape(1, -1, 4)
        logits = (cells.reshape(count, -1, 1) - 120) / 10
        logits = torch.cat([logits - place for place in range(self.classes)], -1)
        if self.nothing:
            logits = torch.cat([logits, torch.zeros_like(logits[..., :1])], -1)
        return Candidates(logits, boxes.expand(count, -1, -1))


def cells(classes=1, nothing=False):
    return Cells(classes, nothing)


class Halves(nn.Module):
    """Two findings: a bright cell in the upper half, one in the lower half."""

    def forward(self, images):
        bright = nn.functional.avg_pool2d(images[:, 0], 4)
        return torch.stack([bright[:, :2].amax((1, 2)), bright[:, 2:].amax((1, 2))], 1) - 120


def halves():
    return Halves()
'''
MONAI = """from monai.transforms import Compose, ScaleIntensityRange


def compose():
    return Compose([ScaleIntensityRange(0, 255, 0, 255)])
"""


def write_inputs(folder: Path) -> None:
    """Write all inputs into an empty folder."""
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(MODEL)
    (folder / "composed.py").write_text(MONAI)
    _grey(folder)
    _colour(folder)
    _squares(folder)
    _volumes(folder)
    _saved_models(folder)
    write_layouts(folder)


def grey(index: int) -> Array:
    """A noisy picture whose upper half is the brighter, the higher its class."""
    pixels = np.random.default_rng(index).integers(60, 190, (12, 12))
    pixels[:6] = np.clip(pixels[:6] + 25 * (index % 3 - 1), 0, 255)
    return pixels.astype(np.uint8)


def _grey(folder: Path) -> None:
    lines = ["file,label,patient,site,scanner,split,inner"]
    inner = np.zeros((12, 12), np.uint8)
    inner[2:10, 3:9] = 1
    Image.fromarray(inner).save(folder / "inner.png")
    for index in range(9):
        Image.fromarray(grey(index)).save(folder / f"grey{index}.png")
        split = "test" if index < 8 else "train"
        lines.append(f"grey{index}.png,{index % 3},p{index // 2},site{index % 2},maker{index % 3},{split},inner.png")
    (folder / "grey.csv").write_text("\n".join(lines) + "\n")


def _colour(folder: Path) -> None:
    lines = ["file,label"]
    for index in range(4):
        noise = np.random.default_rng(50 + index).integers(-20, 21, (12, 12, 1))
        values = np.clip(noise + (60 if index % 2 == 0 else 120), 0, 255).astype(np.uint8)
        Image.fromarray(np.repeat(values, 3, axis=2)).save(folder / f"colour{index}.png")
        lines.append(f"colour{index}.png,{index % 2}")
    (folder / "colour.csv").write_text("\n".join(lines) + "\n")


def square(index: int) -> npt.NDArray[np.bool_]:
    """Where the bright square of a picture is; the last picture has none."""
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    if index != 5:
        top, left = 4 * (index % 4), 4 * ((index + 1) % 4)
        mask[top : top + 4, left : left + 4] = True
    return mask


def bright(mask: npt.NDArray[np.bool_], index: int) -> Array:
    """A picture of a square, with noise."""
    noise = np.random.default_rng(index).integers(-8, 9, mask.shape)
    return (np.where(mask, BRIGHT, DARK) + noise).astype(np.uint8)


def _squares(folder: Path) -> None:
    images = ["file,mask,mask1,mask2,pair,field,upper,lower,shown"]
    boxes = ["image,label,xmin,ymin,xmax,ymax"]
    counted = np.full((SIDE, SIDE), 255, np.uint8)
    counted[0] = 0
    Image.fromarray(counted).save(folder / "field.png")
    for index in range(6):
        mask, name = square(index), f"square{index}"
        core = mask & np.roll(mask, 2, axis=0)
        Image.fromarray(bright(mask, index) + 8 * core.astype(np.uint8)).save(folder / f"{name}.png")
        for kind, stored in (("mask", mask * 255), ("core", core * 255), ("pair", mask * 1 + core)):
            Image.fromarray(stored.astype(np.uint8)).save(folder / f"{name}-{kind}.png")
        lower = "" if index == 1 else str(int(mask[SIDE // 2 :].any()))
        files = f"{name}.png,{name}-mask.png,{name}-mask.png,{name}-core.png,{name}-pair.png,field.png"
        images.append(f"{files},{int(mask[: SIDE // 2].any())},{lower},{'yes' if mask.any() else 'no'}")
        if mask.any():
            rows, columns = np.nonzero(mask)
            corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            boxes.append(f"{name}.png,square,{','.join(map(str, corners))}")
    (folder / "squares.csv").write_text("\n".join(images) + "\n")
    (folder / "boxes.csv").write_text("\n".join(boxes) + "\n")


def _volumes(folder: Path) -> None:
    lines = ["file,mask,label"]
    for index in range(4):
        depth = 8 if index % 2 else 10
        mask = square(index)
        affine = np.diag([1.0, 1.0, 3.0, 1.0])
        for flat, name in (
            (bright(mask, index).astype(np.int16), f"volume{index}.nii.gz"),
            (mask.astype(np.uint8), f"volume{index}-mask.nii.gz"),
        ):
            image = nibabel.Nifti1Image(np.repeat(flat[..., None], depth, axis=2), affine)
            image.header.set_xyzt_units("mm")
            nibabel.save(image, folder / name)
        lines.append(f"volume{index}.nii.gz,volume{index}-mask.nii.gz,{index % 2}")
    (folder / "volumes.csv").write_text("\n".join(lines) + "\n")


class _Scripted(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images - 120) / 10


def _saved_models(folder: Path) -> None:
    trained = _trained()
    save_file(trained.state_dict(), folder / "weights.safetensors")
    torch.save(trained.state_dict(), folder / "weights.pt")
    torch.jit.save(torch.jit.script(trained), folder / "layers.ts")
    torch.jit.save(torch.jit.script(_Scripted()), folder / "threshold.ts")


def _trained() -> nn.Sequential:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
    inputs = torch.stack([torch.from_numpy(grey(index)).float() for index in range(9)])[:, None]
    inputs, labels = (inputs - 127.5) / 127.5, torch.arange(9) % 3
    optimiser = torch.optim.Adam(module.parameters(), 0.05)
    for _ in range(80):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(inputs), labels).backward()
        optimiser.step()
    return module.eval()
