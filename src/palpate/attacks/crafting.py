"""Attacked images for training: any attack on any task, without verdicts, for every image to the end."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from palpate.attacks.ascent import Ascent, Climb
from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.transforms import transformed_models
from palpate.contracts import Attack, Limits, Task, Threat
from palpate.streams import Streams
from palpate.tasks.saturation import Cooling
from palpate.tensors import Tree
from palpate.victim import Victim

__all__ = ["craft", "never_beaten"]


def craft(
    attack: Attack,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Tree,
    *,
    streams: Streams,
    limits: Limits | None = None,
) -> Tensor:
    """Attacked images (B, C, *spatial) that the threat allows, as the model would see them; no gradient.

    An ascent gives its last iterate. It costs `steps` passes forward and backward per image, and one more forward if
    the objective compares with the clean outputs; no image is judged and none leaves early. Images whose gradient is
    exactly zero at the first step cost one more backward, for the margin's gradient. Restarts are left out.

    Other attacks search as usual, on a task that no image ever loses (`never_beaten`), and give the image of highest
    loss that they have seen.

    Args:
        attack: what makes the images.
        victim: the model; its weights, gradients, buffers and modes are as before afterwards.
        task: what its outputs mean, untargeted.
        images: clean images; never written to.
        targets: what the task expects.
        streams: one source of randomness per image.
        limits: what confines the change of each image.

    Raises:
        InputError: images, targets or outputs that cannot be attacked.
    """
    if not len(images):
        return images.clone()
    if not isinstance(attack, Ascent):
        open_task = never_beaten(task)
        return attack(victim, open_task, images, targets, generator=streams, limits=limits).images
    one = replace(attack, run_to_end=True, restarts=1)
    models = transformed_models(victim, one.robust_to)
    rows = torch.arange(len(images), device=images.device)
    with victim, torch.enable_grad():
        clean = getattr(one.objective, "needs_clean_outputs", True)
        climb = Climb(one, Unjudged(victim, task, one.threat, images, targets, limits, clean), rows, streams, models)
        climb.run()
        return climb.space.to_image(climb.images).detach()


class Unjudged(BestSoFar):
    """In place of what an attack has found so far, where nothing is kept: images are neither scored nor judged.

    Args:
        clean: compute the outputs for the clean images, for objectives that compare with them.
    """

    judges = False

    def __init__(
        self,
        victim: Victim,
        task: Task,
        threat: Threat,
        images: Tensor,
        targets: Tree,
        limits: Limits | None,
        clean: bool,
    ):
        self.victim, self.task, self.targets, self.limits = victim, task, targets, limits
        self.space = threat.around(images.detach(), victim.bounds, limits)
        self.clean_outputs = victim.score(self.space.clean) if clean else None
        nothing = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        self.forwards, self.backwards = nothing.clone(), nothing
        self.zero_gradient, self.blocked_gradient, self.non_finite = (nothing.bool() for _ in range(3))

    @property
    def cooling(self) -> Cooling:
        """That for the clean outputs, if they are known; otherwise none."""
        return (
            Cooling(self.task)
            if self.clean_outputs is None
            else Cooling.of(self.task, self.clean_outputs, self.targets)
        )

    def note(self, *found: Any, **how: Any) -> None:
        """Nothing is kept."""

    def spend(self, rows: Tensor, forwards: int, backwards: int) -> None:
        """Nothing is counted."""


def never_beaten(task: Task) -> Task:
    """The same task with another verdict: every image may be attacked, and none is ever beaten.

        margin = 1 / (1 + loss)

    so that the image of smallest margin, which attacks keep, is that of highest loss, and stays above 0.
    """
    changed: Task = object.__new__(_opened(type(task)))
    vars(changed).update(vars(task))
    return changed


@cache
def _opened(kind: type) -> type:
    """A subclass, so that an attack still sees what kind of task it is."""
    return type(kind.__name__, (_NeverBeaten, kind), {})


class _NeverBeaten:
    def margin(self, outputs: Tree, targets: Tree) -> Tensor:
        task: Any = self
        return 1 / (1 + task.loss(outputs, targets).clamp(min=0))  # type: ignore[no-any-return]

    def scaled_margin(self, outputs: Tree, targets: Tree) -> Tensor:
        return self.margin(outputs, targets)

    def eligible(self, targets: Tree) -> Tensor:
        parent: Any = super()
        return torch.ones_like(parent.eligible(targets))
