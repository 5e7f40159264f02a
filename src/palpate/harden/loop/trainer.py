"""Train a model against attacks: epochs, their examination, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from palpate.audit.subject.machine import repeatable
from palpate.errors import InputError
from palpate.harden.contracts import Course, EpochRow, Recipe, Trained
from palpate.harden.loop.average import Average
from palpate.harden.loop.checkpoint import Checkpoint
from palpate.harden.loop.identity import environment, identity_of, other_versions, require_same
from palpate.harden.loop.interrupts import Interrupts
from palpate.harden.loop.norms import drift
from palpate.harden.loop.processes import Processes, processes_for
from palpate.harden.loop.progress import Clock, News, Progress, Silence
from palpate.harden.loop.schedules import eps_share, rate_share
from palpate.harden.loop.select import FAIL_AFTER, SLOWER, Decision, decide
from palpate.harden.loop.state import State, Sums
from palpate.harden.loop.step import DivergedError, Practice, Step
from palpate.harden.loop.weights import Weights, all_finite, copied, left_as_found, put, stored, wearing
from palpate.seeds import derive
from palpate.victim.victim import is_opaque

EVERY = 120.0
"""Seconds between two checkpoints inside an epoch."""
_WORTH_KEEPING = 5.0
"""Seconds of training that an examination, which may take long, should not put at risk."""
_COMPARED = 8
"""Last batches of an epoch whose answers are compared with constant ones."""


def train(
    course: Course,
    folder: Path,
    progress: Progress | None = None,
    *,
    identity: Mapping[str, str] | None = None,
    every: float = EVERY,
) -> Trained:
    """Carry out a training, or continue it; a finished one is given back at once.

    Each step crafts on the bare module in evaluation mode and trains through the wrapped one in training mode. After
    each epoch `course.examiner` scores the averaged weights, or the weights themselves if `settings.average` is 0. The
    best epoch has the highest robust score among those whose clean score is not below the floor. The module is
    afterwards as it was before; the chosen weights are in the result.

    Killed at any moment, the next call with the same course goes on from `folder/checkpoint` and gives the same
    weights, byte for byte, on the same machine. Ctrl-C and SIGTERM end it at the next batch, with a checkpoint.

    Args:
        course: everything that decides the training.
        folder: where the checkpoint is kept, in `checkpoint/`.
        progress: is called as the training proceeds.
        identity: more that decides it, by names that a sentence can use, such as a digest of the training table.
        every: seconds between two checkpoints inside an epoch; one is written at the end of each epoch anyway.

    Returns:
        The chosen weights and all epochs; `finished` is False if the training was interrupted.

    Raises:
        InputError: the model cannot be trained, or the loss does not depend on its weights.
        StorageError: the disk is full, or the checkpoint is damaged or that of another training.
    """
    module = course.victim.module
    weights = require_trainable(module)
    place = next(module.parameters()).device
    cuda = [place] if place.type == "cuda" else []
    with left_as_found(module), torch.random.fork_rng(cuda), repeatable(place), Interrupts() as interrupts:
        training = Training(course, weights, Checkpoint(folder / "checkpoint"), progress or Silence(), every)
        training.open(dict(identity or {}))
        while not (training.state.finished or interrupts.asked):
            training.epoch(interrupts)
        if not training.state.finished:
            training.say_how_to_go_on()
        return training.result()


def require_trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that a training changes.

    Raises:
        InputError: there are none, or the model computes outside torch.
    """
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if is_opaque(module):
        raise InputError(
            "model: it computes outside torch and cannot be trained. Protect it with the defence 'smoothing', which "
            "needs no training."
        )
    if not weights:
        raise InputError(
            "model: it has no weights that can be trained: all are frozen or stored as constants. Let the factory "
            "leave requires_grad on, or protect the model with the defence 'smoothing', which needs no training."
        )
    return weights


