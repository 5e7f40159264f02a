"""Train the network of this example: `python examples/polyps/train.py`, after prepare.py.

An ordinary training, without any defence: flips, turns, scales and contrast, Dice and cross-entropy, AdamW, a one-cycle
rate; the epoch with the best Dice on the validation split is kept. About six minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from monai.losses import DiceCELoss
from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandFlipd
from safetensors.torch import save_file
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import model as example  # noqa: E402
import training  # noqa: E402

BATCH = 16


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


def normalised(images: Tensor) -> Tensor:
    """What the plan's preprocessing does."""
    return (images - example.MEAN) / example.STD


def score(network: nn.Module, images: Tensor, masks: Tensor) -> float:
    """Mean Dice of the images."""
    with torch.no_grad():
        logits = torch.cat([network(normalised(part)) for part in images.split(50)])
    return float(training.dice(logits > 0, masks).mean())


def train(folder: Path, epochs: int, seed: int) -> nn.Module:
    """The network of the best validation epoch."""
    torch.manual_seed(seed)
    images, masks = training.images_and_masks(folder, "train")
    validation = training.images_and_masks(folder, "val")
    augment, steps = augmentation(seed), len(images) // BATCH

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for rows in torch.randperm(len(images))[: steps * BATCH].split(BATCH):
            drawn = [augment({"image": images[row], "mask": masks[row]}) for row in rows.tolist()]
            pairs = [torch.stack([torch.as_tensor(one[key]) for one in drawn]) for key in ("image", "mask")]
            yield normalised(pairs[0]), pairs[1]

    loss = DiceCELoss(sigmoid=True)
    return training.fit(example.build(), batches, loss, lambda it: score(it, *validation), epochs, steps, 2e-3)


def main() -> None:
    """Train, test, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=HERE / "data", help="what prepare.py wrote")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "weights" / "unet.safetensors")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = train(options.data, options.epochs, options.seed)
    print(f"test Dice {score(network, *training.images_and_masks(options.data, 'test')):.3f}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), options.out)
    print(f"weights: {options.out}")


if __name__ == "__main__":
    main()
