"""A detector that rejects suspicious images: those whose outputs change under filters (feature squeezing)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import floor, isfinite, log10

import torch
from torch import Tensor

from palpate.defences.filters import Step
from palpate.defences.reading import Reading, scores_of
from palpate.errors import InputError
from palpate.tasks.screening import Screened
from palpate.tensors import Tree
from palpate.victim.defence import Pass

_DIGITS = 3
_LEAST = 1e-6


@dataclass(frozen=True)
class Reject:
    """Rejects images whose outputs change much under one of several filters (Xu, Evans, Qi, NDSS 2018).

        s(x) = max_f d(p(x), p(f(x)))     rejected if s(x) > threshold

    with p the probabilities and d the sum over classes, or the largest finding, of their differences, as a mean over
    pixels. Outputs are `Screened`: an attack must reach its goal *and* stay accepted, and climbs both.

    Attributes:
        filters: the filters f.
        threshold: of the score; None: set from clean images by `calibrated`.
        false_alarms: share of the clean images that may be rejected, where the threshold is set from them.
        head: how outputs are read; None: as the task says, and without one as classes.

    Raises:
        InputError: no filters, a threshold that is not above 0, or a share that is not from 0 to below 1.
    """

    filters: tuple[Step, ...]
    threshold: float | None = None
    false_alarms: float = 0.05
    head: Reading | None = None

    exact = True

    def __post_init__(self) -> None:
        if not self.filters:
            raise InputError("reject.filters: name at least one.")
        if self.threshold is not None and not (isfinite(self.threshold) and self.threshold > 0):
            raise InputError(f"reject.threshold: {self.threshold:g} must be above 0.")
        if not 0 <= self.false_alarms < 1:
            raise InputError(f"reject.false_alarms: {self.false_alarms:g} must be from 0 to below 1.")

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        much = "" if self.threshold is None else f" by more than {self.threshold:g}"
        return f"rejects images whose outputs change{much} under a filter ({', '.join(map(_words, self.filters))})"

    def __call__(self, images: Tensor, answer: Callable[[Tensor], Tree], how: Pass) -> Screened:
        """The outputs, and how far the score is above the threshold.

        Raises:
            InputError: the threshold is not set, or a detector's boxes, which have no such score.
        """
        if self.threshold is None:
            raise InputError("reject.threshold: it is not set. Give it, or set it from clean images: calibrated(...).")
        outputs = scores_of(answer(images))
        return Screened(outputs, self._change(images, outputs, answer) / self.threshold - 1)

    def score(self, images: Tensor, answer: Callable[[Tensor], Tree]) -> Tensor:
        """The score s of each image (B,)."""
        return self._change(images, scores_of(answer(images)), answer)

    def calibrated(self, scores: Tensor) -> Reject:
        """With the smallest threshold that rejects at most the stated share of clean images, given their scores (N,).

        It is rounded up to three digits, so that it does not depend on the last bits of a machine.
        """
        if self.threshold is not None:
            return self
        falling = scores.detach().double().cpu().sort(descending=True).values
        allowed = min(floor(self.false_alarms * len(falling) + 1e-9), len(falling) - 1)
        return replace(self, threshold=_rounded_up(max(float(falling[allowed]), _LEAST)))

    def _change(self, images: Tensor, outputs: Tensor, answer: Callable[[Tensor], Tree]) -> Tensor:
        reading = self.head or Reading()
        own = reading.probabilities(outputs)
        changes = []
        for step in self.filters:
            filtered = step.soft(images) if torch.is_grad_enabled() else step(images)
            apart = (own - reading.probabilities(answer(filtered))).abs().reshape(len(images), own[:1].numel())
            apart = apart.reshape(len(images), own.shape[1] if own.ndim > 1 else 1, -1).mean(2)
            changes.append(apart.sum(1) if reading.kind == "softmax" else apart.amax(1))
        return torch.stack(changes).amax(0)


def _words(step: Step) -> str:
    return step.describe()


def _rounded_up(value: float) -> float:
    unit = 10.0 ** (floor(log10(value)) - _DIGITS + 1)
    return float(f"{-floor(-value / unit) * unit:.{_DIGITS}g}")
