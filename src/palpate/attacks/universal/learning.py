"""Learn one change for many images: stochastic gradient ascent, images of a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from palpate.attacks.universal.attack import Changes, Universal
from palpate.contracts import Limits, Task, Threat
from palpate.errors import InputError
from palpate.tensors import Tree, spread, take
from palpate.threats.ball import BALLS
from palpate.victim import Victim

_MOMENTUM = 0.9
_FIRST, _REACH = 0.05, 4.0
"""Length of the first step in radii; with few steps it is longer, so that all steps together can go twice across."""


class Batch(NamedTuple):
    """Some images with what the attack knows about each."""

    images: Tensor
    targets: Tree
    limits: Limits | None = None


Load = Callable[[Sequence[int]], Iterable[Batch]]
"""Gives the images with these numbers, in parts that fit into memory."""


@dataclass(frozen=True)
class Learned:
    """One learned change.

    Attributes:
        change: (C, *spatial) in stored values.
        beaten: learning images that it beats.
        eligible: learning images to which the goal applies and that were not lost before.
        forwards: images passed forward while it was learned.
        backwards: images passed backward.
    """

    change: Tensor
    beaten: int
    eligible: int
    forwards: int
    backwards: int


def learn(
    victim: Victim,
    task: Task,
    attack: Universal,
    numbers: Sequence[int],
    load: Load,
    generator: torch.Generator,
    start: Tensor | None = None,
) -> Learned:
    """Learn the change of one group at the radius of the attack's threat.

    The order of the images comes from `generator`; how `load` cuts them into parts changes only rounding.

    Args:
        victim: the model.
        task: what its outputs mean, and the goal.
        attack: the threat and the effort.
        numbers: which images to learn on.
        load: gives them.
        generator: source of randomness.
        start: a change to start from (C, *spatial); none by default.

    Raises:
        InputError: no images, or images of several sizes.
    """
    if not numbers:
        raise InputError("images: there are none. Give at least one image to learn on.")
    before = victim.forwards, victim.backwards
    with victim:
        learner = _Learner(victim, task, attack.threat, load, list(numbers))
        learner.begin(start)
        steps = math.ceil(len(learner.open) / attack.batch)
        learner.first = min(1.0, max(_FIRST, _REACH / max(1, attack.passes * steps)))
        for number in range(attack.passes if learner.open else 0):
            if learner.best[0] == len(learner.open):
                break
            order = torch.randperm(len(learner.open), generator=generator).tolist()
            for step in range(steps):
                chosen = [learner.open[place] for place in order[step * attack.batch : (step + 1) * attack.batch]]
                learner.step(chosen, (number * steps + step) / (attack.passes * steps))
            learner.judge()
    return Learned(
        learner.kept,
        learner.best[0],
        len(learner.open),
        victim.forwards - before[0],
        victim.backwards - before[1],
    )


class _Learner:
    def __init__(self, victim: Victim, task: Task, threat: Threat, load: Load, numbers: list[int]):
        self.victim, self.task, self.threat, self.load = victim, task, threat, load
        self.numbers = numbers
        self.open: list[int] = []
        self.best = (-1, -math.inf)
        self.first = _FIRST

    def begin(self, start: Tensor | None) -> None:
        """Find the images that can be beaten, and the space of changes."""
        shapes, first = set(), None
        for part, (images, targets, _) in self._parts(self.numbers):
            shapes.add(tuple(images.shape[1:]))
            first = images if first is None else first
            margin = self.task.margin(self.victim.judge(images), targets)
            wanted = (self.task.eligible(targets) & (margin > 0)).tolist()
            self.open += [number for number, want in zip(part, wanted, strict=True) if want]
        if len(shapes) > 1:
            raise InputError(
                f"images: one change fits images of one size, and these have {len(shapes)} sizes, such as "
                f"{' and '.join(str(list(shape)) for shape in sorted(shapes)[:2])}. Bring them to one size, or attack "
                "those of each size in an audit of their own (data.where)."
            )
        assert first is not None
        low, high = self.victim.bounds
        none = torch.zeros_like(first[:1])
        # Steps, regions and ties are of each image: the change itself only has a length.
        self.space = BALLS[self.threat.norm](self.threat.eps).around(none, (low - high, high - low))
        self.change = none if start is None else self.space.project(start[None].to(none))
        self.velocity = torch.zeros_like(none)
        self.kept = self.change[0]
        if self.open:
            self.judge()

    def step(self, numbers: Sequence[int], progress: float) -> None:
        """One step against the images of a batch that are not beaten yet."""
        total, count = torch.zeros_like(self.change), 0
        for _, batch in self._parts(numbers):
            gradient, pulling = self._gradient(batch)
            total += gradient
            count += pulling
        if not count:
            return
        self.velocity = _MOMENTUM * self.velocity + total / count
        size = self.first * (1 + math.cos(math.pi * progress)) / 2
        self.change = self.space.move(self.change, self.velocity, size)

    def _gradient(self, batch: Batch) -> tuple[Tensor, int]:
        """The sum of the gradients of equal length, and how many images pull."""
        around = self.threat.around(batch.images, self.victim.bounds, batch.limits)
        iterate = around.project(batch.images + self.change).detach().requires_grad_()
        margin = self.task.margin(self.victim.search(around.to_image(iterate)), batch.targets)
        gradient = self.victim.gradient(-margin, iterate).nan_to_num(0.0, 0.0, 0.0)
        length = gradient.flatten(1).norm(dim=1)
        pulls = (margin.detach() > 0) & (length > 0)
        equal = torch.where(pulls, 1 / length.clamp(min=torch.finfo(length.dtype).tiny), 0.0)
        return (gradient * spread(equal, gradient)).sum(0, keepdim=True), int(pulls.sum())

    def judge(self) -> None:
        """Keep the change if it beats more learning images than the best one, or as many by more."""
        beaten, left = 0, 0.0
        for _, batch in self._parts(self.open):
            around = self.threat.around(batch.images, self.victim.bounds, batch.limits)
            images = around.to_image(around.project(batch.images + self.change))
            margin = self.task.margin(self.victim.judge(images), batch.targets).nan_to_num(math.inf)
            beaten += int((margin <= 0).sum())
            left += float(margin.clamp(min=0).double().sum())
        if (beaten, -left) > self.best:
            self.best, self.kept = (beaten, -left), self.change[0].detach().clone()

    def _parts(self, numbers: Sequence[int]) -> Iterable[tuple[Sequence[int], Batch]]:
        done = 0
        for batch in self.load(numbers):
            yield numbers[done : done + len(batch.images)], batch
            done += len(batch.images)


def learn_universal(
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Tree,
    threat: Threat,
    *,
    passes: int = 20,
    batch: int = 32,
    seed: int = 0,
    limits: Limits | None = None,
) -> Universal:
    """Learn one change on all of these images; gives the attack that applies it to any images of their size.

        attack = learn_universal(victim, Classification(2), images, labels, Linf(4.0))
        unseen = attack(victim, Classification(2), others, their_labels)
        unseen.success_rate, attack.changes.values[0, 0]

    Args:
        victim: the model.
        task: what its outputs mean, and the goal.
        images: (B, C, *spatial) in stored values; keep other patients aside for the rate on unseen images.
        targets: what the task expects.
        threat: what the change may be; one radius.
        passes: how often each image is used.
        batch: images of one step.
        seed: makes the result repeatable.
        limits: what confines the change of each image.

    Raises:
        InputError: no images, a radius per image, or a threat or images that cannot be attacked.
    """
    attack: Any = Universal(threat, passes, batch)
    if isinstance(threat.eps, tuple):
        raise InputError("threat: one change has one radius. Give eps as one number.")

    def load(numbers: Sequence[int]) -> Iterable[Batch]:
        for start in range(0, len(numbers), batch):
            rows = torch.tensor(numbers[start : start + batch], device=images.device)
            yield Batch(images[rows], task.take(targets, rows), take(limits, rows))

    generator = torch.Generator().manual_seed(seed)
    found = learn(victim, task, attack, range(len(images)), load, generator)
    made: Universal = replace(attack, changes=Changes((threat.eps,), found.change[None, None], {}))
    return made
