"""A model under some attacks, batch after batch."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from palpate.api.attacking import calibrate, looked_at, victim_given
from palpate.api.beside import Beside, parts, show
from palpate.api.columns import columns_of, table_of
from palpate.api.given import Given, attacks_given, threat_given
from palpate.api.inputs import ball_from, images_from, labels_from, radius_from, scale_of, targets_from
from palpate.api.setting import Setting
from palpate.api.table import Table
from palpate.api.tasks import labels_in, of_task, require_structures, task_named
from palpate.attacks.budgets import Budget
from palpate.attacks.curve import curve
from palpate.audit.plan.slips import small_radii
from palpate.contracts import Task
from palpate.defences.fitted import fitted
from palpate.errors import InputError
from palpate.memory import out_of_memory
from palpate.metrics.robustness import SLACK
from palpate.models.faults import refusal
from palpate.seeds import derive
from palpate.storage.frames import Frame
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree, mapped
from palpate.threats.ball import check_bounds, rounding
from palpate.usercode import ModelError
from palpate.victim.draws import seed_torch

_NORMALISED = 20.0
"""Values below 0 that are nearer to it than this look normalised, as for a network of photographs."""
_TRIED = 32
"""Images that show whether a model expects values from 0 to 1."""


class Bench:
    """Attacks images as they come, and keeps plain numbers of each: no image.

    Args:
        model: the model.
        setting: how it is evaluated.
        bounds: lowest and highest value of the images.
        device: where the images are moved to; None leaves them.
        count: images that came before, for their numbers.
        inputs: names of what the model is given besides images.

    Attributes:
        count: images so far.
        parts: their results as columns.
        labels: of their masks, without 0.
        notes: sentences about them.
    """

    def __init__(
        self,
        model: Any,
        setting: Setting,
        bounds: tuple[float, float],
        device: torch.device | None = None,
        count: int = 0,
        inputs: Collection[str] = (),
    ):
        self.setting, self.device, self.count, self.inputs = setting, device, count, set(inputs)
        self.victim = victim_given(
            model,
            bounds,
            setting.outputs,
            setting.output,
            preprocess=setting.preprocess,
            inferer=setting.inferer,
            defences=setting.defences,
            inputs=inputs,
        )
        self.parts: list[Frame] = []
        self.notes: dict[str, None] = {}
        self.task: Task | None = None
        self.labels: frozenset[int] = frozenset()
        self.attacks: list[Given] = []

    def add(
        self,
        images: Any,
        targets: Any,
        groups: Sequence[str] | None = None,
        most: int | None = None,
        inputs: Beside = MappingProxyType({}),
    ) -> None:
        """Attack some images.

        Args:
            images: (B, C, *spatial) in stored values.
            targets: what the task expects.
            groups: the groups of all images; each its own by default.
            most: images of these that are used at most.
            inputs: what the model is given besides each of these images.
        """
        stored = images_from(images)
        stored = stored if self.device is None else stored.to(self.device)
        self._check(stored)
        if set(inputs) != self.inputs:
            known, held = (", ".join(sorted(names)) or "none" for names in (self.inputs, inputs))
            raise InputError(f"inputs: the first batch has {known}, and another one {held}. Give all batches the same.")
        together = [*parts(inputs, len(stored) if most is None else min(most, len(stored)), self.setting.batch)]
        if self.task is None:
            show(self.victim, inputs, together[0])
            self.task = self._begin(images, stored, targets, together[0] if inputs else slice(None))
        whole = self._targets(self.task, stored, targets)
        self.labels |= labels_in(self.task, whole)
        for part in together:
            show(self.victim, inputs, part)
            self._attack(self.task, stored[part], mapped(lambda tensor, part=part: tensor[part], whole), groups)

    def table(self) -> Table:
        """The figures of all images so far; what has to be known about them is a warning too.

        Raises:
            InputError: no mask holds a structure.
        """
        assert self.task is not None
        require_structures(self.task, self.labels)
        for note in self.notes:
            warnings.warn(note, stacklevel=3)
        return table_of(self.parts, self.task, self.scale, tuple(self.notes))

    def _targets(self, task: Task | None, images: Tensor, targets: Any) -> Tree:
        if task is None or isinstance(task, Classification):
            return labels_from(images, targets)
        return of_task(task, images, targets_from(images, targets))

    def _check(self, images: Tensor) -> None:
        try:
            check_bounds(images, self.victim.bounds)
        except InputError as error:
            low, high = float(images.min()), float(images.max())
            if low < 0 and max(-low, high) < _NORMALISED and self.victim.bounds == (0.0, 1.0):
                raise InputError(
                    f"images: they hold values from {low:.3g} to {high:.3g}, so they look normalised. Give them as "
                    "they are stored, and the normalisation as preprocess=palpate.Preprocess(mean=..., std=...)."
                ) from error
            raise InputError(str(error).replace("palpate.attack", "palpate.evaluate")) from error

    def _begin(self, given: Any, stored: Tensor, targets: Any, part: slice) -> Task:
        """Try the model on the first images, and make task, budgets and attacks; `part` can be shown together."""
        setting, victim, images = self.setting, self.victim, stored[part]
        named = task_named(setting.task, victim, images)
        if named is not None:
            victim.defences = fitted(victim.defences, named)
        calibrate(victim, images)
        whole = mapped(lambda tensor: tensor[part], self._targets(named, stored, targets))
        task = looked_at(victim, images, whole, named, None, stated=setting.outputs is not None)
        step = 1.0 if str(getattr(given, "dtype", "")).endswith("uint8") else None
        self.scale = scale_of(victim, setting.unit, step)
        self.radii = sorted({radius_from(one, self.scale, setting.norm) for one in setting.budgets})
        if not self.radii:
            raise InputError('eps: the list is empty. Give a budget, such as eps="8/255".')
        threat = threat_given(setting.threat, partial(ball_from, setting.norm, scale=self.scale), self.radii)
        self.norm = threat.norm
        if question := small_radii("eps", setting.budgets, threat.norm, victim.bounds):
            self.notes[question] = None
        self.attacks = attacks_given(setting.attacks, threat, setting.parameters, setting.loss, task)
        if step is not None and setting.preprocess is None:
            self._look_for_unit_range(task, images[:_TRIED], mapped(lambda tensor: tensor[:_TRIED], whole))
        return task

    def _look_for_unit_range(self, task: Task, images: Tensor, targets: Tree) -> None:
        """Say so if a model that gets 0 to 255 is better with 0 to 1."""
        with self.victim as victim:
            right = [int(task.right(victim.judge(one), targets).sum()) for one in (images, images / 255)]
        if right[1] > right[0] + len(images) // 4:
            self.notes[
                f"The model is right on {right[0]} of {len(images)} images with values from 0 to 255, and on "
                f"{right[1]} with values from 0 to 1. It was probably trained on these: give preprocess=lambda x: "
                "x / 255."
            ] = None

    def _attack(self, task: Task, images: Tensor, targets: Tree, groups: Sequence[str] | None) -> None:
        rows = range(self.count, self.count + len(images))
        named = [str(row) for row in rows] if groups is None else [*groups[rows.start : rows.stop]]
        if len(named) < len(images):
            raise InputError(
                f"groups: there are {rows.start + len(named)}, and at least {rows.stop} images. Give one for each "
                "image, such as its patient."
            )
        for one in self.attacks:
            budgets = self._curve(one, task, images, targets, rows)
            for budget in budgets:
                self._note(one.name, budget)
            self.parts += columns_of(one.name, self.norm, task, images, targets, budgets, rows, named)
        self.count += len(images)

    def _curve(self, one: Given, task: Task, images: Tensor, targets: Tree, rows: Sequence[int]) -> list[Budget]:
        dense = isinstance(task, (Segmentation, Detection))
        order = "each" if dense and one.order != "minimum" else one.order
        seeds = [derive(self.setting.seed, "evaluate", one.name, row) for row in rows]
        with self.victim as victim:  # it restores the global random state
            seed_torch(seeds[0])
            try:
                return curve(
                    one.attack, victim, task, images, targets, self.radii, order=order, generator=Streams(seeds)
                )
            except (ModelError, RuntimeError, MemoryError) as error:
                if out_of_memory(error):
                    text = f"There is not enough memory for {len(images)} images at once. Give a smaller batch=."
                    raise InputError(text) from error
                if isinstance(error, ModelError):
                    raise refusal(error.cause, images.shape, "call") from error
                raise

    def _note(self, name: str, budget: Budget) -> None:
        result = budget.result
        allowed = budget.eps * (1 + SLACK) + rounding(result.images, self.norm)
        if bool((result.distance.double() > allowed).any()):
            self.notes[f"'{name}' changed images by more than eps. Do not compare its rows at equal eps."] = None
        if bool(result.blocked_gradient.any()):
            self.notes[
                f"'{name}' found a gradient of exactly zero for some images, so their robustness is not shown. Add "
                '"square" to the attacks.'
            ] = None
