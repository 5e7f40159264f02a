"""Train the network of this example: `python examples/polyps/train.py`, after prepare.py.

An ordinary training, without any defence: flips, turns, scales and contrast, Dice and cross-entropy, AdamW, a one-cycle
rate; the epoch with the best Dice on the validation split is kept. About six minutes on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from palpate import Preprocess

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import model as example  # noqa: E402

import training  # noqa: E402


def main() -> None:
    """Train, test, save."""
    options = training.options(__doc__, HERE, epochs=40)
    torch.set_num_threads(options.threads)
    prepare = Preprocess(mean=(example.MEAN,), std=(example.STD,))
    network = training.train_2d(
        example.build, prepare, options.data, epochs=options.epochs, batch=16, rate=2e-3, seed=options.seed
    )
    tested = training.mean_dice(network, prepare, *training.images_and_masks(options.data, "test"))
    print(f"test Dice {tested:.3f}")
    training.save(network, options.out)


if __name__ == "__main__":
    main()
