"""Questions to the model about candidates of many images at once: made, sent in full batches, counted per image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.annotations import Masks
from palpate.artefacts.artefact import Artefact, Scene, bound_to, rows_of
from palpate.artefacts.moving import moved, share_kept
from palpate.artefacts.parameter import theta_at
from palpate.contracts import Limits, Task
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tasks.masks.reading import AimedMasks
from palpate.tensors import Tree
from palpate.victim import Victim

KEPT = 0.5
"""A candidate is allowed if at least this share of what is annotated stays in the image."""
COUNTED = ("clean", "draws", "evolution", "gradient", "bisection", "judge")


class Candidates(NamedTuple):
    """Points to ask about: row of the image (N,) int64, in the unit cube (N, F) float64, at a severity (N,) float64."""

    rows: Tensor
    unit: Tensor
    severity: Tensor

    def take(self, places: Tensor) -> Candidates:
        """Some of them."""
        return Candidates(*(tensor[places] for tensor in self))


class Answers(NamedTuple):
    """The answers to one batch of candidates; those that are not allowed are left out.

    Attributes:
        places: (M,) positions among the candidates.
        rows: (M,) rows of the images.
        unit: (M, F).
        images: (M, C, *spatial).
        outputs: of the model.
        targets: moved along.
        margin: (M,) float64, with its gradient where there is one.
        soft: (M,) float64, the task's soft score: ties of the margin are decided by it.
    """

    places: Tensor
    rows: Tensor
    unit: Tensor
    images: Tensor
    outputs: Tree
    targets: Tree
    margin: Tensor
    soft: Tensor


class Questions:
    """Asks the model about candidates of `images`, and keeps the counts per image.

    Args:
        artefact: maps a point and a severity to an image.
        victim: the model, entered.
        task: reads its outputs.
        images: (B, C, *spatial), clean; never written to.
        targets: their annotations.
        scenes: one per image.
        streams: one per image; binding the artefact takes the first numbers of each.
        limits: stored steps, names of the samples and numbers of questions; other limits have no meaning here.
        batch: images of one pass, at most.

    Raises:
        InputError: the artefact cannot act on an image, or moves anatomy where the goal names the wanted masks.
    """

    def __init__(self, artefact: Artefact, victim: Victim, task: Task, images: Tensor, targets: Tree,
                 scenes: Sequence[Scene], streams: Streams, limits: Limits | None, batch: int):  # fmt: skip
        self.artefact, self.victim, self.task = artefact, victim, task
        self.images, self.scenes = images.detach(), tuple(scenes)
        self.targets = _movable(targets) if artefact.moves else targets
        self.samples = None if limits is None else limits.samples
        self.allowance = None if limits is None or limits.queries is None else limits.queries.cpu()
        self.batch = batch
        self.bounds = [
            bound_to(artefact, image, scene, streams.take(torch.tensor([row])), rows_of(limits, row))
            for row, (image, scene) in enumerate(zip(self.images, self.scenes, strict=True))
        ]
        self.queries = {step: torch.zeros(len(images), dtype=torch.int64) for step in COUNTED}
        self.backwards = torch.zeros(len(images), dtype=torch.int64)
        self.left = torch.zeros(len(images), dtype=torch.int64)
        self.non_finite = torch.zeros(len(images), dtype=torch.bool)

    def clean(self) -> tuple[Tree, Tensor, Tensor]:
        """Outputs and margin (B,) float64 of the clean images, and which of them are eligible (B,) bool."""
        outputs = self.sent("clean", torch.arange(len(self.images)), self.images, self.victim.judge)
        self.task.validate(outputs, self.targets)
        return outputs, _plain(self.task.margin(outputs, self.targets)), self.task.eligible(self.targets).cpu()

    def answers(self, step: str, candidates: Candidates, ask: Callable[[Tensor], Tree]) -> Iterator[Answers]:
        """Ask about all candidates that are allowed and affordable, batch by batch, counted under `step`."""
        for places in torch.split(self._affordable(candidates.rows).nonzero().flatten(), self.batch):
            if not len(places):
                continue
            chosen = candidates.take(places)
            targets, allowed = self._moved(chosen)
            if not bool(allowed.all()):
                self.left += torch.bincount(chosen.rows[~allowed], minlength=len(self.left))
                staying = allowed.nonzero().flatten()
                places, chosen = places[staying], chosen.take(staying)
                targets = self.task.take(targets, staying.to(self.images.device))
            if not len(places):
                continue
            images = self.made(chosen)
            outputs = self.sent(step, chosen.rows, images, ask)
            margin, soft = (_plain(read(outputs, targets)) for read in (self.task.margin, self.task.soft_score))
            self.non_finite[chosen.rows[~torch.isfinite(margin.detach())]] = True
            # A model that answers with NaN gives the clinic no decision: nothing is worse.
            margin = margin.where(~torch.isnan(margin), -torch.inf)
            yield Answers(places, chosen.rows, chosen.unit, images, outputs, targets, margin, soft)

    def margins(self, step: str, candidates: Candidates, ask: Callable[[Tensor], Tree]) -> Tensor:
        """Margins of all candidates (N,) float64; infinity for those that were not asked about."""
        found = torch.full((len(candidates.rows),), torch.inf, dtype=torch.float64)
        for answers in self.answers(step, candidates, ask):
            found[answers.places] = answers.margin
        return found

    def made(self, candidates: Candidates) -> Tensor:
        """The images of some candidates; the candidates of one image are made together if they follow each other."""
        theta = theta_at(self.artefact.parameters, candidates.unit, candidates.severity)
        rows, counts = torch.unique_consecutive(candidates.rows, return_counts=True)
        parts = torch.split(theta, counts.tolist())
        return torch.cat([self.bounds[row](part) for row, part in zip(rows.tolist(), parts, strict=True)])

    def sent(self, step: str, rows: Tensor, images: Tensor, ask: Callable[[Tensor], Tree]) -> Tree:
        """Outputs for images of some rows, which are counted under `step`."""
        self.queries[step] += torch.bincount(rows, minlength=len(self.left))
        if self.samples is not None:
            self.victim.samples = self.samples[rows.to(self.samples.device)]
        try:
            return ask(images)
        finally:
            self.victim.samples = None

    def _affordable(self, rows: Tensor) -> Tensor:
        """Which candidates (N,) the limits on questions allow; of one image, the first ones."""
        if self.allowance is None:
            return torch.ones(len(rows), dtype=torch.bool)
        spent = sum(self.queries.values(), start=torch.zeros_like(self.left))
        nth = (F.one_hot(rows, len(self.left)).cumsum(0).gather(1, rows[:, None]))[:, 0]
        return spent[rows] + nth <= self.allowance[rows]

    def _moved(self, candidates: Candidates) -> tuple[Tree, Tensor]:
        """The annotations of some candidates, and which of them (N,) leave enough of those in the image."""
        targets = self.task.take(self.targets, candidates.rows.to(self.images.device))
        if not self.artefact.moves:
            return targets, torch.ones(len(candidates.rows), dtype=torch.bool)
        theta = theta_at(self.artefact.parameters, candidates.unit.detach(), candidates.severity)
        rows, counts = torch.unique_consecutive(candidates.rows, return_counts=True)
        shape = tuple(self.images.shape[2:])
        grids = [
            self.artefact.grid(shape, part, self.scenes[row])
            for row, part in zip(rows.tolist(), torch.split(theta, counts.tolist()), strict=True)
        ]
        after = moved(targets, torch.cat([grid for grid in grids if grid is not None]).to(self.images.device))
        return after, share_kept(targets, after).cpu() >= KEPT


def _movable(targets: Tree) -> Tree:
    """Annotations in a form that moves along; a plain tensor of more than two axes is masks."""
    if isinstance(targets, AimedMasks):
        raise InputError(
            "goal: an artefact that moves anatomy has no wanted masks to go to. Use a goal that names none, such as "
            "degrade, or an artefact that leaves anatomy where it is."
        )
    return Masks(targets) if isinstance(targets, Tensor) and targets.ndim > 2 else targets


def _plain(values: Tensor) -> Tensor:
    return values.double().cpu()
