"""One step of the training: craft on the bare module, then train through the wrapped one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from palpate.errors import InputError, PalpateError
from palpate.hardening.contracts import Batch, Course, Crafted, Network, Recipe, Situation
from palpate.hardening.loop.norms import fit_for
from palpate.hardening.loop.processes import Processes
from palpate.hardening.recipes.weight_perturbation import perturbed
from palpate.memory import out_of_memory
from palpate.tensors import Tree, leaves, mapped
from palpate.usercode import ModelError, UserCode, said
from palpate.victim.forms import dtype_of

CLIP = 10.0
"""Gradients of the weights with a larger norm are shortened to it: only explosions are."""


class DivergedError(Exception):
    """NaN or infinity; its text names where."""


class Step(NamedTuple):
    """What a step gave.

    Attributes:
        loss: mean over the images.
        slope: norm of the weights' gradient.
        answers: mean training loss of the answers for the crafted images; NaN if not asked for, or not known.
        constant: that of a constant answer.
    """

    loss: float
    slope: float
    answers: float
    constant: float


class Practice:
    """Makes the steps of a training.

    Args:
        course: what is trained.
        processes: devices, wrapped module and optimiser.
        weights: the parameters that change.
    """

    def __init__(self, course: Course, processes: Processes, weights: list[nn.Parameter]):
        self._course, self._processes, self._weights = course, processes, weights
        self._module = course.victim.module
        self._dtype = dtype_of(self._module)
        self._answers: Tree = None

    def step(self, batch: Batch, recipe: Recipe, eps: float, *, compare: bool) -> Step:
        """Train on one batch; the module is in training mode.

        Args:
            batch: the images.
            recipe: how they are attacked, and what is minimised.
            eps: the budget in stored values; 0 trains on the images as they are.
            compare: also compute the losses of these answers and of a constant one.

        Raises:
            DivergedError: loss or gradient is NaN or infinite; the weights are as before.
            InputError: the loss does not depend on the weights, or memory is too small.
        """
        try:
            return self._step(batch, recipe, eps, compare)
        except (ModelError, RuntimeError, MemoryError) as error:
            if out_of_memory(error):
                raise InputError(
                    f"harden.batch: a training step of {len(batch.images)} images does not fit into memory. Lower "
                    "harden.batch, or use a smaller window."
                ) from error
            raise

    def _step(self, batch: Batch, recipe: Recipe, eps: float, compare: bool) -> Step:
        course, optimiser = self._course, self._processes.optimiser
        batch, weight = self._processes.part(batch)
        threat = course.threat(eps or course.eps)
        situation = Situation(course.victim, course.task, threat, course.loss, self._network(self._processes.wrapped))
        crafted = Crafted(batch.images, batch.targets)
        if eps > 0:
            crafted = self._crafted(recipe, batch, situation)
        self._answers = None
        optimiser.zero_grad()
        norms = fit_for(self._module, len(batch.images), frozen=course.settings.batch_norm == "frozen")
        with norms, self._perturbed(recipe, batch, crafted, situation):
            loss = self._loss(recipe, batch, crafted, situation)
            self._require_slope(loss)
            with UserCode(course.victim.watchdog):
                self._processes.fabric.backward(loss * weight if self._processes.count > 1 else loss)
        slope = torch.nn.utils.clip_grad_norm_(self._weights, CLIP)
        values = torch.stack([loss.detach().float() * weight, slope.detach().float()]).tolist()
        value, norm = self._processes.mean(values)
        self._require_finite(value, norm)
        self._moved(optimiser)
        self._processes.average_buffers(self._module)
        answers, constant = self._compared(crafted) if compare else (float("nan"), float("nan"))
        self._answers = None
        return Step(value, norm, answers, constant)

    def _crafted(self, recipe: Recipe, batch: Batch, situation: Situation) -> Crafted:
        victim = situation.victim
        with victim:
            try:
                return recipe.craft(batch, situation)
            except (PalpateError, MemoryError):
                raise
            except Exception as error:
                if not out_of_memory(error):
                    self._explain(victim.judge(batch.images), batch.targets, error)
                raise

    def _loss(self, recipe: Recipe, batch: Batch, crafted: Crafted, situation: Situation) -> Tensor:
        try:
            return recipe.loss(batch, crafted, situation)
        except ModelError as error:
            if out_of_memory(error):
                raise
            raise InputError(
                f"model: in training mode it fails with {said(error.cause)}. In evaluation mode it works: let it take "
                "and return the same in both."
            ) from error
        except (PalpateError, MemoryError):
            raise
        except Exception as error:
            if not out_of_memory(error):
                self._explain(self._answers, crafted.targets, error)
            raise

    def _explain(self, answers: Tree, targets: Tree, error: Exception) -> None:
        """Raise InputError if the task does not read these answers of a training step, or these annotations."""
        try:
            self._course.task.validate(answers, targets)
        except InputError as unread:
            text, augment = str(unread), self._course.settings.augment
            if text.startswith("model: "):
                # Its fix is about evaluation mode, where the answers were read.
                seen = text.removeprefix("model: ").split(". ")[0]
                text = (
                    f"model: in training mode {seen}. In evaluation mode it is read: let the factory return a network "
                    "that answers alike in both, without auxiliary outputs or deep supervision."
                )
            elif ":" in augment:
                text = f"harden.augment: {augment} returned annotations that are wrong: {text}"
            raise InputError(text) from error

    def _moved(self, optimiser: Optimizer) -> None:
        """Let the optimiser make its step; a factory's may fail."""
        try:
            with UserCode():
                optimiser.step()
        except ModelError as error:
            if out_of_memory(error):
                raise
            raise InputError(
                f"harden.optimiser: its step fails with {said(error.cause)}. Return an optimiser of torch that takes "
                "a step without a closure and with dense gradients, such as torch.optim.AdamW."
            ) from error

    def _network(self, module: nn.Module) -> Network:
        """The module with its preprocessing, in stored values."""
        victim, dtype = self._course.victim, self._dtype

        def network(images: Tensor) -> Tree:
            with UserCode(victim.watchdog):
                inputs = images if victim.preprocess is None else victim.preprocess(images)
                if dtype is not None and inputs.is_floating_point():
                    inputs = inputs.to(dtype)
                outputs = module(inputs) if victim.inferer is None else victim.inferer(inputs, module)
            self._answers = outputs
            outputs = mapped(lambda part: part.to(images.dtype) if part.is_floating_point() else part, outputs)
            self._answers = outputs
            return outputs

        return network

    @contextmanager
    def _perturbed(self, recipe: Recipe, batch: Batch, crafted: Crafted, situation: Situation) -> Iterator[None]:
        """Adversarial weight perturbation around the training step, if the plan wants it."""
        size = self._course.settings.weight_perturbation
        if not size:
            yield
            return
        # Through the bare module: gradients by autograd.grad do not pass a wrapped one.
        bare = replace(situation, network=self._network(self._module))
        with perturbed(self._module, lambda: recipe.loss(batch, crafted, bare), size):
            yield

    def _require_slope(self, loss: Tensor) -> None:
        if not loss.requires_grad:
            raise InputError(
                "harden: the training loss has no gradient in the model's weights. A model or a loss that detaches, "
                "rounds, or computes outside torch cannot be trained: correct it, or protect the model with the "
                "defence 'smoothing', which needs no training."
            )

    def _require_finite(self, loss: float, slope: float) -> None:
        if not torch.tensor(loss).isfinite():
            raise DivergedError(f"the training loss is {loss:g}")
        if not torch.tensor(slope).isfinite():
            raise DivergedError(f"the gradient of the weights is {slope:g}")

    @torch.no_grad()
    def _compared(self, crafted: Crafted) -> tuple[float, float]:
        """The training loss of the last answers, and the lower one of two constant answers: their mean, and 0."""
        tensors = leaves(self._answers)
        if not tensors or any(len(tensor) != len(crafted.images) for tensor in tensors):
            return float("nan"), float("nan")
        answers = mapped(lambda tensor: tensor.detach(), self._answers)
        mean = mapped(
            lambda part: part.mean(0, keepdim=True).expand_as(part) if part.is_floating_point() else part, answers
        )
        choices = [mean, torch.zeros_like(answers)] if isinstance(answers, Tensor) else [mean]
        given, *constants = (float(self._course.loss(one, crafted.targets).mean()) for one in (answers, *choices))
        return given, min(constants)
