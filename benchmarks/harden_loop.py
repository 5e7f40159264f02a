"""What the training loop costs beside its passes: `python -m benchmarks.harden_loop`.

A small convolutional network on random images is trained by `palpate.hardening.loop.train` and by a bare loop that is
written by hand: the same lessons, crafting, loss and optimiser, and nothing else: no average of the weights, no
schedule, no clipping, no checkpoint, no check for NaN, no Fabric. The examiner asks the model nothing, so that only the
loop is timed. Seconds are those of the CPU. Both take turns in one process, and the ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import Contender, Timed, race, ratio, say
from palpate.audit.plan.sections.harden import HardenSection
from palpate.contracts import Limits
from palpate.hardening.contracts import Batch, Course, Recipe, Scores, Situation
from palpate.hardening.loop import train
from palpate.hardening.recipes.table import make
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Victim

SIDE, CLASSES, EPS = 28, 2, 4.0


def network() -> nn.Module:
    """Five convolutions with batch norms."""
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for before, width, stride in ((1, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)):
        parts += [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES)).eval()


def standardised(images: Tensor) -> Tensor:
    """As the network was made for."""
    return (images - 128) / 64


@dataclass(frozen=True)
class RandomImages:
    """Batches of random images, made before."""

    images: Tensor
    labels: Tensor
    size: int

    def __len__(self) -> int:
        return len(self.images) // self.size

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches in their order."""
        for place in range(start, len(self)):
            rows = slice(place * self.size, (place + 1) * self.size)
            streams = Streams([number * 10**6 + place * self.size + row for row in range(self.size)])
            yield Batch(self.images[rows], self.labels[rows], Limits(), streams)


class Asleep:
    """Asks the model nothing."""

    def examine(self, victim: Victim) -> Scores:
        """The same scores every time."""
        return Scores(1.0, 0.5, 0.5)


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each image."""
    return F.cross_entropy(outputs, targets, reduction="none")


def course(module: nn.Module, lessons: RandomImages, recipe: Recipe, epochs: int) -> Course:
    """The training of both loops."""
    victim = Victim(module, (0.0, 255.0), preprocess=standardised)
    settings = HardenSection.model_validate({"data": {"table": "none.csv"}, "epochs": epochs})
    return Course(
        victim=victim,
        judged=victim,
        task=Classification(CLASSES),
        threat=Linf,
        eps=EPS,
        recipe=recipe,
        fallback=recipe,
        loss=loss,
        lessons=lessons,
        examiner=Asleep(),
        settings=settings,
        optimiser=partial(torch.optim.AdamW, lr=1e-3),
        seed=0,
    )


def by_hand(made: Course, epochs: int) -> None:
    """The bare loop."""
    module, victim = made.victim.module, made.victim
    optimiser = made.optimiser(module.parameters())
    situation = Situation(
        victim, made.task, made.threat(made.eps), made.loss, lambda images: module(standardised(images))
    )
    for epoch in range(1, epochs + 1):
        for batch in made.lessons.epoch(epoch):
            with victim:
                crafted = made.recipe.craft(batch, situation)
            module.train()
            optimiser.zero_grad()
            made.recipe.loss(batch, crafted, situation).backward()
            optimiser.step()


def by_palpate(made: Course) -> None:
    """The loop, in a new folder."""
    folder = Path(tempfile.mkdtemp())
    try:
        trained = train(made, folder)
        assert trained.finished, trained.events
    finally:
        shutil.rmtree(folder)


def timed(work: Callable[[], None]) -> Timed:
    """CPU seconds, which other work on the machine changes less than those of a clock."""
    begin = time.process_time()
    work()
    return Timed(time.process_time() - begin, None)


def measured(name: str, settings: dict[str, object], images: int, epochs: int, rounds: int) -> float:
    """The ratio for one recipe."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (images, 1, SIDE, SIDE), generator=generator).float()
    lessons = RandomImages(pixels, torch.arange(images) % CLASSES, 32)
    recipe, module = make(name, settings, Classification(CLASSES), Linf(EPS)), network()

    def fresh() -> Course:
        return course(copy.deepcopy(module), lessons, recipe, epochs)

    loop = Contender(f"palpate, {name}", lambda: timed(lambda: by_palpate(fresh())))
    bare = Contender(f"by hand, {name}", lambda: timed(lambda: by_hand(fresh(), epochs)))
    by_palpate(course(copy.deepcopy(module), lessons, recipe, 1))
    race([loop, bare], rounds)
    return ratio(loop, bare)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name, settings in (("fast", {}), ("pgd", {"steps": 3})):
        found = measured(name, dict(settings), given.images, given.epochs, given.rounds)
        say(f"{name}: {found:.3f} times the bare loop")


if __name__ == "__main__":
    main()
