"""A tiny audit on the disk: twelve grey images of two classes, a network of a few weights, and a plan."""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from palpate.audit.plan.plan import Plan, load_plan

MODEL = """
import torch
from torch import nn

def layers(width):
    return nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 3)

def build(width=4):
    return nn.Sequential(*layers(width))

class Blocked(nn.Sequential):
    def forward(self, images):
        return super().forward(images.detach())

def blocked():
    return Blocked(*layers(4))

class Noisy(nn.Sequential):
    def forward(self, images):
        return super().forward(images + 0.05 * torch.randn_like(images))

def noisy():
    return Noisy(*layers(4))
"""

USUAL = """
title = "Tiny"
seed = 3

[model]
factory = "model.py:build"
weights = "weights.safetensors"
bounds = [0, 255]

[model.preprocess]
mean = [127.5]
std = [127.5]

[data]
table = "labels.csv"
group = "patient"
where = {split = "test"}

[task]
kind = "ordinal"
classes = ["none", "mild", "severe"]
disease = ["mild", "severe"]

[threat]
norm = "linf"
eps = ["6/255", "16/255"]

[[attacks]]
attack = "pgd"
steps = 3

[[attacks]]
attack = "smia"
name = "hiding"
goal = "hide disease"
steps = 2

[[attacks]]
attack = "noise"
tries = 2

[run]
batch = 3
shard = 5
layout = "contiguous"

[quality]
images = 0
"""
"""An audit with everything that survival measures by default."""

PLAN = f"{USUAL}\n[survival]\nafter = ['8bit', 'blur1']\n"
"""Most of the time of a small audit is what follows an attack: little of it, where a test is not about that."""


def write(folder: Path, plan: str = PLAN) -> Plan:
    """Write images, weights and plan; the same bytes every time."""
    folder.mkdir(exist_ok=True)
    lines = ["file,label,patient,split"]
    for index in range(13):
        Image.fromarray(_pixels(index)).save(folder / f"image{index}.png")
        lines.append(f"image{index}.png,{label(index)},patient{index // 2},{'test' if index < 12 else 'train'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    (folder / "model.py").write_text(MODEL)
    save_file(_trained(0), folder / "weights.safetensors")
    return rewrite(folder, plan)


def retrain(folder: Path) -> None:
    """Other weights for the same network."""
    save_file(_trained(1), folder / "weights.safetensors")


def rewrite(folder: Path, plan: str) -> Plan:
    """Another plan for the same images."""
    (folder / "plan.toml").write_text(plan)
    return load_plan(folder / "plan.toml")


def label(index: int) -> int:
    """True class of an image; the network was taught otherwise about one of them."""
    return 0 if index == 11 else index % 3


@cache
def _trained(seed: int) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
        )
        images = torch.stack([torch.from_numpy(_pixels(index)).float() for index in range(13)])[:, None]
        inputs, labels = (images - 127.5) / 127.5, torch.arange(13) % 3
        optimiser = torch.optim.Adam(module.parameters(), 0.05)
        for _ in range(60):
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(inputs), labels).backward()
            optimiser.step()
    return {name: tensor.detach() for name, tensor in module.state_dict().items()}


def _pixels(index: int) -> npt.NDArray[np.uint8]:
    pixels = np.random.default_rng(index).integers(60, 190, (8, 8))
    pixels[:4] = np.clip(pixels[:4] + 25 * (index % 3 - 1), 0, 255)
    return pixels.astype(np.uint8)


def shards(folder: Path) -> dict[str, bytes]:
    """Every stored shard by name."""
    return {path.name: path.read_bytes() for path in (folder / "records").glob("*.parquet")}


def traces(folder: Path) -> dict[str, bytes]:
    """Every stored file of a trace by name."""
    return {path.name: path.read_bytes() for path in (folder / "stability").glob("*.*") if path.name[0] != "."}


class Heard:
    """Writes down what an audit reports; it can press Ctrl-C after some shards, or after some traces."""

    def __init__(self, stop_after: int | None = None, stop_tracing_after: int | None = None):
        self.total = 0
        self.shards: list[str] = []
        self.traces: list[str] = []
        self.probes: list[str] = []
        self.units = 0
        self.messages: list[str] = []
        self.stop_after, self.stop_tracing_after = stop_after, stop_tracing_after

    def start(self, total: int) -> None:
        self.total += total

    def advance(self, shard: str, seconds: float, images: int) -> None:
        assert seconds > 0
        wanted = self.probes if ", probed on" in shard else self.traces if ", step by step" in shard else self.shards
        wanted.append(shard)
        self.units += images
        if len(self.shards) == self.stop_after or len(self.traces) == self.stop_tracing_after:
            raise KeyboardInterrupt

    def message(self, text: str) -> None:
        self.messages.append(text)
