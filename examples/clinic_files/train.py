"""Train the X-ray network of this example: `python examples/clinic_files/train.py`, after prepare.py.

An ordinary training, without any defence: small turns, shifts, scales and contrast, Dice and cross-entropy, AdamW, a
one-cycle rate; the epoch with the best Dice on the validation split is kept. About four minutes on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandFlipd

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import model as example  # noqa: E402

import training  # noqa: E402


def augmentation(seed: int) -> Compose:
    """Patients are upright: turns of up to 15 degrees, shifts, scales, left and right exchanged, contrast."""
    both = ("image", "mask")
    augment = Compose(
        [
            RandFlipd(both, prob=0.5, spatial_axis=1),
            RandAffined(
                both,
                prob=0.7,
                rotate_range=0.26,
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


def main() -> None:
    """Train, test, save."""
    options = training.options(__doc__, HERE, epochs=40, network="lungs")
    torch.set_num_threads(options.threads)
    folder = options.data / "xray_training"
    network = training.train_2d(
        example.build_lungs,
        example.PREPARE,
        folder,
        epochs=options.epochs,
        batch=16,
        rate=2e-3,
        seed=options.seed,
        augment=augmentation(options.seed),
    )
    tested = training.mean_dice(network, example.PREPARE, *training.images_and_masks(folder, "test"))
    print(f"test Dice {tested:.3f}")
    training.save(network, options.out)


if __name__ == "__main__":
    main()
