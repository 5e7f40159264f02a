"""Small networks with 2 and 12 classes for comparisons in L1, plain and adversarially trained; kept in `.cache`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.measure import say

CACHE = Path(__file__).resolve().parent / ".cache"
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Victim:
    """A network in evaluation mode, and validation images in [0, 1] that it gets right."""

    name: str
    classes: int
    eps: float
    model: nn.Module
    images: Tensor
    labels: Tensor


def shapes(count: int, seed: int, size: int = 32) -> tuple[Tensor, Tensor]:
    """Four shapes in three sizes on a noisy ground: images (count, 1, size, size) and 12 classes (count,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 12, count)
    y, x = np.mgrid[:size, :size] / size
    images = []
    for label in labels:
        place = rng.uniform(0.35, 0.65, 2)
        radius, across, down = 0.12 + 0.05 * (label // 4), abs(x - place[0]), abs(y - place[1])
        away, kind, bright = np.hypot(across, down), label % 4, rng.uniform(0.3, 0.5)
        drawn = (
            away < radius,
            (away < radius) & (away > 0.6 * radius),
            (across < radius) & (down < radius * 0.4),
            (down < radius) & (across < radius * 0.4),
        )[kind]
        noise = 0.15 * rng.standard_normal((size, size))
        ground = 0.1 * np.sin(x * rng.uniform(3, 8) + y * rng.uniform(3, 8))
        images.append(np.clip(0.3 + bright * drawn + noise + ground, 0, 1))
    return torch.tensor(np.array(images)[:, None]).float(), torch.tensor(labels)


def network(classes: int, width: int = 24, channels: int = 1) -> nn.Module:
    """Four convolutions with batch norm, 2 x 2 averages, one linear layer."""

    def block(inner: int, outer: int, stride: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1), nn.BatchNorm2d(outer), nn.ReLU())

    return nn.Sequential(
        block(channels, width, 1),
        block(width, width * 2, 2),
        block(width * 2, width * 2, 1),
        block(width * 2, width * 4, 2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(width * 16, classes),
    )


def linf(model: nn.Module, images: Tensor, labels: Tensor, eps: float = 8 / 255, steps: int = 5) -> Tensor:
    """PGD in L-inf, to train with."""
    change = (torch.rand_like(images) * 2 - 1) * eps
    for _ in range(steps):
        place = (images + change).clamp(0, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(place), labels), place)
        change = (change + 2.5 * eps / steps * gradient.sign()).clamp(-eps, eps)
    return (images + change).clamp(0, 1)


def l1(model: nn.Module, images: Tensor, labels: Tensor, eps: float = 8.0, steps: int = 6) -> Tensor:
    """Sparse steps of 3 % of the values, scaled back into the L1 ball, to train with."""
    change, count = torch.zeros_like(images), max(1, int(0.03 * images[0].numel()))
    for _ in range(steps):
        place = (images + change).clamp(0, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(place), labels), place)
        flat = gradient.flatten(1)
        top = flat.abs().topk(count, 1).indices
        signs = torch.zeros_like(flat).scatter_(1, top, flat.gather(1, top).sign() / count).view_as(images)
        change = (place.detach() + 2.5 * eps / steps * signs).clamp(0, 1) - images
        length = change.abs().flatten(1).sum(1).view(-1, 1, 1, 1)
        change = change * (eps / length.clamp(min=eps))
    return (images + change).clamp(0, 1).detach()


def trained(
    name: str,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epochs: int,
    attack: Attack | None = None,
    cache: Path = CACHE,
) -> nn.Module:
    """The trained network, from the cache or trained now (a minute or two on one core)."""
    path = cache / f"{name}.safetensors"
    if path.is_file():
        model.load_state_dict(load_file(path))
        return model.eval().requires_grad_(False)
    torch.manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-3)
    batches = len(images) // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=epochs * batches)
    for epoch in range(epochs):
        for batch in torch.randperm(len(images))[: batches * 64].split(64):
            given = attack(model.eval(), images[batch], labels[batch]) if attack else images[batch]
            optimiser.zero_grad()
            loss = F.cross_entropy(model.train()(given), labels[batch])
            loss.backward()
            optimiser.step()
            schedule.step()
        say(f"  {name}, epoch {epoch + 1} of {epochs}: loss {loss.item():.2f}")
    cache.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), path)
    return model.eval().requires_grad_(False)


def victims(xrays: Path | None, count: int) -> list[Victim]:
    """Two networks for 12 shapes and, given PneumoniaMNIST's file, two for its chest X-rays; `count` images each."""
    seen, held = shapes(2048, 1), shapes(100, 2)
    found = [
        ("shapes, plain", 12, 3.0, trained("l1_shapes_plain", network(12), *seen, 8), *held),
        ("shapes, trained in L1", 12, 10.0, trained("l1_shapes_l1", network(12), *seen, 12, l1), *held),
    ]
    if xrays is not None:
        seen, held = _xrays(xrays)
        plain = trained("l1_xrays_plain", network(2), *seen, 4)
        hard = trained("l1_xrays_linf", network(2), *seen, 5, linf)
        found += [("X-rays, plain", 2, 2.0, plain, *held), ("X-rays, trained in L-inf", 2, 6.0, hard, *held)]
    return [_right(Victim(*one), count) for one in found]


def _xrays(path: Path) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """2048 training and 100 validation images of PneumoniaMNIST; its test images are not touched."""
    stored, generator = np.load(path), torch.Generator().manual_seed(0)

    def some(part: str, count: int) -> tuple[Tensor, Tensor]:
        images = torch.tensor(stored[f"{part}_images"])[:, None].float() / 255
        labels = torch.tensor(stored[f"{part}_labels"]).flatten().long()
        chosen = torch.randperm(len(images), generator=generator)[:count]
        return images[chosen], labels[chosen]

    return some("train", 2048), some("val", 100)


def _right(victim: Victim, count: int) -> Victim:
    with torch.no_grad():
        right = (victim.model(victim.images).argmax(1) == victim.labels).nonzero().flatten()[:count]
    return Victim(victim.name, victim.classes, victim.eps, victim.model, victim.images[right], victim.labels[right])
