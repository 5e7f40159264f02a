"""A training in progress: its epochs, their examination, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from palpate.errors import InputError
from palpate.hardening.contracts import Batch, Course, EpochRow, Recipe, Trained
from palpate.hardening.loop.checkpoint import Checkpoint
from palpate.hardening.loop.identity import environment, identity_of, other_versions, require_same
from palpate.hardening.loop.interrupts import Interrupts
from palpate.hardening.loop.learner import Learner
from palpate.hardening.loop.norms import drift
from palpate.hardening.loop.processes import processes_for
from palpate.hardening.loop.progress import Clock, News, Progress, Silence
from palpate.hardening.loop.schedules import eps_share, rate_share
from palpate.hardening.loop.select import FAIL_AFTER, SLOWER, Decision, called, decide
from palpate.hardening.loop.state import State, Sums
from palpate.hardening.loop.step import DivergedError, Practice, Step
from palpate.hardening.loop.weights import Weights, all_finite, copied, stored, wearing
from palpate.seeds import derive
from palpate.units import counted
from palpate.victim.draws import seed_torch

_WORTH_KEEPING = 5.0
"""Seconds of training that an examination, which may take long, should not put at risk."""
_COMPARED = 8
"""Last batches of an epoch whose answers are compared with constant ones."""


class Training:
    """A training in progress.

    Args:
        course: everything that decides it.
        weights: the parameters that change.
        checkpoint: where it is kept.
        progress: is called as it proceeds.
        every: seconds between two checkpoints inside an epoch.

    Attributes:
        state: where it is.
    """

    def __init__(
        self, course: Course, weights: list[nn.Parameter], checkpoint: Checkpoint, progress: Progress, every: float
    ):
        self.state = State()
        self._course, self._checkpoint, self._every = course, checkpoint, every
        self._module = course.victim.module
        self._batches = len(course.lessons)
        self._before: Weights = stored(copied(self._module))
        optimiser = course.optimiser(weights)
        _require_theirs(optimiser, weights)
        self._processes = processes_for(self._module, optimiser, course.settings.precision)
        self._learner = Learner(self._module, optimiser, course.settings.average)
        self._progress: Progress = progress if self._processes.rank == 0 else Silence()
        self._practice = Practice(course, self._processes, weights)
        self._best: Weights = self._before
        self._last: Weights = self._before
        self._clock = Clock()
        self._unsaved = 0.0

    # -- the checkpoint ------------------------------------------------------------------------------------------

    def open(self, given: Mapping[str, str]) -> None:
        """Begin, or go on from the checkpoint.

        Args:
            given: more that decides the training, by names for sentences.

        Raises:
            StorageError: the checkpoint is damaged, or that of another training.
        """
        self._identity = identity_of(self._course, self._learner.optimiser, given)
        self._versions = environment(self._processes.device, self._processes.count)
        if self._processes.first(self._checkpoint.exists()):
            self._go_on(self._checkpoint.load())
        else:
            self._progress.start(self._course.settings.epochs, self._batches)
            self._begin()
        self._clock.lap()

    def _begin(self) -> None:
        """Examine the model before training, as epoch 0."""
        scores = self._examined()
        row = EpochRow(0, self._course.recipe.name, 0.0, 0.0, math.nan, *scores, 0.0, self._clock.examined())
        self.state.rows.append(row)
        self._progress.epoch(row)
        self.save()

    def _go_on(self, contents: Mapping[str, Any]) -> None:
        with self._checkpoint.readable(contents):
            require_same(contents["identity"], self._identity, str(self._checkpoint.path))
            changed = other_versions(contents["versions"], self._versions)
            self.state = State.restored(contents["state"])
            self._best, self._last = self._kept(self.state.best), self._kept(self.state.last)
        if self.state.finished:
            self._say_finished()
            return
        if changed:
            self._progress.message(changed)
        self._progress.start(self._course.settings.epochs, self._batches)
        for row in self.state.rows:
            self._progress.epoch(row)
        place = f" after batch {self.state.batch} of {self._batches}" if self.state.batch else ""
        self._progress.message(f"Going on with epoch {self.state.epoch}{place}.")
        with self._checkpoint.readable(contents):
            self._learner.restore(contents["learner"])

    def _say_finished(self) -> None:
        self._progress.message(
            f"Already finished: {counted(len(self.state.rows) - 1, 'epoch')}, with their results in "
            f"{self._checkpoint.path.parent}. Nothing is trained again."
        )
        for event in self.state.events:
            self._progress.message(event)

    def _kept(self, epoch: int) -> Weights:
        return self._checkpoint.load_weights(epoch, self._before) if epoch else self._before

    def save(self) -> None:
        """Write the checkpoint; only the first process does.

        Raises:
            StorageError: the disk is full; the earlier checkpoint is unchanged.
        """
        state, self._unsaved = self.state, 0.0
        if state.finished:
            state.last = state.best
        if self._processes.rank:
            return
        contents: dict[str, Any] = {
            "identity": self._identity,
            "versions": self._versions,
            "state": state.described(),
            "learner": None if state.finished else self._learner.kept(),
        }
        self._checkpoint.save(contents)
        self._checkpoint.keep({state.best, state.last})

    # -- an epoch ------------------------------------------------------------------------------------------------

    def epoch(self, interrupts: Interrupts) -> None:
        """Train one epoch from where it is, examine it, and take the consequences."""
        state = self.state
        self._module.train()
        try:
            for batch in self._course.lessons.epoch(state.epoch, state.batch):
                self._taken(self._practised(batch), len(batch.images))
                if self._processes.any(interrupts.asked):
                    interrupts.asked = True
                    self.save()
                    return
                if self._unsaved >= self._every:
                    self.save()
            self._require_sound()
        except DivergedError as error:
            self._diverged(str(error))
            return
        if self._unsaved >= min(self._every, _WORTH_KEEPING):
            self.save()
        self._finish_epoch()

    @property
    def recipe(self) -> Recipe:
        """What is trained on now."""
        return self._course.fallback if self.state.fallen_back else self._course.recipe

    def _done(self, batch: int) -> float:
        """Share of the training that is over before a batch of this epoch, counted from 0."""
        return (self.state.epoch - 1 + batch / self._batches) / self._course.settings.epochs

    def _eps(self, done: float) -> float:
        return self._course.eps * eps_share(self._course.settings.eps_schedule, done)

    def _practised(self, batch: Batch) -> Step:
        state = self.state
        done = self._done(state.batch)
        self._learner.set_rate(rate_share(done) * state.reduction)
        # A seed for each step makes the random numbers of dropout depend on the position, not on the past.
        seed_torch(derive(self._course.seed, "step", state.epoch, state.batch, self._processes.rank))
        compare = state.batch >= self._batches - _COMPARED
        return self._practice.step(batch, self.recipe, self._eps(done), compare=compare)

    def _taken(self, step: Step, images: int) -> None:
        state, sums = self.state, self.state.sums
        self._learner.stepped()
        sums.add(step.loss, step.slope, step.answers, step.constant, images)
        state.batch += 1
        seconds = self._clock.trained(images)
        sums.seconds += seconds
        self._unsaved += seconds
        epochs = self._course.settings.epochs - state.epoch + 1
        left = self._clock.left(epochs * self._batches - state.batch, epochs)
        self._progress.step(News(state.epoch, state.batch, sums.mean, self._clock.pace, left))

    def _require_sound(self) -> None:
        """Raise DivergedError if weights are not finite, InputError if nothing moves them."""
        if self.state.sums.slope == 0 and self.state.sums.images:
            raise InputError(
                "harden: the gradient of the training loss is zero in all weights, in every batch of an epoch. The "
                "loss does not depend on them, or the outputs are saturated: correct harden.loss or the model."
            )
        if name := all_finite(copied(self._module)):
            raise DivergedError(f"{name} holds NaN or infinity")

    def _examined(self) -> tuple[float, float, float]:
        course = self._course
        self._clock.lap()
        seed_torch(derive(course.seed, "examine"))
        with wearing(self._module, self._learner.weights), course.judged:
            scores = course.examiner.examine(course.judged)
        clean, robust, single = self._processes.first(tuple(float(score) for score in scores))
        return clean, robust, single

    def _finish_epoch(self) -> None:
        state, course = self.state, self._course
        scores = self._examined()
        state.sums.seconds += self._clock.examined()
        self._last, state.last = stored(self._learner.weights), state.epoch
        row = EpochRow(
            epoch=state.epoch,
            recipe=self.recipe.name,
            eps=self._eps(self._done(self._batches - 1)),
            rate=self._learner.rate,
            loss=state.sums.mean,
            clean=scores[0],
            robust=scores[1],
            single=scores[2],
            drift=drift(self._module, self._before, self._last),
            seconds=state.sums.seconds,
        )
        if not self._processes.rank:
            self._checkpoint.save_weights(state.epoch, self._last)
        self._follow(decide(state, row, course.settings, course.eps, course.fallback.name), row)
        self.save()

    # -- consequences --------------------------------------------------------------------------------------------

    def _follow(self, decision: Decision, row: EpochRow) -> None:
        state = self.state
        if decision.event:
            state.happened(decision.event)
        # What happened inside the epoch was shown when it happened.
        self._progress.epoch(row._replace(event=decision.event))
        row = row._replace(event=" ".join(state.pending))
        state.rows.append(row)
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
        """Set the weights to those of epoch `state.last`; `begun` is the first epoch from there."""
        state = self.state
        self._learner.go_back(self._last)
        state.reduction *= slower
        state.since, state.begun, state.below = state.last, begun, 0

    def _diverged(self, what: str) -> None:
        state = self.state
        state.failures += 1
        batch = min(state.batch + 1, self._batches)
        place = f"Epoch {state.epoch}, batch {batch} of {self._batches}: {what}."
        if state.failures >= FAIL_AFTER:
            event = f"{place} It is the third time, so the training stops; {called(state.best)} is the best."
            state.finished = True
        else:
            event = f"{place} Rolled back to {called(state.last)}; the learning rate is a quarter of before."
            self._go_back(state.epoch, SLOWER)
            state.batch, state.sums = 0, Sums(seconds=state.sums.seconds)
        state.happened(event)
        self._progress.message(event)
        self.save()

    def say_where_it_stopped(self) -> None:
        """After an interruption."""
        state = self.state
        self._progress.message(f"Stopped in epoch {state.epoch} after batch {state.batch} of {self._batches}.")

    def result(self) -> Trained:
        """The chosen weights and all epochs."""
        state = self.state
        with wearing(self._module, self._best):
            chosen = {name: tensor.detach().cpu().clone() for name, tensor in self._module.state_dict().items()}
        return Trained(
            state=chosen,
            best=state.best,
            epochs=tuple(state.rows),
            averaged=bool(state.best) and self._learner.averaged,
            events=tuple(state.events),
            finished=state.finished,
        )


def _require_theirs(optimiser: Optimizer, weights: list[nn.Parameter]) -> None:
    """Refuse an optimiser that moves none of the model's weights; raises InputError."""
    moved = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
    if not moved & set(map(id, weights)):
        raise InputError(
            "harden.optimiser: it holds none of the model's weights, so it would train nothing. Make it from the "
            "parameters that your function is given."
        )
