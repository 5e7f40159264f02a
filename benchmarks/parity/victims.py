"""The networks of the parity table: 2, 5 and 12 classes, each plain and adversarially trained.

Two classes are chest X-rays (PneumoniaMNIST, 28 pixels), five are grades of retinopathy (APTOS 2019, read at 32
pixels), both from a folder of real images; twelve are drawn shapes. Only training and validation images are read.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.l1_victims import linf, network, shapes, trained
from benchmarks.measure import say

WIDTH, SIDE = 8, 32
XRAYS, FUNDUS = "cls_cxr_pneumoniamnist_28", "cls_fundus_dr_aptos2019"
Shown = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Victim:
    """A network in evaluation mode, and validation images in [0, 1] that it gets right.

    Attributes:
        radii: one radius per norm, so that some images fall and some do not.
    """

    name: str
    classes: int
    radii: dict[str, float]
    model: nn.Module
    images: Tensor
    labels: Tensor

    def fingerprint(self) -> str:
        """Changes with the weights, the images and their labels."""
        digest = hashlib.sha256()
        for part in (*self.model.state_dict().values(), self.images, self.labels):
            digest.update(np.ascontiguousarray(part.detach().numpy()).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Plan:
    """How one victim is made. `eps` is the radius of the adversarial training in L-inf; 0 is plain training."""

    name: str
    classes: int
    channels: int
    epochs: int
    eps: float
    radii: dict[str, float]
    read: Callable[[Path | None], tuple[Shown, Shown]]


def xrays(data: Path | None) -> tuple[Shown, Shown]:
    """2048 training and 200 validation images of PneumoniaMNIST."""
    stored = np.load(_folder(data, XRAYS) / "pneumoniamnist.npz")
    generator = torch.Generator().manual_seed(0)

    def some(part: str, count: int) -> Shown:
        images = torch.tensor(stored[f"{part}_images"])[:, None].float() / 255
        labels = torch.tensor(stored[f"{part}_labels"]).flatten().long()
        chosen = torch.randperm(len(images), generator=generator)[:count]
        return images[chosen], labels[chosen]

    return some("train", 2048), some("val", 200)


def fundus(data: Path | None) -> tuple[Shown, Shown]:
    """The training and the validation images of APTOS 2019, at `SIDE` pixels, and their five grades."""
    folder = _folder(data, FUNDUS)
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))

    def some(split: str) -> Shown:
        chosen = [row for row in rows if row["split"] == split]
        files = [folder / "images" / Path(row["file"]).name for row in chosen]
        read = [
            np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)) for file in files
        ]
        images = torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).contiguous().float() / 255
        return images, torch.tensor([int(row["diagnosis"]) for row in chosen])

    return some("train"), some("val")


def drawn(data: Path | None) -> tuple[Shown, Shown]:
    """Drawn shapes of 12 classes; no file is read."""
    return shapes(3072, 1), shapes(160, 2)


PLANS = (
    Plan("X-rays, plain", 2, 1, 6, 0, {"linf": 3.5 / 255, "l2": 0.26, "l1": 2.0}, xrays),
    Plan("X-rays, adversarial", 2, 1, 8, 8 / 255, {"linf": 22 / 255, "l2": 1.1, "l1": 8.0}, xrays),
    Plan("fundus, plain", 5, 3, 16, 0, {"linf": 0.25 / 255, "l2": 0.035, "l1": 0.4}, fundus),
    Plan("fundus, adversarial", 5, 3, 16, 2 / 255, {"linf": 3.5 / 255, "l2": 0.27, "l1": 1.3}, fundus),
    Plan("shapes, plain", 12, 1, 10, 0, {"linf": 4.25 / 255, "l2": 0.33, "l1": 2.0}, drawn),
    Plan("shapes, adversarial", 12, 1, 10, 8 / 255, {"linf": 12 / 255, "l2": 0.48, "l1": 1.9}, drawn),
)


def made(plan: Plan, data: Path | None, cache: Path, count: int, skip: int = 0) -> Victim | None:
    """The victim with the first `count` images that it gets right, after `skip` of them.

    None, with a line that says why, where its data is absent.
    """
    try:
        seen, held = plan.read(data)
    except FileNotFoundError as absent:
        say(f"{plan.name}: left out, {absent}")
        return None
    name = f"parity_{WIDTH}_{plan.name.replace(', ', '_').lower()}"
    attack = partial(linf, eps=plan.eps) if plan.eps else None
    model = trained(name, network(plan.classes, WIDTH, plan.channels), *seen, plan.epochs, attack, cache)
    images, labels = held
    with torch.no_grad():
        right = (model(images).argmax(1) == labels).nonzero().flatten()
    say(f"{plan.name}: {len(right) / len(labels):.0%} of {len(labels)} validation images are right")
    chosen = right[skip : skip + count]
    return Victim(plan.name, plan.classes, plan.radii, model, images[chosen], labels[chosen])


def _folder(data: Path | None, name: str) -> Path:
    if data is None:
        raise FileNotFoundError("no --data was given.")
    if not (data / name).is_dir():
        raise FileNotFoundError(f"{data / name} is not there.")
    return data / name
