"""Train the network of this example: `python examples/hippocampus/train.py`, after prepare.py.

An ordinary training, without any defence: random windows of 32 voxels a side, each standardised as the network does it,
contrast, Dice and cross-entropy, AdamW, a one-cycle rate; the epoch with the best Dice on the validation volumes, with
the sliding windows of the audit, is kept. About three minutes on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandSpatialCropd, SpatialPadd
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import model as example  # noqa: E402

import preparing  # noqa: E402
import training  # noqa: E402

BATCH, WINDOWS = 8, 2
"""Volumes of a batch drawn from, and windows of each in an epoch."""
Pair = dict[str, Tensor]


def volumes(folder: Path, split: str) -> list[Pair]:
    """Volumes and labels (1, D, H, W) of one split."""
    return [
        {key: torch.tensor(np.asarray(nibabel.load(folder / row[key]).dataobj, np.float32))[None] for key in row}
        for row in (
            {"image": row["file"], "mask": row["mask"]} for row in preparing.rows_of(folder / "labels.csv", split=split)
        )
    ]


def augmentation(seed: int) -> Compose:
    """A window out of a slightly turned and scaled volume, with changed contrast."""
    both = ("image", "mask")
    augment = Compose(
        [
            SpatialPadd(both, example.WINDOW),
            RandAffined(
                both,
                prob=0.7,
                rotate_range=(0.2, 0.2, 0.2),
                scale_range=(0.1, 0.1, 0.1),
                mode=("bilinear", "nearest"),
                padding_mode="border",
            ),
            RandSpatialCropd(both, example.WINDOW, random_size=False),
            RandAdjustContrastd("image", prob=0.5, gamma=(0.7, 1.4)),
        ]
    )
    augment.set_random_state(seed)
    return augment


def structure_dice(network: nn.Module, pairs: list[Pair]) -> Tensor:
    """Mean Dice of each structure over volumes, through the sliding windows."""
    rows = []
    for pair in pairs:
        with torch.no_grad():
            logits = sliding_window_inference(
                pair["image"][None], example.WINDOW, 4, network, overlap=example.OVERLAP, mode="gaussian"
            )
        decided = logits.argmax(1)
        rows.append([float(training.dice(decided == k, pair["mask"] == k)) for k in (1, 2)])
    return torch.tensor(rows).mean(0)


def train(folder: Path, epochs: int, seed: int) -> nn.Module:
    """The network of the best validation epoch."""
    torch.manual_seed(seed)
    pairs, validation, augment = volumes(folder, "train"), volumes(folder, "val"), augmentation(seed)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for rows in torch.randperm(len(pairs)).repeat(WINDOWS).split(BATCH):
            drawn = [augment(pairs[row]) for row in rows.tolist()]
            images, masks = ([torch.as_tensor(one[key]) for one in drawn] for key in ("image", "mask"))
            yield torch.stack(images), torch.stack(masks)

    loss = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False)
    steps = -(-len(pairs) * WINDOWS // BATCH)
    return training.fit(
        example.build(), batches, loss, lambda it: float(structure_dice(it, validation).mean()), epochs, steps, 2e-3
    )


def main() -> None:
    """Train, test, save."""
    options = training.options(__doc__, HERE, epochs=60)
    torch.set_num_threads(options.threads)
    network = train(options.data, options.epochs, options.seed)
    found = structure_dice(network, volumes(options.data, "test")).tolist()
    print(
        "test Dice " + ", ".join(f"{name} {value:.3f}" for name, value in zip(example.STRUCTURES, found, strict=True))
    )
    training.save(network, options.out)


if __name__ == "__main__":
    main()
