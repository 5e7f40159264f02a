"""The moving average of weights and buffers (EMA), which is what each epoch is examined with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from palpate.hardening.loop.weights import Weights, copied, live


class Average:
    """The exponential moving average of everything in a module that has decimals.

    Step t from 1 keeps a share d of the old average and takes 1 - d of the new weights:

        a <- d a + (1 - d) w        d = min(keep, (1 + t) / (10 + t))

    The share grows at first, so that a short training is not averaged with the weights it started from. Whole numbers,
    such as the counter of a batch norm, are copied.

    Args:
        module: where the average starts.
        keep: the largest share d, from 0 (no averaging) to below 1.

    Attributes:
        values: the average by name.
        steps: updates so far.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> average = Average(layer, 0.99)
    >>> _ = layer.weight.data.fill_(1.0), average.values["weight"].fill_(0.0)
    >>> average.update(layer)
    >>> round(float(average.values["weight"]), 3)  # d = 2 / 11
    0.818
    """

    def __init__(self, module: nn.Module, keep: float):
        self.keep = keep
        self.values: dict[str, Tensor] = copied(module)
        self.steps = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take the module's weights in, after a step of the optimiser."""
        self.steps += 1
        taken = 1 - min(self.keep, (1 + self.steps) / (10 + self.steps))
        for name, tensor in live(module).items():
            if tensor.is_floating_point():
                self.values[name].lerp_(tensor, taken)
            else:
                self.values[name].copy_(tensor)

    def restart(self, weights: Weights, steps: int = 0) -> None:
        """Go on from these weights."""
        for name, tensor in self.values.items():
            tensor.copy_(weights[name])
        self.steps = steps
