"""Implicit attacks: how often realistic artefacts change a decision that noise of the same size leaves as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Scene
from palpate.artefacts.parameter import WORST, theta_at
from palpate.artefacts.search.draws import random_points
from palpate.artefacts.search.questions import Answers, Questions
from palpate.contracts import Limits, Task
from palpate.errors import InputError, NoGradientError
from palpate.streams import Streams
from palpate.tensors import Tree
from palpate.victim import Victim

_ROUNDS = 30
"""Corrections of the size of the noise after it was clipped."""


@dataclass(frozen=True)
class Implicit:
    """Random artefacts beside noise of the same L2 length, of B images and K draws each.

    With x the clean image, d the change by the artefact, n normal noise with |n| = |d|, L the task's loss, g its
    gradient at x:

        cosine = <d, g> / (|d| |g|),   gain = L(x + d) - L(x),   and the same of n

    An attack in L2 has cosine 1 with the gradient at its first step; noise of N values has about 1 / sqrt(N).

    Attributes:
        counted: (B,) bool, the goal makes sense and the clean image does not fulfil it; others are NaN or False.
        theta: (B, K, D) float64.
        length: (B, K) float64, |d| in stored values; NaN where a draw is not allowed (see `search`).
        flips: (B, K) bool, the artefact changes the decision.
        noise_flips: (B, K) bool, the noise does.
        gain: (B, K) float64.
        noise_gain: (B, K) float64.
        cosine: (B, K) float64; NaN without a gradient, or where nothing changes.
        noise_cosine: (B, K) float64.
        blocked: why there is no gradient; None if there is.
    """

    counted: Tensor
    theta: Tensor
    length: Tensor
    flips: Tensor
    noise_flips: Tensor
    gain: Tensor
    noise_gain: Tensor
    cosine: Tensor
    noise_cosine: Tensor
    blocked: str | None

    @property
    def rates(self) -> Tensor:
        """Per image (B,) float64, the share of draws that change the decision while the noise does not."""
        drawn = self.length.isfinite() & self.counted[:, None]
        return (self.flips & ~self.noise_flips & drawn).sum(1).double() / drawn.sum(1)

    @property
    def rate(self) -> float:
        """Mean of `rates` over the images that count; NaN if there are none."""
        return float(self.rates.nanmean())


def implicit(
    artefact: Artefact,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Tree,
    scenes: Sequence[Scene],
    *,
    severity: float = 3.0,
    draws: int = 16,
    streams: Streams | torch.Generator | None = None,
    limits: Limits | None = None,
    batch: int = 32,
) -> Implicit:
    """Compare random artefacts with noise of the same length, inside `with victim:`.

    The noise is clipped to the bounds and scaled so that its length is still that of the artefact's change, as far as
    the bounds allow; it is not rounded to stored values. Costs 2 K + 1 questions and one gradient per image. If the
    artefact moves anatomy, its loss and decision are read with the moved annotations, those of the noise with the
    annotations as they are.

    Args:
        artefact: what happens to the images.
        victim: the model, entered.
        task: what its outputs mean.
        images: (B, C, *spatial) in stored values; never written to.
        targets: their annotations.
        scenes: what is known of each image.
        severity: of all draws, above 0.
        draws: K.
        streams: source of randomness, one stream per image.
        limits: stored steps of the artefact's images.
        batch: images of one pass, at most.

    Raises:
        InputError: a number is out of its range, or the artefact cannot act on an image.
    """
    if not 0 < severity <= WORST:
        raise InputError(f"severity: {severity:g} must be above 0 and at most {WORST}.")
    if draws < 1:
        raise InputError(f"draws: {draws} must be at least 1.")
    streams = Streams.of(streams, len(images))
    questions = Questions(artefact, victim, task, images, targets, scenes, streams, limits, batch)
    seeds = (streams.uniform((1,), torch.zeros(1, dtype=torch.float64)) * 2**31).long().flatten().tolist()
    outputs, margin, eligible = questions.clean()
    loss, counted = task.loss(outputs, targets).double().cpu(), eligible & (margin > 0)
    gradient, blocked = _gradient(questions, batch)
    candidates = random_points(artefact, ((severity, draws),), seeds)
    table = {name: torch.full((len(candidates.rows),), torch.nan, dtype=torch.float64) for name in _COLUMNS}
    for answers in questions.answers("draws", candidates, victim.judge):
        for name, values in _compared(questions, answers, streams, gradient, loss).items():
            table[name][answers.places] = values
    shaped = {name: values.reshape(len(images), draws) for name, values in table.items()}
    for name in ("gain", "noise_gain", "cosine", "noise_cosine"):
        shaped[name][~counted] = torch.nan
    theta = theta_at(artefact.parameters, candidates.unit, severity).reshape(len(images), draws, -1)
    flips, noise_flips = ((shaped[name] <= 0) & counted[:, None] for name in ("margin", "noise_margin"))
    return Implicit(
        counted, theta, shaped["length"], flips, noise_flips, shaped["gain"], shaped["noise_gain"], shaped["cosine"],
        shaped["noise_cosine"], blocked,
    )  # fmt: skip


_COLUMNS = ("length", "margin", "noise_margin", "gain", "noise_gain", "cosine", "noise_cosine")


def _compared(
    questions: Questions, answers: Answers, streams: Streams, gradient: Tensor, loss: Tensor
) -> dict[str, Tensor]:
    """The columns of one batch of candidates, each (M,)."""
    task, rows = questions.task, answers.rows
    place = rows.to(questions.images.device)
    clean = questions.images[place]
    change = (answers.images - clean).double()
    drawn = torch.cat([streams.take(row[None]).normal(clean.shape[1:], clean) for row in rows])
    noisy = _as_long(clean, drawn, _length(change), questions.victim.bounds)
    targets = task.take(questions.targets, place)
    outputs = questions.sent("draws", rows, noisy, questions.victim.judge)
    return {
        "length": _length(change).cpu(),
        "margin": answers.margin,
        "noise_margin": task.margin(outputs, targets).double().cpu(),
        "gain": task.loss(answers.outputs, answers.targets).double().cpu() - loss[rows],
        "noise_gain": task.loss(outputs, targets).double().cpu() - loss[rows],
        "cosine": _cosine(change, gradient[place]).cpu(),
        "noise_cosine": _cosine((noisy - clean).double(), gradient[place]).cpu(),
    }


def _gradient(questions: Questions, batch: int) -> tuple[Tensor, str | None]:
    """Gradient of the loss at the clean images, as large as they are; NaN and why if there is none."""
    victim, missing = questions.victim, torch.full_like(questions.images, torch.nan)
    if blocked := victim.where_blocked(questions.images[:1]):
        return missing, blocked
    parts = []
    for rows in torch.split(torch.arange(len(questions.images)), batch):
        with torch.enable_grad():
            images = questions.images[rows.to(questions.images.device)].clone().requires_grad_()
            outputs = questions.sent("gradient", rows, images, victim.search)
            targets = questions.task.take(questions.targets, rows.to(images.device))
            try:
                parts.append(victim.gradient(questions.task.loss(outputs, targets), images))
            except NoGradientError as error:
                return missing, str(error)
    return torch.cat(parts), None


def _as_long(clean: Tensor, noise: Tensor, length: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Images with noise of a length (M,), clipped; the length holds after clipping as far as the bounds allow."""
    shape = (-1, *[1] * (clean.ndim - 1))
    scale = length / _length(noise.double()).clamp(min=1e-300)
    for _ in range(_ROUNDS):
        noisy = (clean + (noise * scale.reshape(shape)).to(clean)).clamp(*bounds)
        reached = _length((noisy - clean).double())
        scale = torch.where(reached > 0, scale * length / reached.clamp(min=1e-300), scale)
    return noisy


def _length(change: Tensor) -> Tensor:
    length: Tensor = change.flatten(1).norm(dim=1)
    return length


def _cosine(change: Tensor, gradient: Tensor) -> Tensor:
    """NaN where one of them is zero."""
    inner = (change * gradient.double()).flatten(1).sum(1)
    return inner / (_length(change) * _length(gradient.double()))
