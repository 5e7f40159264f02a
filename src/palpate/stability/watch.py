"""The watcher of a trace: it keeps each step, and computes the figures that need the end of the attack."""

from __future__ import annotations

import torch
from torch import Tensor

from palpate.contracts import StepEvent
from palpate.stability.terms import Terms
from palpate.tensors import Tree, mapped


class Recorder:
    """Keeps, per step of one start, the images, the outputs, and the numbers that are already known.

    Images and outputs are those of the attack; nothing is copied. They stay in memory until the start is
    over: T + 1 times the attacked images and the model's outputs for them, where the attack alone needs one of each.

    Args:
        terms: the parts of the attack's objective.
        smoothed: also show the smoothed image to the model, at one forward pass a step.

    Attributes:
        last: the latest event; None before the first.
        images: x_0 .. x_T, each (n, C, *spatial).
        outputs: f(x_0) .. f(x_T).
        columns: per quantity one (n,) per step.
    """

    def __init__(self, terms: Terms, smoothed: bool = False):
        self._terms, self._smoothed = terms, smoothed
        self.last: StepEvent | None = None
        self.images: list[Tensor] = []
        self.outputs: list[Tree] = []
        self.columns: dict[str, list[Tensor]] = {}

    def watch(self, event: StepEvent) -> None:
        """Keep one step."""
        self.last = event
        self.images.append(event.images)
        self.outputs.append(event.outputs)
        loss = event.task.loss(event.outputs, event.targets)
        self._keep("margin", event.margin)
        self._keep("loss", loss)
        self._keep("value", torch.full_like(loss, torch.nan) if event.value is None else event.value)
        self._keep("penalty", self._terms.penalty(event, loss))
        self._keep("kl_smoothed", self._kl_smoothed(event) if self._smoothed else torch.full_like(loss, torch.nan))

    def _keep(self, name: str, values: Tensor) -> None:
        self.columns.setdefault(name, []).append(values)

    def _kl_smoothed(self, event: StepEvent) -> Tensor:
        """KL(f(x_t) || f(xs_t))."""
        smoothed = event.forward_no_grad(self._terms.smoothing.smoothed(event))
        return _kl(event, _exact(event.outputs), _exact(smoothed))

    def agreements(self) -> dict[str, list[Tensor]]:
        """KL(f(x) || f(x_t)) and KL(f(x_t) || f(x_T)), once the attack has ended."""
        if self.last is None:
            return {}
        clean, final = _exact(self.last.clean_outputs), _exact(self.last.outputs)
        found: dict[str, list[Tensor]] = {"kl_clean": [], "kl_final": []}
        with torch.no_grad():
            for outputs in map(_exact, self.outputs):
                found["kl_clean"].append(_kl(self.last, clean, outputs))
                found["kl_final"].append(_kl(self.last, outputs, final))
        return found


def _kl(event: StepEvent, p: Tree, q: Tree) -> Tensor:
    """KL(p || q) as the task defines it (B,); values below zero, from rounding, become zero."""
    return event.task.consistency_loss(q, p, "distribution", event.targets).clamp(min=0)


def _exact(outputs: Tree) -> Tree:
    """In float64: a divergence is of second order, and in float32 rounding hides the last steps of an attack."""
    return mapped(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor, outputs)
