"""An attack and a loss that users write themselves, as plain functions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.search import Search
from palpate.contracts import ObjectiveInputs, Threat
from palpate.errors import InputError
from palpate.metrics.robustness import SLACK
from palpate.streams import Streams
from palpate.tensors import Tree, leaves, mapped
from palpate.victim import Victim

Attacking = Callable[[nn.Module, Tensor, Tree, float], Any]
"""`my_attack(model, x, y, eps)` returns the changed images."""


class Asked(nn.Module):
    """The model under attack as a module: stored values in, raw outputs out, differentiable, every pass counted."""

    def __init__(self, victim: Victim):
        super().__init__()
        self._victim = victim
        self.eval()

    def forward(self, images: Tensor) -> Tree:
        """Outputs for images (B, C, *spatial) in stored values."""
        return self._victim.search(images)


@dataclass(frozen=True)
class OwnAttack(Search):
    """A user's function as an attack. What it returns is projected onto the threat, and judged by palpate.

    It is called once with the images that are not beaten yet; backward passes inside it are not counted.

    Attributes:
        threat: the ball.
        function: `function(model, x, y, eps)` returns the changed images: of the model as a module, images
            (B, C, *spatial) in stored values, their targets, and the radius in stored values.
        name: for messages.

    Raises:
        InputError: what the function returns is no tensor of the shape of its images, or has NaN.
    """

    threat: Threat
    function: Attacking
    name: str = "attack"

    def search(self, best_so_far: BestSoFar, streams: Streams) -> None:
        """Call the function, project and judge its images."""
        rows = best_so_far.open_rows()
        if not len(rows):
            return
        task, space, victim = best_so_far.task, best_so_far.space.take(rows), best_so_far.victim
        clean, targets = best_so_far.images[rows], best_so_far.task.take(best_so_far.targets, rows)
        eps = self.threat.eps
        before = victim.forwards
        with torch.enable_grad():
            found = self.function(Asked(victim), clean.clone(), targets, eps if isinstance(eps, float) else min(eps))
        found = self._checked(found, clean)
        passes = -(-(victim.forwards - before) // len(rows))
        low, high = victim.bounds
        outside = (space.size(found) > space.radius * (1 + SLACK)) | ((found < low) | (found > high)).flatten(1).any(1)
        if bool(outside.any()):
            warnings.warn(
                f"'{self.name}' returned images outside the budget or the bounds. They were projected back, and the "
                "projected images are judged.",
                stacklevel=8,
            )
        found = space.to_image(space.project(found))
        outputs = best_so_far.ask(rows, found)
        margin = task.margin(outputs, targets)
        best_so_far.note(rows, found, outputs, margin, 1, judged=True)
        best_so_far.spend(rows, passes + 1, 0)

    def _checked(self, found: Any, clean: Tensor) -> Tensor:
        if isinstance(found, np.ndarray):
            found = torch.from_numpy(found)
        if not isinstance(found, Tensor) or found.shape != clean.shape:
            what = f"of shape {list(found.shape)}" if isinstance(found, Tensor) else f"of type {type(found).__name__}"
            raise InputError(
                f"attacks: '{self.name}' returned something {what}. Return the changed images alone, of shape "
                f"{list(clean.shape)}."
            )
        moved: Tensor = found.detach().to(clean)
        if not bool(torch.isfinite(moved).all()):
            raise InputError(f"attacks: '{self.name}' returned images with NaN or infinity.")
        return moved


@dataclass(frozen=True)
class OwnLoss:
    """A user's loss as an objective: what a gradient attack increases.

    Attributes:
        function: `function(outputs, targets)`; one value per image, or one value for all, which is then computed image
            by image, so that no image changes the gradient of another.

    Raises:
        InputError: it returns something else.
    """

    function: Callable[[Tree, Tree], Any]

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """Per-sample value (B,)."""
        count = len(inputs.images)
        found = self._asked(inputs.outputs, inputs.targets)
        if found.ndim and len(found) == count:
            return found.flatten(1).mean(1) if found.ndim > 1 else found
        if found.numel() != 1:
            raise InputError(
                f"loss: it returned shape {list(found.shape)} for {count} images. Return one value per image, "
                "or one for all."
            )
        if count == 1:
            return found.reshape(1)

        def row(place: int) -> Tensor:
            index = torch.tensor([place], device=inputs.images.device)
            outputs = mapped(lambda tensor: tensor[place : place + 1], inputs.outputs)
            return self._asked(outputs, inputs.task.take(inputs.targets, index)).reshape(())

        return torch.stack([row(place) for place in range(count)])

    def _asked(self, outputs: Tree, targets: Tree) -> Tensor:
        try:
            found = self.function(outputs, targets)
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            shapes = ", ".join(str(list(leaf.shape)) for leaf in (*leaves(outputs), *leaves(targets)))
            text = f"loss: it fails with outputs and targets of shapes {shapes}: {str(error).splitlines()[0]}"
            raise InputError(f"{text.rstrip('.')}.") from error
        if not isinstance(found, Tensor):
            raise InputError(f"loss: it returned something of type {type(found).__name__}. Return a tensor.")
        return found
