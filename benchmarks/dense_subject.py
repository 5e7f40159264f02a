"""The dense benchmark's model: a MONAI U-Net trained to find bright discs and dark squares in noise."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from monai.metrics.meandice import compute_dice
from monai.networks.nets import UNet
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.measure import say

CACHE = Path(__file__).resolve().parent / ".cache"
SIZE, STRUCTURES = 256, 2


def drawn(count: int, seed: int, size: int = SIZE) -> tuple[Tensor, Tensor]:
    """Images (count, 1, size, size) in [0, 1] and labels (count, size, size): 1 discs, 2 squares, one of each."""
    random = torch.Generator().manual_seed(seed)
    axis = torch.arange(size) / size
    rows, columns = axis[None, :, None], axis[None, None, :]
    place = torch.rand(count, 4, 1, 1, generator=random) * 0.6 + 0.2
    radius = torch.rand(count, 2, 1, 1, generator=random) * 0.09 + 0.06
    disc = (rows - place[:, 0]).square() + (columns - place[:, 1]).square() < radius[:, 0].square()
    square = torch.maximum((rows - place[:, 2]).abs(), (columns - place[:, 3]).abs()) < radius[:, 1]
    labels = torch.where(disc, 1, torch.where(square, 2, 0))
    coarse = torch.randn(count, 1, 8, 8, generator=random)
    ground = 0.5 + 0.08 * F.interpolate(coarse, (size, size), mode="bilinear")[:, 0]
    signal = ground + 0.12 * (labels == 1) - 0.12 * (labels == 2)
    noisy = signal + 0.05 * torch.randn(count, size, size, generator=random)
    return noisy.clamp(0, 1)[:, None].contiguous(), labels


def trained() -> nn.Module:
    """The trained network, from the cache or trained now (a minute or two)."""
    torch.manual_seed(0)
    model = UNet(2, 1, STRUCTURES + 1, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2)
    path = CACHE / "unet_drawn.safetensors"
    if path.is_file():
        model.load_state_dict(load_file(path))
        return model.eval()
    say("Training the benchmark's U-Net on drawn structures (once; it is kept in benchmarks/.cache) ...")
    steps = 400
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for step in range(steps):
        images, labels = drawn(8, seed=1000 + step, size=SIZE // 2)
        optimiser.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            say(f"  step {step + 1} of {steps}: loss {loss.item():.3f}")
    CACHE.mkdir(exist_ok=True)
    save_file(model.state_dict(), path)
    return model.eval()


def dice(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Mean Dice of the decided structures, by MONAI."""
    classes = STRUCTURES + 1
    with torch.no_grad():
        decided = F.one_hot(model(images).argmax(1), classes).movedim(-1, 1)
    truth = F.one_hot(labels, classes).movedim(-1, 1)
    return float(compute_dice(decided, truth, include_background=False).nanmean())
