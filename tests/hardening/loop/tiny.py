"""A tiny training: 24 images of 6 x 6 pixels, a few weights, one-step attacks, an examiner of two attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palpate.audit.plan.sections.harden import HardenSection
from palpate.contracts import Limits
from palpate.hardening.contracts import Batch, Course, Crafted, Examiner, Scores, Situation
from palpate.seeds import derive
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Victim


def network(seed: int = 0, *, dropout: bool = True, norm: bool = True) -> nn.Sequential:
    """A small network with whatever makes resuming hard."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.BatchNorm2d(6) if norm else nn.Identity(),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.2 if dropout else 0.0),
            nn.Linear(24, 2),
        ).eval()


def images(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise with a bright upper or lower half."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    pixels = 100 + 30 * torch.randn(count, 1, 6, 6, generator=generator)
    pixels[labels == 0, :, :3] += 40
    pixels[labels == 1, :, 3:] += 40
    return pixels.clamp(0, 255).round(), labels


@dataclass(frozen=True)
class Shuffled:
    """Batches in an order that depends only on the epoch."""

    count: int = 24
    size: int = 8
    seed: int = 1

    def __len__(self) -> int:
        return (self.count + self.size - 1) // self.size

    @property
    def data(self) -> tuple[Tensor, Tensor]:
        return images(self.count, self.seed)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        pixels, labels = self.data
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(derive(0, number) % 2**31))
        for place in range(start, len(self)):
            rows = order[place * self.size : (place + 1) * self.size]
            streams = Streams([derive(number, int(row)) for row in rows])
            yield Batch(pixels[rows], labels[rows], Limits(), streams)


@dataclass(frozen=True)
class OneStep:
    """Random start, one step of the gradient's sign."""

    length: float = 1.25
    steps: int = 1
    name: ClassVar[str] = "one step"

    def craft(self, batch: Batch, situation: Situation) -> Crafted:
        space = situation.threat.around(batch.images, situation.victim.bounds, batch.limits)
        place = space.sample(batch.streams)
        with situation.victim as victim:
            for _ in range(self.steps):
                place = place.detach().requires_grad_()
                loss = situation.task.loss(victim.search(space.to_image(place)), batch.targets)
                place = space.move(place, victim.gradient(loss, place), self.length)
        return Crafted(space.to_image(place).detach(), batch.targets)

    def loss(self, batch: Batch, crafted: Crafted, situation: Situation) -> Tensor:
        return situation.loss(situation.network(crafted.images), crafted.targets).mean()


@dataclass(frozen=True)
class ManySteps(OneStep):
    """Four smaller ones."""

    name: ClassVar[str] = "many steps"

    length: float = 0.5
    steps: int = 4


@dataclass
class Attacks:
    """Accuracy clean, under four steps, and under one; of images that are not trained on."""

    threat: Linf
    count: int = 16

    def examine(self, victim: Victim) -> Scores:
        pixels, labels = images(self.count, 99)
        situation = Situation(victim, Classification(2), self.threat, cross_entropy, victim.search)

        def right(recipe: OneStep) -> float:
            batch = Batch(pixels, labels, Limits(), Streams(range(len(pixels))))
            return float((victim.judge(recipe.craft(batch, situation).images).argmax(1) == labels).double().mean())

        with victim:
            clean = float((victim.judge(pixels).argmax(1) == labels).double().mean())
            return Scores(clean, right(ManySteps()), right(OneStep(1.0)))


@dataclass
class Scripted:
    """Gives the scores that it is told, in order."""

    script: list[Scores]
    asked: int = 0

    def examine(self, victim: Victim) -> Scores:
        self.asked += 1
        return self.script[min(self.asked, len(self.script)) - 1]


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets, reduction="none")


ADAMW = partial(torch.optim.AdamW, lr=0.01)


def settings(**changes: object) -> HardenSection:
    """`[harden]` with three epochs."""
    return HardenSection.model_validate({"data": {"table": "unused.csv"}, "epochs": 3, "rate": 0.01, **changes})


def course(
    module: nn.Module | None = None,
    *,
    examiner: Examiner | None = None,
    lessons: Shuffled = Shuffled(),
    optimiser: Callable[..., torch.optim.Optimizer] = ADAMW,
    eps: float = 10.0,
    **changes: object,
) -> Course:
    """A training of a tiny network."""
    module = network() if module is None else module
    victim = Victim(module, (0.0, 255.0), preprocess=standardised)
    return Course(
        victim=victim,
        judged=Victim(module, (0.0, 255.0), preprocess=standardised),
        task=Classification(2),
        threat=Linf,
        eps=eps,
        recipe=OneStep(),
        fallback=ManySteps(),
        loss=cross_entropy,
        lessons=lessons,
        examiner=examiner or Attacks(Linf(eps)),
        settings=settings(**changes),
        optimiser=optimiser,
        seed=5,
    )


def standardised(pixels: Tensor) -> Tensor:
    return (pixels - 120) / 40


def other(one: Course, **changes: object) -> Course:
    """A copy with a fresh module of the same weights."""
    return replace(one, **changes)
