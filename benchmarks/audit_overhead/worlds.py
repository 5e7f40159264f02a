"""Two small audits on the disk in which no image falls: folders with images, a model, and a plan with all defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

CLASSES = 5
_STEP, _STD = 40, 64.0
"""Grey levels between classes: far more than any budget, so that no attack wins."""

_MODEL = '''\
from benchmarks.audit_overhead.worlds import {name}


def build():
    """Fresh weights; the plan loads others."""
    return {name}()
'''

_PLAN = """\
title = "What an audit costs beside its attack"

[model]
factory = "model.py:build"
weights = "weights.safetensors"
bounds = [0, 255]

[model.preprocess]
mean = {mean}
std = {std}

[data]
table = "labels.csv"

[task]
kind = "multiclass"
classes = ["a", "b", "c", "d", "e"]

[threat]
norm = "linf"
eps = ["1/255"]

[[attacks]]
attack = "pgd"
steps = {steps}
"""


@dataclass(frozen=True)
class World:
    """One setting.

    Attributes:
        build: the network.
        shape: of its images, (C, H, W).
        images: how many.
        steps: of PGD.
    """

    build: Callable[[], nn.Module]
    shape: tuple[int, int, int]
    images: int
    steps: int

    def write(self, folder: Path, images: int, steps: int) -> Path:
        """Write everything; gives the plan's path. The same bytes every time."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["file,label"]
        for row in range(images):
            pixels = self._pixels(row)
            Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(folder / f"{row}.png")
            lines.append(f"{row}.png,{row % CLASSES}")
        (folder / "labels.csv").write_text("\n".join(lines) + "\n")
        (folder / "model.py").write_text(_MODEL.format(name=self.build.__name__))
        torch.manual_seed(0)
        save_file(self.build().state_dict(), folder / "weights.safetensors")
        channels = self.shape[0]
        plan = _PLAN.format(mean=[127.5] * channels, std=[_STD] * channels, steps=steps)
        (folder / "plan.toml").write_text(plan)
        return folder / "plan.toml"

    def _pixels(self, row: int) -> npt.NDArray[np.uint8]:
        """A smooth random pattern whose brightness is the class, with grain."""
        draw = np.random.default_rng(row)
        channels, height, width = self.shape
        coarse = draw.normal(0, 20, (channels, 6, 6)).astype(np.float32)
        coarse -= coarse.mean((1, 2), keepdims=True)
        smooth = nn.functional.interpolate(torch.from_numpy(coarse)[None], (height, width), mode="bicubic")[0].numpy()
        level = 127.5 + _STEP * (row % CLASSES - CLASSES // 2)
        return np.clip(smooth + level + draw.normal(0, 4, self.shape), 0, 255).astype(np.uint8)


class Steady(nn.Module):
    """Logits of mean brightness, plus a little of a network with random weights: all its work, and nothing to win.

    For the class t that the brightness says, as a number, class k has the logit t k - k^2 / 2.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, 5) logits of inputs (B, C, H, W)."""
        grades = torch.arange(CLASSES).to(inputs)
        found = inputs.flatten(1).mean(1, keepdim=True) * (_STD / _STEP) + CLASSES // 2
        logits: Tensor = found * grades - grades.square() / 2 + 0.01 * self.network(inputs).tanh()
        return logits


def resnet() -> nn.Module:
    """An ordinary ResNet-18 for three channels."""
    from monai.networks.nets.resnet import resnet18

    return Steady(resnet18(spatial_dims=2, n_input_channels=3, num_classes=CLASSES, conv1_t_stride=2))


def tiny() -> nn.Module:
    """Three small convolutions for one channel."""
    layers: list[nn.Module] = []
    for before, after in ((1, 8), (8, 16), (16, 32)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return Steady(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, CLASSES)))


WORLDS = {
    "resnet": World(resnet, (3, 128, 128), images=64, steps=20),
    "tiny": World(tiny, (1, 28, 28), images=4096, steps=10),
}
