"""Small mask networks, plain and adversarially trained, for comparing losses; kept in `.cache`."""

from __future__ import annotations

import csv
from importlib.machinery import SourceFileLoader
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.measure import say

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / "benchmarks" / ".cache"
SIZE = 64
TRAINED_AT = 4 / 255
"""Radius of the adversarial training."""


def read(
    folder: Path, split: str, most: int, size: int = SIZE, dataset: str = "", count: int | None = None
) -> tuple[Tensor, Tensor]:
    """Images (B, 3, size, size) in [0, 1] and masks (B, size, size) 0/1 of one split of a folder with `labels.csv`."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == split][:most]
    rows = [row for row in rows if not dataset or row["dataset"] == dataset][:count]
    images, masks = [], []
    for row in rows:
        with Image.open(folder / row["image"]) as image, Image.open(folder / row["mask"]) as mask:
            images.append(np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)))
            masks.append(np.asarray(mask.convert("L").resize((size, size), Image.Resampling.BILINEAR)) > 127)
    return torch.tensor(np.stack(images)).movedim(-1, 1).float() / 255, torch.tensor(np.stack(masks)).long()


def vessels(folder: Path, count: int = 4, crop: int = 128) -> tuple[nn.Module, Tensor, Tensor]:
    """The Little W-Net of `examples/vessels`, and the middles of CHASE_DB1 images that it was not trained on."""
    module = SourceFileLoader("wnet", str(ROOT / "examples" / "vessels" / "model.py")).load_module()
    network: nn.Module = module.build()
    with np.load(folder / "wnet.npz") as arrays:
        network.load_state_dict({name: torch.tensor(arrays[name]) for name in arrays.files})
    images, masks = read(folder, "train", 200, module.SIZE[0], dataset="CHASE_DB1", count=count)
    middle = slice((module.SIZE[0] - crop) // 2, (module.SIZE[0] + crop) // 2)
    return network.eval(), images[..., middle, middle].contiguous(), masks[..., middle, middle].contiguous()


class SmallUNet(nn.Module):
    """Three levels of convolutions with skips and group norm; one logit per pixel and class, for images in [0, 1]."""

    def __init__(self, channels: int = 3, classes: int = 1, width: int = 12):
        super().__init__()
        self.first, self.second = _block(channels, width), _block(width, 2 * width)
        self.deepest = _block(2 * width, 4 * width)
        self.up, self.last = _block(6 * width, 2 * width), _block(3 * width, width)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, classes, height, width)."""
        first = self.first(images * 2 - 1)
        second = self.second(F.max_pool2d(first, 2))
        deepest = self.deepest(F.max_pool2d(second, 2))
        up = self.up(torch.cat([F.interpolate(deepest, scale_factor=2.0), second], 1))
        logits: Tensor = self.head(self.last(torch.cat([F.interpolate(up, scale_factor=2.0), first], 1)))
        return logits


def trained(name: str, images: Tensor, masks: Tensor, adversarial: bool, steps: int, classes: int = 1) -> nn.Module:
    """The network for these images, from the cache or trained now."""
    torch.manual_seed(0)
    model = SmallUNet(images.shape[1], classes)
    path = CACHE / f"masks_{name}_{'robust' if adversarial else 'plain'}.safetensors"
    if path.is_file():
        model.load_state_dict(load_file(path))
        return model.eval()
    say(f"Training the mask network of {path.stem} ...")
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    drawn = torch.Generator().manual_seed(0)
    for step in range(steps):
        rows = torch.randint(len(images), (16,), generator=drawn)
        batch, truth = images[rows], masks[rows]
        if step % 2:
            batch, truth = batch.flip(-1), truth.flip(-1)
        if adversarial:
            batch = _climbed(model, batch, truth)
        optimiser.zero_grad()
        loss = _loss(model(batch), truth)
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            say(f"  step {step + 1} of {steps}: loss {loss.item():.3f}")
    CACHE.mkdir(exist_ok=True)
    save_file(model.state_dict(), path)
    return model.eval()


def _block(inner: int, outer: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, padding=1),
        nn.GroupNorm(4, outer),
        nn.ReLU(),
        nn.Conv2d(outer, outer, 3, padding=1),
        nn.GroupNorm(4, outer),
        nn.ReLU(),
    )


def _loss(logits: Tensor, truth: Tensor) -> Tensor:
    if logits.shape[1] > 1:
        return F.cross_entropy(logits, truth)
    found, true = logits[:, 0].sigmoid(), truth.float()
    dice = 2 * (found * true).sum((1, 2)) / (found + true).sum((1, 2)).clamp(min=1)
    return F.binary_cross_entropy_with_logits(logits[:, 0], true) + (1 - dice).mean()


def _climbed(model: nn.Module, images: Tensor, truth: Tensor, steps: int = 4) -> Tensor:
    """PGD in L-inf on the training loss."""
    change = (torch.rand_like(images) * 2 - 1) * TRAINED_AT
    for _ in range(steps):
        place = (images + change).clamp(0, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(_loss(model(place), truth), place)
        change = (change + 2.5 * TRAINED_AT / steps * gradient.sign()).clamp(-TRAINED_AT, TRAINED_AT)
    return (images + change).clamp(0, 1)
