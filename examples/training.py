"""What the examples with masks share: one training loop, Dice per image, and images and masks resized into a folder."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from palpate.data.images import read_image

Row = dict[str, str]


def rows_of(table: Path, **where: str) -> list[Row]:
    """The lines of a CSV whose columns have these values."""
    with open(table, newline="") as handle:
        return [row for row in csv.DictReader(handle) if all(row[key] == value for key, value in where.items())]


def write_table(table: Path, rows: list[Row]) -> None:
    """Write lines with the same columns as a CSV."""
    with open(table, "w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def resize(source: Path, target: Path, size: tuple[int, int], box: tuple[int, int, int, int] | None = None) -> None:
    """Write an image cut to `box` (left, top, right, bottom) and resized to `size` (height, width) as PNG.

    Linear and anti-aliased; masks (folders whose names start with `masks` or `fov`) take the nearest value instead,
    so that no value appears that the annotator did not write.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    drawn = source.parent.name.startswith(("masks", "fov"))
    with Image.open(source) as image:
        method = Image.Resampling.NEAREST if drawn else Image.Resampling.BILINEAR
        image.resize((size[1], size[0]), method, box=box).save(target)


def images_and_masks(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) in stored values, and masks (N, 1, H, W) of 0 and 1, of one split of a prepared folder."""
    rows = rows_of(folder / "labels.csv", split=split)
    images = np.stack([read_image(folder / row["file"]) for row in rows])
    masks = np.stack([read_image(folder / row["mask"])[:1] for row in rows])
    return torch.tensor(images).float(), torch.tensor(masks > 127).float()


def dice(decided: Tensor, truth: Tensor) -> Tensor:
    """Dice (N,) of boolean masks (N, ...); 1 where both are empty."""
    decided, truth = decided.flatten(1).bool(), truth.flatten(1).bool()
    both, sizes = (decided & truth).sum(1).double(), (decided.sum(1) + truth.sum(1)).double()
    return torch.where(sizes > 0, 2 * both / sizes.clamp(min=1), 1.0)


def fit(
    network: nn.Module,
    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]],
    loss: Callable[[Tensor, Tensor], Tensor],
    validate: Callable[[nn.Module], float],
    epochs: int,
    steps: int,
    rate: float,
) -> nn.Module:
    """Train with AdamW and a one-cycle rate; keep the epoch with the best validation score.

    Args:
        network: trained in place.
        batches: inputs and targets of one epoch, drawn anew at every call.
        loss: of outputs and targets.
        validate: score of the network, higher is better; called in evaluation mode without gradient.
        epochs: how many.
        steps: batches of an epoch.
        rate: highest learning rate.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * steps)
    best, kept = -1.0, {}
    for epoch in range(epochs):
        begin = time.perf_counter()
        network.train()
        for inputs, targets in batches():
            optimiser.zero_grad()
            loss(network(inputs), targets).backward()
            optimiser.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            score = validate(network)
        print(f"epoch {epoch + 1:2d}  validation Dice {score:.3f}  {time.perf_counter() - begin:.0f} s", flush=True)
        if score > best:
            best, kept = score, {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept)
    return network.eval()
