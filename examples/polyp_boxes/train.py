"""Train the network of this example: `python examples/polyp_boxes/train.py`, after prepare.py.

An ordinary training, without any defence: flips, scales, shifts and light, the detector's own loss, AdamW, a one-cycle
rate; the epoch with the best mAP@0.5 on the validation split is kept. About eight minutes on two cores that
others share.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from palpate import Preprocess

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import model as example  # noqa: E402

import detecting  # noqa: E402
import training  # noqa: E402


def main() -> None:
    """Train, test, save."""
    options = training.options(__doc__, HERE, epochs=26, network="detector")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    prepare = Preprocess(mean=(example.MEAN,), std=(example.STD,))
    network = detecting.train(
        example.build(),
        prepare,
        options.data,
        example.CLASSES,
        epochs=options.epochs,
        batch=16,
        rate=3e-3,
        seed=options.seed,
    )
    training.save(network, options.out)


if __name__ == "__main__":
    main()
