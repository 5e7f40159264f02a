"""A tiny hardening on the disk: forty grey images of two classes and twenty patients, a small network, and a plan."""

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
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(16, 2),
    )
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
kind = "binary"
classes = ["healthy", "ill"]
disease = ["ill"]

[threat]
norm = "linf"
eps = ["4/255", "8/255"]

[[attacks]]
attack = "pgd"
steps = 3

[run]
batch = 8
shard = 8
layout = "contiguous"

[quality]
images = 0
"""

HARDEN = """
[harden]
epochs = 2
batch = 8
eps = "8/255"

[harden.data]
where = {split = "train"}
"""

COUNT, TESTED = 40, 12


def write(folder: Path, harden: str = HARDEN, plan: str = PLAN) -> Plan:
    """Write images, weights and plan; the same bytes every time."""
    folder.mkdir(exist_ok=True, parents=True)
    lines = ["file,label,patient,split"]
    for index in range(COUNT):
        Image.fromarray(pixels(index)).save(folder / f"image{index}.png")
        lines.append(f"image{index}.png,{index % 2},patient{index // 2},{'test' if index < TESTED else 'train'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    (folder / "model.py").write_text(MODEL)
    save_file(_trained(), folder / "weights.safetensors")
    (folder / "plan.toml").write_text(plan + harden)
    return load_plan(folder / "plan.toml")


def network() -> nn.Module:
    """The network of `MODEL`."""
    place: dict[str, object] = {}
    exec(MODEL, place)
    return place["build"]()  # type: ignore[operator,no-any-return]


def pixels(index: int) -> npt.NDArray[np.uint8]:
    """One image: the upper half of an ill one is a little brighter, and fine noise says the same."""
    values = np.random.default_rng(index).normal(120, 12, (8, 8))
    values[:4] += 22 * (index % 2)
    values[4:, ::2] += 6 * (index % 2)
    return np.clip(values.round(), 0, 255).astype(np.uint8)


@cache
def _trained() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = network().train()
        images = torch.stack([torch.from_numpy(pixels(index)).float() for index in range(TESTED, COUNT)])[:, None]
        inputs, labels = (images - 127.5) / 127.5, torch.arange(TESTED, COUNT) % 2
        optimiser = torch.optim.Adam(module.parameters(), 0.02)
        for _ in range(80):
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(inputs), labels).backward()
            optimiser.step()
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
