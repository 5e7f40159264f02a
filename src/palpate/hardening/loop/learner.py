"""What changes while a model learns: weights, their average, and the optimiser with its rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from palpate.hardening.loop.average import Average
from palpate.hardening.loop.weights import Weights, copied, put


class Learner:
    """A module in training.

    Args:
        module: its weights change.
        optimiser: fresh; the rates of its groups are the largest ones.
        average: share of the old average that each step keeps; 0 switches averaging off.
    """

    def __init__(self, module: nn.Module, optimiser: Optimizer, average: float):
        self.module, self.optimiser = module, optimiser
        self._rates = [float(group["lr"]) for group in optimiser.param_groups]
        self._fresh = optimiser.state_dict()
        self._average = Average(module, average) if average else None

    @property
    def averaged(self) -> bool:
        """Whether the weights that are examined are averages."""
        return self._average is not None

    @property
    def weights(self) -> Weights:
        """The weights that are examined, kept and chosen: the average, or the module's own."""
        return copied(self.module) if self._average is None else self._average.values

    @property
    def rate(self) -> float:
        """The largest learning rate of all groups."""
        return max(float(group["lr"]) for group in self.optimiser.param_groups)

    def set_rate(self, share: float) -> None:
        """Set the rate of each group to a share of its largest."""
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * share

    def stepped(self) -> None:
        """The optimiser made a step."""
        if self._average is not None:
            self._average.update(self.module)

    def go_back(self, weights: Weights) -> None:
        """Go on from these weights, with a fresh optimiser and a new average."""
        put(self.module, weights)
        if self._average is not None:
            self._average.restart(weights)
        self.optimiser.load_state_dict(self._fresh)

    def kept(self) -> dict[str, Any]:
        """Everything of it that a checkpoint needs, by name."""
        average = self._average
        return {
            "weights": copied(self.module),
            "optimiser": self.optimiser.state_dict(),
            "average": None if average is None else average.values,
            "average_steps": 0 if average is None else average.steps,
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """From what `kept` gave."""
        put(self.module, kept["weights"])
        self.optimiser.load_state_dict(kept["optimiser"])
        if self._average is not None:
            self._average.restart(kept["average"], kept["average_steps"])


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that a training changes."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
