"""The loss that `train.py` trains this detector with, for `harden.toml`."""

from collections.abc import Callable

import model as example
import torch
from torch import Tensor

from palpate.annotations import Boxes, Candidates
from palpate.models.detectors import centre_loss

HEIGHT, WIDTH = example.SIZE


def loss() -> Callable[[Candidates, Boxes], Tensor]:
    """A function that gives the loss of each image (B,)."""
    points = example.build().points(HEIGHT, WIDTH)

    def of_each(outputs: Candidates, targets: Boxes) -> Tensor:
        rows = range(len(outputs.logits))
        return torch.stack(
            [
                centre_loss(
                    Candidates(outputs.logits[row : row + 1], outputs.boxes[row : row + 1]),
                    Boxes(targets.boxes[row : row + 1], targets.labels[row : row + 1]),
                    points,
                    per_box=True,
                )
                for row in rows
            ]
        )

    return of_each
