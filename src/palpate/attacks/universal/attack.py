"""The attack that applies a learned change: one question per image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.objectives import Margin
from palpate.attacks.search import Search
from palpate.attacks.sparse.steps import adaptive
from palpate.contracts import AttackResult, Limits, Task, Threat
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tensors import Tree
from palpate.victim import Victim

GROUPS = ("all", "class", "site", "scanner")


class Changes(NamedTuple):
    """Learned changes.

    Attributes:
        radii: the radius that each was learned at.
        values: (R, G, C, *spatial) the change of each radius and group, in stored values.
        groups: the group of each sample by its name (`Limits.samples`); empty if there is one group.
    """

    radii: tuple[float, ...]
    values: Tensor
    groups: Mapping[int, int]

    def of(self, eps: float | tuple[float, ...], images: Tensor, samples: Tensor | None) -> Tensor:
        """The change of each of some images (B, C, *spatial).

        Raises:
            InputError: no change was learned at this radius or for images of this size.
        """
        if isinstance(eps, tuple) or eps not in self.radii:
            raise InputError(
                f"eps: a change was learned at {', '.join(f'{radius:g}' for radius in self.radii)}, for all images "
                "alike. Use this radius, or learn a change at another one."
            )
        if images.shape[1:] != self.values.shape[2:]:
            raise InputError(
                f"images: their shape {list(images.shape[1:])} is not that of the learned change, "
                f"{list(self.values.shape[2:])}. Bring all images to one size, or learn a change for these."
            )
        changes = self.values[self.radii.index(eps)].to(images)
        if not self.groups:
            return changes[:1].expand_as(images)
        if samples is None:
            raise InputError("limits: samples must name the images, because each group has its own change.")
        places = torch.tensor([self.groups[sample] for sample in samples.tolist()], device=images.device)
        return changes[places]


@dataclass(frozen=True)
class Universal(Search):
    """One change d for all images x of a group: the model sees x + d, brought back to what the threat allows.

    In an audit the change is learned before the attacks on a share of the patients of each group, at each budget, and
    applied to all images: records of the other patients show how it transfers to images that it has not seen. In
    Python, `learn_universal` learns it. Every image is asked about twice: clean, and with the change. Learning costs
    are in `run.json`, not in the records.

        maximise over |d| <= eps: sum over images of min(-margin(f(x + d)), 0)
        v <- momentum v + mean over a batch of g / |g|_2, g the gradient of the sum's term of each image
        d <- the nearest allowed change to d + a_t (steepest direction of v),   a_t = a (1 + cos(pi t / T)) / 2

    with momentum 0.9 and a first step of a = max(0.05, 4 / T) radii in T steps.

    Only images that are not yet beaten pull. After each pass all learning images are judged; the change that beats most
    is kept, and of equals that of the smallest sum of positive margins.

    Without a learned change each image is a group of its own, which is a climb of the margin.

    Differs from the papers: the margin in place of the (clipped) cross-entropy or of DeepFool per image; per-image
    gradients have equal length; the best pass is kept.
    Reference: Moosavi-Dezfooli, Fawzi, Fawzi, Frossard, Universal Adversarial Perturbations, CVPR 2017; Shafahi,
    Najibi, Xu, Dickerson, Davis, Goldstein, Universal Adversarial Training, AAAI 2020.

    Attributes:
        threat: what the change may be, for each image.
        passes: how often each learning image is used.
        batch: images of one step of learning.
        share: share of the patients of each group on which the change is learned.
        by: the groups: `all` images together, or those of one `class`, `site` or `scanner`.
        changes: what was learned.

    Raises:
        InputError: fewer than one pass or image, no image to learn on or none that is unseen, or an unknown group.
    """

    threat: Threat
    passes: int = 20
    batch: int = 32
    share: float = 0.5
    by: str = "all"
    changes: Changes | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("passes", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: {getattr(self, name)} must be at least 1.")
        if not 0 < self.share < 1:
            raise InputError(
                f"share: {self.share:g} must be above 0 and below 1: some patients to learn on, and some unseen ones."
            )
        if self.by not in GROUPS:
            raise InputError(f"by: '{self.by}' is not one of {', '.join(GROUPS)}.")

    def __call__(
        self,
        victim: Victim,
        task: Task,
        images: Tensor,
        targets: Tree,
        *,
        generator: torch.Generator | Streams | None = None,
        start: Tensor | None = None,
        limits: Limits | None = None,
    ) -> AttackResult:
        """Attack `images` (B, C, *spatial) in stored values; see `palpate.contracts.Attack`."""
        if self.changes is not None:
            return super().__call__(victim, task, images, targets, generator=generator, start=start, limits=limits)
        alone = Ascent(self.threat, self.passes, objective=Margin(), step=adaptive(self.threat))
        return alone(victim, task, images, targets, generator=generator, start=start, limits=limits)

    def search(self, best_so_far: BestSoFar, streams: Streams) -> None:
        """Ask about each image with the change of its group."""
        rows = best_so_far.open_rows()
        rows = rows[best_so_far.affordable(rows)]
        if not len(rows) or self.changes is None:
            return
        clean, space = best_so_far.images[rows], best_so_far.space.take(rows)
        samples = None if best_so_far.limits is None else best_so_far.limits.samples
        named = None if samples is None else samples[rows.to(samples.device)]
        images = space.to_image(space.project(clean + self.changes.of(self.threat.eps, clean, named)))
        outputs = best_so_far.ask(rows, images)
        margin = best_so_far.task.margin(outputs, best_so_far.task.take(best_so_far.targets, rows))
        best_so_far.note(rows, images, outputs, margin, 1, judged=True)
        best_so_far.spend(rows, 1, 0)


def universal(threat: Threat, passes: int = 20, batch: int = 32, share: float = 0.5, by: str = "all") -> Universal:
    """The attack as plans name it; an audit gives it what was learned."""
    return Universal(threat, passes, batch, share, by)
