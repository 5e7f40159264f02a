"""The small networks behind the planted victims: trained in seconds, plainly or adversarially, with fixed seeds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.planted import images

EPS = 8.0
"""Radius of the adversarial training and of the audits, in stored values (L-inf)."""
_BATCH, _RATE = 48, 3e-3
_STEPS = {"classification": 400, "segmentation": 250, "multilabel": 400}
DATA = {"classification": images.classes, "segmentation": images.masks, "multilabel": images.findings}
TRAINING_SEED = 1000


class Whole(nn.Module):
    """One row of scores per image, for stored values from 0 to 255."""

    def __init__(self, outputs: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(24, 24, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(24 * 25, 32), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(32, outputs)

    def forward(self, stored: Tensor) -> Tensor:
        """(B, outputs)."""
        scores: Tensor = self.head(self.features((stored - 110) / 30))
        return scores


class PerPixel(nn.Module):
    """One logit per pixel, for stored values from 0 to 255."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 5, padding=2), nn.ReLU(),
            nn.Conv2d(8, 1, 5, padding=2),
        )  # fmt: skip

    def forward(self, stored: Tensor) -> Tensor:
        """(B, 1, *spatial)."""
        logits: Tensor = self.layers((stored - 110) / 30)
        return logits


def loss_of(task: str) -> Callable[[Tensor, Tensor], Tensor]:
    """What training lowers."""
    if task == "classification":
        return F.cross_entropy
    if task == "segmentation":
        return lambda outputs, target: F.binary_cross_entropy_with_logits(outputs[:, 0], target.float())
    return lambda outputs, target: F.binary_cross_entropy_with_logits(outputs, target.float())


@cache
def trained(task: str, adversarial: bool = False, seed: int = 0) -> nn.Module:
    """A trained network in evaluation mode; the same arguments give the same weights on one machine.

    Args:
        task: `classification`, `segmentation` or `multilabel`.
        adversarial: train on PGD images of 4 steps with radius `EPS` (Madry et al. 2018).
        seed: of the initial weights and of the order of the batches; the images have the seed `TRAINING_SEED`.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        network = PerPixel() if task == "segmentation" else Whole(3)
        shown, target = DATA[task](768, TRAINING_SEED)
        loss, steps = loss_of(task), _STEPS[task]
        optimizer = torch.optim.Adam(network.parameters(), _RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
        for _ in range(steps):
            rows = torch.randint(len(shown), (_BATCH,))
            batch, wanted = shown[rows], target[rows]
            if adversarial:
                batch = _attacked(network, loss, batch, wanted)
            optimizer.zero_grad()
            loss(network(batch), wanted).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def _attacked(network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], batch: Tensor, wanted: Tensor) -> Tensor:
    change = EPS * (2 * torch.rand_like(batch) - 1)
    for _ in range(4):
        change.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(network(batch + change), wanted), change)
        change = (change.detach() + 0.4 * EPS * gradient.sign()).clamp(-EPS, EPS)
    return (batch + change).detach()