class Training:
    """A training in progress.

    Args:
        course: everything that decides it.
        weights: the parameters that change.
        checkpoint: where it is kept.
        progress: is called as it proceeds.
        every: seconds between two checkpoints inside an epoch.
    """

    def __init__(
        self, course: Course, weights: list[nn.Parameter], checkpoint: Checkpoint, progress: Progress, every: float
    ):
        self.state = State()
        self._course, self._checkpoint, self._every = course, checkpoint, every
        self._module = course.victim.module
        self._before: Weights = stored(copied(self._module))
        self._optimiser = course.optimiser(weights)
        self._rates = [float(group["lr"]) for group in self._optimiser.param_groups]
        self._fresh = self._optimiser.state_dict()
        self._processes: Processes = processes_for(self._module, self._optimiser, course.settings.precision)
        self._progress: Progress = progress if self._processes.rank == 0 else Silence()
        self._practice = Practice(course, self._processes)
        self._average = Average(self._module, course.settings.average) if course.settings.average else None
        self._best: Weights = self._before
        self._last: Weights = self._before
        self._clock = Clock()
        self._saved = 0.0

    # -- the checkpoint ------------------------------------------------------------------------------------------

    def open(self, given: Mapping[str, str]) -> None:
        """Begin, or go on from the checkpoint."""
        course = self._course
        self._identity = identity_of(course, self._optimiser, given)
        self._versions = environment(self._processes.device, self._processes.count)
        self._progress.start(course.settings.epochs, len(course.lessons))
        if not self._processes.first(self._checkpoint.exists()):
            self._begin()
            return
        contents = self._checkpoint.load()
        require_same(contents["identity"], self._identity, str(self._checkpoint.path))
        if sentence := other_versions(contents["versions"], self._versions):
            self._progress.message(sentence)
        self.state = State.restored(contents["state"])
        self._best, self._last = (self._kept(epoch) for epoch in (self.state.best, self.state.last))
        for row in self.state.rows:
            self._progress.epoch(row)
        if self.state.finished:
            return
        put(self._module, contents["weights"])
        self._optimiser.load_state_dict(contents["optimiser"])
        if self._average is not None:
            self._average.restart(contents["average"], self.state.average_steps)
        self._clock.lap()

    def _kept(self, epoch: int) -> Weights:
        return self._checkpoint.load_weights(epoch) if epoch else self._before

    def save(self) -> None:
        """Write the checkpoint; only the first process does."""
        state, self._saved = self.state, 0.0
        if self._average is not None:
            state.average_steps = self._average.steps
        if state.finished:
            state.last = state.best
        if self._processes.rank:
            return
        contents: dict[str, Any] = {"identity": self._identity, "versions": self._versions, "state": state.described()}
        if not state.finished:
            contents["weights"] = copied(self._module)
            contents["optimiser"] = self._optimiser.state_dict()
            contents["average"] = None if self._average is None else self._average.values
        self._checkpoint.save(contents)
        self._checkpoint.keep({state.best, state.last})

    # -- epochs --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Examine the model before training, as epoch 0."""
        scores = self._examined()
        recipe = named(self._course.recipe)
        row = EpochRow(0, recipe, 0.0, 0.0, math.nan, *scores, 0.0, self._clock.examined())
        self.state.rows.append(row)
        self._progress.epoch(row)
        self.save()

    def epoch(self, interrupts: Interrupts) -> None:
        """Train one epoch from where it is, examine it, and take the consequences."""
        state, course = self.state, self._course
        self._module.train()
        total = len(course.lessons)
        try:
            for batch in course.lessons.epoch(state.epoch, state.batch):
                compare = state.batch >= total - _COMPARED
                self._taken(self._practised(batch, compare), len(batch.images))
                if self._processes.any(interrupts.asked):
                    interrupts.asked = True
                    self.save()
                    return
                if self._saved >= self._every:
                    self.save()
            self._require_finite()
        except DivergedError as error:
            self._diverged(str(error))
            return
        if self._saved >= min(self._every, _WORTH_KEEPING):
            self.save()
        self._finish_epoch()

    def _practised(self, batch: object, compare: bool) -> Step:
        state, course = self.state, self._course
        done = (state.epoch - 1 + state.batch / len(course.lessons)) / course.settings.epochs
        self._set_rate(done)
        # A seed for each step makes the random numbers of dropout part of the position, not of the past.
        torch.manual_seed(derive(course.seed, "step", state.epoch, state.batch, self._processes.rank))
        return self._practice.step(batch, self.recipe, self._eps(done), compare=compare)  # type: ignore[arg-type]

    @property
    def recipe(self) -> Recipe:
        """What is trained on now."""
        return self._course.fallback if self.state.fallen_back else self._course.recipe

    def _eps(self, done: float) -> float:
        return self._course.eps * eps_share(self._course.settings.eps_schedule, done)

    def _set_rate(self, done: float) -> None:
        share = rate_share(done) * self.state.reduction
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * share

    def _taken(self, step: Step, images: int) -> None:
        state, sums = self.state, self.state.sums
        if self._average is not None:
            self._average.update(self._module)
        sums.loss += step.loss * images
        sums.images += images
        sums.slope = max(sums.slope, step.slope)
        if math.isfinite(step.answers) and math.isfinite(step.constant):
            sums.answers += step.answers * images
            sums.constant += step.constant * images
            sums.compared += images
        state.batch += 1
        seconds = self._clock.trained(images)
        sums.seconds += seconds
        self._saved += seconds
        total, epochs = len(self._course.lessons), self._course.settings.epochs
        left = self._clock.left((epochs - state.epoch + 1) * total - state.batch, epochs - state.epoch + 1)
        self._progress.step(News(state.epoch, state.batch, sums.mean, self._clock.pace, left))

    def _examined(self) -> tuple[float, float, float]:
        course = self._course
        self._clock.lap()
        torch.manual_seed(derive(course.seed, "examine"))
        with wearing(self._module, None if self._average is None else self._average.values), course.judged:
            scores = course.examiner.examine(course.judged)
        return tuple(self._processes.first(tuple(map(float, scores))))

    def _finish_epoch(self) -> None:
        state, course = self.state, self._course
        scores = self._examined()
        state.sums.seconds += self._clock.examined()
        own = self._average.values if self._average is not None else copied(self._module)
        row = EpochRow(
            epoch=state.epoch,
            recipe=named(self.recipe),
            eps=self._eps(self._done_before_last()),
            rate=max(float(group["lr"]) for group in self._optimiser.param_groups),
            loss=state.sums.mean,
            clean=scores[0],
            robust=scores[1],
            single=scores[2],
            drift=drift(self._module, self._before, own),
            seconds=state.sums.seconds,
        )
        self._last = stored(own)
        if not self._processes.rank:
            self._checkpoint.save_weights(state.epoch, self._last)
        state.last = state.epoch
        self._follow(decide(state, row, course.settings, course.eps, named(course.fallback)), row)
        self.save()

    def _done_before_last(self) -> float:
        total = len(self._course.lessons)
        return (self.state.epoch - 1 + (total - 1) / total) / self._course.settings.epochs

    # -- consequences --------------------------------------------------------------------------------------------

    def _follow(self, decision: Decision, row: EpochRow) -> None:
        state = self.state
        if decision.event:
            self._tell(decision.event)
        row = row._replace(event=" ".join(state.pending))
        state.rows.append(row)
        self._progress.epoch(row)
        if decision.best:
            state.best, self._best = row.epoch, self._last
        if decision.action in ("slower", "switch"):
            state.rollbacks += decision.action == "slower"
            state.fallen_back |= decision.action == "switch"
            state.last, self._last = state.best, self._best
            self._go_back(row.epoch + 1, SLOWER if decision.action == "slower" else 1.0)
        state.epoch, state.batch, state.sums, state.pending = row.epoch + 1, 0, Sums(), []
        state.finished = decision.action == "stop" or state.epoch > self._course.settings.epochs

    def _go_back(self, begun: int, slower: float) -> None:
        """Set the weights to those of epoch `state.last`, with a fresh optimiser."""
        state = self.state
        put(self._module, self._last)
        if self._average is not None:
            self._average.restart(self._last)
        self._optimiser.load_state_dict(self._fresh)
        state.reduction *= slower
        state.since, state.begun, state.below = state.last, begun, 0

    def _require_finite(self) -> None:
        if self.state.sums.slope == 0 and self.state.sums.images:
            raise InputError(
                "harden: the gradient of the training loss is zero in all weights, in every batch of an epoch. The "
                "loss does not depend on them, or the outputs are saturated: correct harden.loss or the model."
            )
        if name := all_finite(copied(self._module)):
            raise DivergedError(f"{name} holds NaN or infinity")

    def _diverged(self, what: str) -> None:
        state = self.state
        state.failures += 1
        place = f"Epoch {state.epoch}, batch {state.batch + 1} of {len(self._course.lessons)}: {what}."
        if state.failures >= FAIL_AFTER:
            self._tell(f"{place} It is the third time: stopped; the best epoch is {state.best}.")
            state.finished = True
        else:
            self._tell(f"{place} Rolled back to epoch {state.last}; the learning rate is a quarter of before.")
            self._go_back(state.epoch, SLOWER)
            state.batch, state.sums = 0, Sums(seconds=state.sums.seconds)
        self.save()

    def _tell(self, event: str) -> None:
        self.state.happened(event)
        self._progress.message(event)

    def say_how_to_go_on(self) -> None:
        """After an interruption."""
        self._progress.message(
            f"Stopped in epoch {self.state.epoch} after batch {self.state.batch} of {len(self._course.lessons)}. "
            "The same command goes on from there."
        )

    def result(self) -> Trained:
        """The chosen weights and all epochs."""
        state = self.state
        with wearing(self._module, self._best):
            chosen = {name: tensor.detach().cpu().clone() for name, tensor in self._module.state_dict().items()}
        return Trained(
            state=chosen,
            best=state.best,
            epochs=tuple(state.rows),
            averaged=bool(state.best) and self._average is not None,
            events=tuple(state.events),
            finished=state.finished,
        )


def named(recipe: Recipe) -> str:
    """The name of a recipe."""
    name = getattr(recipe, "name", "")
    return name if isinstance(name, str) and name else type(recipe).__name__.lower()
