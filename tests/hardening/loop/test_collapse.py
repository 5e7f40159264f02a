"""A real collapse: single-step training at a budget close to the signal, seen, rolled back, and left to many steps."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from palpate.contracts import Limits
from palpate.hardening.contracts import Batch, Course, Crafted, Scores, Situation, Trained
from palpate.hardening.loop import train
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from tests.hardening.loop.tiny import ManySteps, OneStep, Shuffled, course, cross_entropy, standardised

SIDE, EPS, WIDTH = 12, 25.0, 24


def images(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two halves of opposite or equal brightness, 26 above or below the mean: no linear rule tells them apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    left = 26.0 * (torch.randint(0, 2, (count, 1, 1, 1), generator=generator) * 2 - 1)
    pixels = 128 + 15 * torch.randn(count, 1, SIDE, SIDE, generator=generator)
    pixels[..., : SIDE // 2] += left
    pixels[..., SIDE // 2 :] += left * (2 * labels - 1).reshape(-1, 1, 1, 1)
    return pixels.clamp(0, 255).round(), labels


class Lessons(Shuffled):
    @property
    def data(self) -> tuple[Tensor, Tensor]:
        return images(self.count, self.seed)


@dataclass(frozen=True)
class Fgsm(OneStep):
    """One whole step of the gradient's sign from the image itself."""

    name: ClassVar[str] = "fgsm"

    def craft(self, batch: Batch, situation: Situation) -> Crafted:
        space = situation.threat.around(batch.images, situation.victim.bounds, batch.limits)
        with situation.victim as victim:
            place = batch.images.clone().requires_grad_()
            loss = situation.task.loss(victim.search(place), batch.targets)
            return Crafted(space.move(place, victim.gradient(loss, place), 1.0).detach(), batch.targets)


class Examiner:
    """Clean, under ten steps, and under one."""

    def examine(self, victim):
        pixels, labels = images(32, 99)
        batch = Batch(pixels, labels, Limits(), Streams(range(len(pixels))))
        situation = Situation(victim, Classification(2), Linf(EPS), cross_entropy, victim.search)

        def right(seen: Tensor) -> float:
            return float((victim.judge(seen).argmax(1) == labels).double().mean())

        with victim:
            many = ManySteps(0.25, 10).craft(batch, situation).images
            return Scores(right(pixels), right(many), right(Fgsm().craft(batch, situation).images))


def trained_network() -> nn.Module:
    """A network that reads unattacked images without a mistake."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        module = nn.Sequential(
            *(nn.Conv2d(1, WIDTH, 3, 1, 1), nn.BatchNorm2d(WIDTH), nn.ReLU()),
            *(nn.Conv2d(WIDTH, WIDTH, 3, 2, 1), nn.BatchNorm2d(WIDTH), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(WIDTH * SIDE * SIDE // 4, 64), nn.ReLU(), nn.Linear(64, 2)),
        )
        optimiser, (pixels, labels) = torch.optim.Adam(module.parameters(), 3e-3), images(256, 5)
        for _ in range(30):
            rows = torch.randperm(256)[:64]
            optimiser.zero_grad()
            cross_entropy(module(standardised(pixels[rows])), labels[rows]).mean().backward()
            optimiser.step()
    return module.eval()


def training(seed: int, folder: Path) -> Trained:
    """Eight epochs of single steps on the images of this seed."""
    made: Course = course(
        trained_network(),
        eps=EPS,
        epochs=8,
        average=0,
        lose_at_most=1.0,
        lessons=Lessons(count=128, size=8, seed=seed),
        optimiser=partial(torch.optim.AdamW, lr=0.03),
        examiner=Examiner(),
    )
    return train(replace(made, recipe=Fgsm()), folder / str(seed))


def test_single_step_training_collapses_and_is_caught(tmp_path):
    # About every second training collapses; which ones depends on how a processor rounds.
    for seed in range(12):
        trained = training(seed, tmp_path)
        if seen := next((row for row in trained.epochs if "catastrophic overfitting" in row.event), None):
            break
    assert seen is not None
    best = max(trained.epochs[: seen.epoch], key=lambda row: row.robust)
    assert best.robust - seen.robust > 0.1, "many steps win more than before"
    assert seen.single - seen.robust > 0.1, "and one step does not"
    assert trained.epochs[trained.best].robust >= best.robust
    after = [row.recipe for row in trained.epochs if row.epoch > seen.epoch]
    assert after == ["many steps"] * len(after)
    assert after or seen.epoch == 8, "the training goes on"
