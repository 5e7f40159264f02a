"""Shared by the examples with masks: one training loop, an ordinary training on 2D images, and Dice per image.

Nothing here defends a network against attacks.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandFlipd
from safetensors.torch import save_file
from torch import Tensor, nn

from palpate.data.formats.images import read_image
from palpate.preprocess import Preprocessing
from preparing import rows_of

Network = TypeVar("Network", bound=nn.Module)
Outputs = TypeVar("Outputs")
Targets = TypeVar("Targets")


def dice(decided: Tensor, truth: Tensor) -> Tensor:
    """Dice (N,) of boolean masks (N, ...); 1 where both are empty."""
    decided, truth = decided.flatten(1).bool(), truth.flatten(1).bool()
    both, sizes = (decided & truth).sum(1).double(), (decided.sum(1) + truth.sum(1)).double()
    return torch.where(sizes > 0, 2 * both / sizes.clamp(min=1), 1.0)


def fit(
    network: Network,
    batches: Callable[[], Iterable[tuple[Tensor, Targets]]],
    loss: Callable[[Outputs, Targets], Tensor],
    validate: Callable[[Network], float],
    epochs: int,
    steps: int,
    rate: float,
    name: str = "Dice",
) -> Network:
    """Train with AdamW and a one-cycle rate; keep the epoch with the best validation score.

    Args:
        network: trained in place.
        batches: inputs and targets of one epoch, drawn anew at every call.
        loss: of outputs and targets.
        validate: score of the network, higher is better; called in evaluation mode without gradient.
        epochs: how many.
        steps: batches of an epoch.
        rate: highest learning rate.
        name: of the score.
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
        print(f"epoch {epoch + 1:2d}  validation {name} {score:.3f}  {time.perf_counter() - begin:.0f} s", flush=True)
        if score > best:
            best, kept = score, {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept)
    return network.eval()


def images_and_masks(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) in stored values, and masks (N, 1, H, W) of 0 and 1, of one split of a prepared folder."""
    rows = rows_of(folder / "labels.csv", split=split)
    images = np.stack([read_image(folder / row["file"]) for row in rows])
    masks = np.stack([read_image(folder / row["mask"])[:1] for row in rows])
    return torch.tensor(images).float(), torch.tensor(masks > 127).float()


def augmentation(seed: int) -> Compose:
    """Flips, turns, scales and shifts of image and mask, and contrast of the image."""
    both = ("image", "mask")
    augment = Compose(
        [
            RandFlipd(both, prob=0.5, spatial_axis=0),
            RandFlipd(both, prob=0.5, spatial_axis=1),
            RandAffined(
                both,
                prob=0.7,
                rotate_range=math.pi,
                scale_range=(0.2, 0.2),
                translate_range=(10, 10),
                mode=("bilinear", "nearest"),
                padding_mode="border",
            ),
            RandAdjustContrastd("image", prob=0.5, gamma=(0.7, 1.4)),
        ]
    )
    augment.set_random_state(seed)
    return augment


def mean_dice(network: nn.Module, prepare: Preprocessing, images: Tensor, masks: Tensor) -> float:
    """Mean Dice of the images, for a network with one logit."""
    with torch.no_grad():
        logits = torch.cat([network(prepare(part)) for part in images.split(50)])
    return float(dice(logits > 0, masks).mean())


def train_2d(
    build: Callable[[], nn.Module],
    prepare: Preprocessing,
    folder: Path,
    *,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
    augment: Compose | None = None,
) -> nn.Module:
    """The network, one logit of one structure, of the best validation epoch, trained on Dice and cross-entropy."""
    torch.manual_seed(seed)
    images, masks = images_and_masks(folder, "train")
    validation = images_and_masks(folder, "val")
    augment, steps = augment or augmentation(seed), len(images) // batch

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for rows in torch.randperm(len(images))[: steps * batch].split(batch):
            drawn = [augment({"image": images[row], "mask": masks[row]}) for row in rows.tolist()]
            pairs = [torch.stack([torch.as_tensor(one[key]) for one in drawn]) for key in ("image", "mask")]
            yield prepare(pairs[0]), pairs[1]

    def validate(network: nn.Module) -> float:
        return mean_dice(network, prepare, *validation)

    return fit(build(), batches, DiceCELoss(sigmoid=True), validate, epochs, steps, rate)


def options(description: str | None, here: Path, epochs: int, network: str = "unet") -> argparse.Namespace:
    """The command line that all these trainings have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=here / "data", help="what prepare.py wrote")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=here / "weights" / f"{network}.safetensors")
    return parser.parse_args()


def save(network: nn.Module, out: Path) -> None:
    """Write the weights, and say where."""
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), out)
    print(f"weights: {out}")
