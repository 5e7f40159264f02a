"""What the search found, per image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from palpate.tensors import Tree

STEPS = ("clean", "draws", "evolution", "gradient")
"""What can have found an image, in order."""


@dataclass(frozen=True)
class Draws:
    """Random parameters at each severity, the same number for all images.

    Attributes:
        severity: (K,) float64, rising.
        theta: (B, K, D) float64, in the units of the parameters.
        margin: (B, K) float64; infinity where a draw is not allowed, minus infinity where the model gives NaN.
        readings: what `read` returned for each draw of each image; None where a draw is not allowed or nothing is read.
    """

    severity: Tensor
    theta: Tensor
    margin: Tensor
    readings: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Worst:
    """One image per sample, with the model's verdict on it.

    Attributes:
        theta: (B, D) float64.
        margin: (B,) float64 of the model as given.
        images: (B, C, *spatial) in stored values.
        outputs: of the model as given.
        targets: the annotations, moved along with the anatomy.
        step: (B,) int64, place in `STEPS` of what found it; 0, the clean image, if no draw could be judged.
    """

    theta: Tensor
    margin: Tensor
    images: Tensor
    outputs: Tree
    targets: Tree
    step: Tensor


@dataclass(frozen=True)
class Found:
    """What a search found, per image (B,). All margins and images were judged by the model as it was given.

    Attributes:
        eligible: the task's goal makes sense; the others are drawn at random, and not searched.
        clean_margin: (B,) float64; 0 or less is wrong before anything happens.
        clean_outputs: outputs for the clean images.
        draws: the random part.
        severity: the one that was searched.
        worst_of_k: the random draw of smallest margin at that severity.
        worst: the image of smallest margin that any step found at that severity.
        failing_severity: (B,) float64, *a* severity at which an artefact makes the decision fail: 0 if it is wrong
            without one, infinity if none was found. Failing need not be monotone in severity, so that a lower one can
            exist; without exception the decision fails at this one, with `failing_theta`.
        failing_theta: (B, D) float64; NaN if none was found or none is needed.
        queries: questions to the model per step (B,) int64: clean, draws, evolution, gradient, bisection, judge.
        backwards: (B,) int64 backward passes.
        left: (B,) int64, candidates that were not allowed: less than half of what is annotated stays in the image.
        non_finite: (B,) bool, the model's answer to some candidate of an eligible image had no finite margin. NaN
            counts as a failure, with a margin of minus infinity.
        blocked: why no gradient step was taken; None if some were, or none were wanted.
    """

    eligible: Tensor
    clean_margin: Tensor
    clean_outputs: Tree
    draws: Draws
    severity: float
    worst_of_k: Worst
    worst: Worst
    failing_severity: Tensor
    failing_theta: Tensor
    queries: Mapping[str, Tensor]
    backwards: Tensor
    left: Tensor
    non_finite: Tensor
    blocked: str | None

    @property
    def forwards(self) -> Tensor:
        """All questions to the model (B,) int64."""
        return sum(self.queries.values(), start=self.backwards * 0)

    def __len__(self) -> int:
        return len(self.clean_margin)
