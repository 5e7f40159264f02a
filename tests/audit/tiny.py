"""A tiny audit on the disk: twelve grey images of two classes, a network of a few weights, and a plan."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from palpate.audit.plan import Plan, load_plan

MODEL = """
from torch import nn

def build(width=4):
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 3)
    )

def blocked():
    class Blocked(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = build()

        def forward(self, images):
            return self.inner(images).detach()

    return Blocked()
"""

PLAN = """
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
eps = ["4/255", "16/255"]

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
"""


def write(folder: Path, plan: str = PLAN) -> Plan:
    """Write images, weights and plan; the same bytes every time."""
    folder.mkdir(exist_ok=True)
    numbers = np.random.default_rng(0)
    lines = ["file,label,patient,split"]
    for index in range(13):
        label = index % 3
        pixels = numbers.integers(60, 190, (8, 8))
        pixels[:4] = np.clip(pixels[:4] + 25 * (label - 1), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"image{index}.png")
        lines.append(f"image{index}.png,{label},patient{index // 2},{'test' if index < 12 else 'train'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    (folder / "model.py").write_text(MODEL)
    save_file(weights(), folder / "weights.safetensors")
    return rewrite(folder, plan)


def rewrite(folder: Path, plan: str) -> Plan:
    """Another plan beside the same images."""
    (folder / "plan.toml").write_text(plan)
    return load_plan(folder / "plan.toml")


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of the factory's module that are right on about as many images as not."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
        )
    return dict(module.state_dict())


def shards(folder: Path) -> dict[str, bytes]:
    """Every stored shard by name."""
    return {path.name: path.read_bytes() for path in (folder / "records").glob("*.parquet")}
