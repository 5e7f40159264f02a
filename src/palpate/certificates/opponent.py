"""The attack on the smoothed model: what the certificate promises is put to the test at the same L2 radii."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

from palpate.attacks.recipes import apgd_ce
from palpate.attacks.recipes_dense import dice_pgd
from palpate.certificates.decisions import Decisions
from palpate.certificates.settings import Settings
from palpate.defences.reading import reading_of
from palpate.defences.smoothing import Smoothing
from palpate.streams import Streams
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree
from palpate.threats.ball import L2
from palpate.victim import Victim
from palpate.victim.defence import Pass


def unsmoothed(victim: Victim) -> Victim:
    """The model that is smoothed: the victim itself; without its outermost defence if that is smoothing already."""
    if not (victim.defences and isinstance(victim.defences[0], Smoothing)):
        return victim
    return Victim(
        victim.module,
        victim.bounds,
        preprocess=victim.preprocess,
        inferer=victim.inferer,
        tuning=victim.tuning,
        watchdog=victim.watchdog,
        draws=victim.draws,
        defences=victim.defences[1:],
    )


@dataclass
class _Passes:
    """Stands innermost and counts what reaches the model."""

    forwards: int = 0
    exact: bool = field(default=True, init=False)

    def __call__(self, images: Tensor, answer: Callable[[Tensor], Tree], how: Pass) -> Tree:
        self.forwards += len(images)
        return answer(images)

    def describe(self) -> str:
        return "a count"


class Attacker:
    """Attacks a smoothed model on one image at a time.

    The search climbs the expectation over draws (SmoothAdv, Salman et al., NeurIPS 2019) by APGD in L2 inside the
    bounds: on the loss for classes and findings, on the soft score for masks. What it finds is judged elsewhere.

    Args:
        victim: the model that is smoothed, with its own defences.
        decisions: of the image.
        settings: sigma, steps and draws.
        seed: of the image.

    Attributes:
        forwards: forward passes of the model that was smoothed.
        backwards: backward passes.
    """

    def __init__(self, victim: Victim, decisions: Decisions, settings: Settings, seed: int):
        self.inside, self.decisions, self.settings, self.seed = victim, decisions, settings, seed
        self.passes, self.backwards = _Passes(), 0

    @property
    def forwards(self) -> int:
        """Forward passes of the model that was smoothed."""
        return self.passes.forwards

    def __call__(self, image: Tensor, radius: float, start: Tensor | None) -> Tensor:
        """The worst image that the search saw within the radius of `image` (1, C, *spatial), clean if it saw none."""
        masks, settings = self.decisions.pixels, self.settings
        found, eligible = self._attacked(image, radius, start, settings.draws if masks else settings.select)
        if not eligible and not masks:
            # Few votes took an image as beaten already that is near its boundary: exactly one that should be attacked.
            found, _ = self._attacked(image, radius, start, settings.samples)
        return found

    def _attacked(self, image: Tensor, radius: float, start: Tensor | None, votes: int) -> tuple[Tensor, bool]:
        victim, task = self._smoothed(votes), self.decisions.task
        if isinstance(task, Segmentation):
            task = replace(task, floor=0.0)  # scores that are not acceptable can still fall
        # To the end: where votes first change, new draws would not show it.
        attack = (dice_pgd if self.decisions.pixels else apgd_ce)(L2(radius), self.settings.steps, run_to_end=True)
        start = None if start is None else start.clamp(*victim.bounds)
        result = attack(victim, task, image, self.decisions.targets, generator=Streams([self.seed]), start=start)
        self.backwards += int(result.backwards.sum()) * self.settings.draws
        return result.images, bool(result.eligible[0])

    def _smoothed(self, votes: int) -> Victim:
        inside, settings = self.inside, self.settings
        smoothing = Smoothing(settings.sigma, settings.draws, reading_of(self.decisions.task), votes)
        return Victim(
            inside.module,
            inside.bounds,
            preprocess=inside.preprocess,
            inferer=inside.inferer,
            watchdog=inside.watchdog,
            draws=inside.draws,
            defences=(smoothing, *inside.defences, self.passes),
        )
