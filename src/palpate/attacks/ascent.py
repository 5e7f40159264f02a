"""The one loop of every gradient ascent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from palpate.attacks.best_so_far import BestSoFar, score, try_images
from palpate.attacks.objectives import Deviation
from palpate.attacks.sparse.phases import PhasedStepRule, widened
from palpate.attacks.steps import Fixed
from palpate.attacks.transforms import Transform, TransformedModel, mean, merit, transformed_models
from palpate.contracts import (
    AttackResult,
    Direction,
    Limits,
    Neighbourhood,
    Objective,
    ObjectiveInputs,
    StepEvent,
    StepRule,
    Task,
    Threat,
    Watcher,
)
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tensors import Tree, every, mapped, readable, spread, still, take
from palpate.victim import Victim

_CHECK_EVERY = {"cpu": 1}
_CHECK_EVERY_ELSEWHERE = 4
"""Steps between two checks of which samples are beaten. A check is free on a CPU; elsewhere it waits for the device."""


@dataclass(frozen=True)
class Ascent:
    """Projected gradient ascent, z_{t+1} = P(z_t + step * steepest(T(grad J(D(z_t))))), for every sample separately.

    The iterate z moves in a ball; the model sees D(z), the image that the threat delivers for it. Only that image
    is scored and returned. For a plain ball D(z) = z.

    One forward pass serves the objective, the verdict and the best iterate; gradients flow to the perturbation
    only; samples that are beaten leave the batch; the last iterate is scored too. Where the objective's gradient
    is exactly zero (cross-entropy saturates), the margin's is used from there on and the result says so. Masks,
    findings and boxes of a network with huge logits are climbed at logits of usual size (`palpate.tasks.saturation`).

    With post-processing steps h_1 .. h_H in `robust_to`, and h_0 the identity, the mean over all of them is maximised:

        J(x) = sum_k w_k L(f(h_k(x)), y) / sum_k w_k,    x = D(z),    w_k = 1 unless weighted,

    an expectation over transformations (Athalye et al. 2018), with gradients straight through
    JPEG and rounding (Shin and Song 2017). Each f(h_k(.)) is a model of the same x: what an objective smooths or
    compares (SMIA) is computed from images before any post-processing, and goes through the same h_k; `own` decisions
    are those for the clean image without post-processing. Random directions are drawn again for each k. A step costs
    1 + H times the passes, one after the other, with the memory of one. Every sample runs to the end. Of the images
    that win without post-processing, the one of lowest mean margin over all h_k is returned; if none wins, the one of
    smallest margin.

    Attributes:
        threat: the ball.
        steps: gradient steps per start, at least 1.
        objective: what is maximised.
        directions: what changes the gradient, in order.
        step: how far each step goes.
        random_start: start at a random point of the ball; otherwise at the image itself.
        restarts: number of starts; later ones attack only what is not beaten. More than one needs a random start.
        run_to_end: let every sample run all steps and restarts (for traces and transfer); the image of smallest
            margin is returned.
        robust_to: what may happen to the image before the model sees it, each as likely as no change unless `Weighted`;
            by name, such as `blur1`, if it needs only the model's bounds and window.

    Raises:
        InputError: fewer than one step or restart, or several restarts that would all be the same.
    """

    threat: Threat
    steps: int
    objective: Objective = Deviation()
    directions: tuple[Direction, ...] = ()
    step: StepRule = Fixed(0.1)
    random_start: bool = True
    restarts: int = 1
    run_to_end: bool = False
    robust_to: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps: {self.steps} must be at least 1.")
        if self.restarts < 1:
            raise InputError(f"restarts: {self.restarts} must be at least 1.")
        if self.restarts > 1 and not self.random_start:
            raise InputError(f"restarts: {self.restarts} starts without a random start would all be the same.")

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
        watcher: Watcher | None = None,
    ) -> AttackResult:
        """Attack `images` (B, C, *spatial) in stored values; see `palpate.contracts.Attack`.

        A `watcher` is shown every step of every start (`palpate.stability`); it changes nothing.

        Raises:
            InputError: images, targets or model outputs that cannot be attacked, or post-processing for other bounds.
        """
        streams = Streams.of(generator, len(images))
        models = transformed_models(victim, self.robust_to)
        with victim:
            best_so_far = BestSoFar(victim, task, self.threat, images, targets, self.to_end, limits)
            if start is not None:
                try_images(best_so_far, best_so_far.open_rows(), start, models)
            for _ in range(self.restarts):
                rows = best_so_far.open_rows()
                if len(rows):
                    Climb(self, best_so_far, rows, streams.take(rows), models, watcher).run()
            return best_so_far.close()

    @property
    def to_end(self) -> bool:
        """Whether beaten samples continue."""
        return self.run_to_end or bool(self.robust_to)


class _Seen(NamedTuple):
    """What one transformed model gives at the iterates of one step."""

    shown: Tensor
    outputs: Tree
    margin: Tensor
    value: Tensor
    gradient: Tensor


class Climb:
    """One start of one ascent: the state of the samples that are still in the batch.

    `images` are iterates, which steps move in `space`; `previous` is the last image that the model saw. Images count
    while `space` is the ball that the threat allows, and not in a wider one.
    """

    def __init__(
        self,
        ascent: Ascent,
        best_so_far: BestSoFar,
        rows: Tensor,
        streams: Streams,
        models: tuple[TransformedModel, ...],
        watcher: Watcher | None = None,
    ):
        self.watcher = watcher
        self.ascent, self.best_so_far, self.victim, self.task = (
            ascent,
            best_so_far,
            best_so_far.victim,
            best_so_far.task,
        )
        self.rows, self.streams, self.models = rows, streams, models
        self.weights = [model.weight for model in models]
        self.judged, whole = best_so_far.judges, best_so_far.space
        self.allowed: Neighbourhood = whole.take(rows) if self.judged else whole
        self.space, self.radii = self.allowed, 1.0
        self.targets = self.task.take(best_so_far.targets, rows)
        self.cooling = best_so_far.cooling.take(rows)
        self.cooling.marks(best_so_far.zero_gradient, rows)
        clean = best_so_far.clean_outputs
        self.clean_outputs = self.cooling(clean if every(rows, len(whole.clean)) else take(clean, rows))
        self.images = self.space.sample(streams) if ascent.random_start else self.space.clean
        self.previous = self.space.to_image(self.images)
        self.step_state = ascent.step.init(self.images)
        self.kept: tuple[dict[str, Tree], ...] = tuple({} for _ in models)
        self.direction_states = tuple(direction.init(self.images) for direction in ascent.directions)
        # (B, models): each model falls back on its own.
        self.on_margin = torch.zeros_like(rows, dtype=torch.bool)[:, None].repeat(1, len(models))
        self._separate = self.judged and any(direction.separate_gradient_point for direction in ascent.directions)
        self._check_every = _CHECK_EVERY.get(self.images.device.type, _CHECK_EVERY_ELSEWHERE)
        self._phases = ascent.step if isinstance(ascent.step, PhasedStepRule) else None
        self._spent, self._fell_back = (0, 0), False

    def run(self) -> None:
        """Climb until the steps are spent or every sample is beaten."""
        for step in range(self.ascent.steps):
            before = self.victim.forwards
            self._enter(step)
            value, gradient, shown = self._value_and_gradient(step)
            self._book(before, len(self.models))
            moved, self.step_state = self.ascent.step.advance(
                self.images, gradient, value, self.step_state, self.space, step, self.ascent.steps
            )
            self.previous, self.images = shown, moved
            if (step + 1) % self._check_every == 0 and not self._drop_beaten():
                return
        if self.judged:
            self._score_last()
        self._enter_passes()

    def _enter(self, step: int) -> None:
        """Go into the ball of this step, where the step rule has phases."""
        rule = self._phases
        if rule is not None and (step == 0 or rule.radii(step, self.ascent.steps) != self.radii):
            self.radii = rule.radii(step, self.ascent.steps)
            self.space = widened(self.allowed, self.radii)
            self.images = rule.enter(self.images, self.space, step)

    def _value_and_gradient(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Value and gradient at the iterates, and the images that were delivered for them."""
        seen = [self._seen(index, step) for index in range(len(self.models))]
        shown = seen[0].shown
        if self._separate:
            # The gradient is not taken at the image itself, so the image is scored separately.
            outputs, margin = self._score(shown, step, self.space is self.allowed)
        else:
            margins = [one.margin for one in seen]
            outputs, margin = seen[0].outputs, margins[0]
            if self.space is self.allowed:
                self.best_so_far.note(self.rows, shown, outputs, margin, step, merit=merit(margins))
        gradient, states = mean([one.gradient for one in seen], self.weights), []
        for direction, state in zip(self.ascent.directions, self.direction_states, strict=True):
            gradient, state = direction.transform_gradient(gradient, state)
            states.append(state)
        self.direction_states = tuple(states)
        value = mean([one.value for one in seen], self.weights)
        self._show(step, shown, outputs, margin, value)
        return value, gradient, shown

    def _seen(self, index: int, step: int) -> _Seen:
        """The iterates through one transformed model. Its graph is freed, so that only one is in memory at a time."""
        iterate = self.images.detach().requires_grad_()
        images = self.space.to_image(iterate)
        place = self._gradient_point(images, step)
        outputs = self.models[index].search(place)
        climbed, climbs_margin = self.cooling(outputs), self._climbs_margin()
        with torch.set_grad_enabled(climbs_margin):
            needed = self.judged or climbs_margin
            margin = self.task.margin(climbed, self.targets) if needed else torch.zeros_like(self.space.radius)
        inputs = ObjectiveInputs(
            images=images,
            previous=self.previous,
            clean=self.space.clean,
            outputs=climbed,
            clean_outputs=self.clean_outputs,
            targets=self.targets,
            task=self.task,
            progress=step / self.ascent.steps,
            forward=lambda images: self.cooling(self.models[index].search(images)),
            forward_no_grad=lambda images: self.cooling(self.models[index].forward_no_grad(images)),
            kept=self.kept[index],
            training=lambda images: self.models[index].training_losses(images, self.targets),
        )
        value, gradient = self._climbed(inputs, iterate, -margin if climbs_margin else None, index, first=step == 0)
        if climbed is not outputs and self.judged:
            with torch.no_grad():
                margin = self.task.margin(outputs, self.targets)
        # In a ball the image is the iterate, whose tensor without graph exists already.
        shown = self.images if images is iterate else images.detach()
        return _Seen(shown, mapped(Tensor.detach, outputs), still(margin), value, gradient)

    def _climbs_margin(self) -> bool:
        """Whether the margin's own gradient may be asked for; masks pay for its graph in time and memory."""
        return (self.judged and self._check_every > 1) or (self._fell_back and bool(self.on_margin.any()))

    def _gradient_point(self, images: Tensor, step: int) -> Tensor:
        if not self.ascent.directions:
            return images
        stride = self.space.radius * self.ascent.step.stride(self.step_state, step, self.ascent.steps)
        place = images
        for direction, state in zip(self.ascent.directions, self.direction_states, strict=True):
            place = direction.lookahead(place, state, stride, self.space, self.streams)
        return place

    def _climbed(
        self, inputs: ObjectiveInputs, iterate: Tensor, margin: Tensor | None, index: int, first: bool
    ) -> tuple[Tensor, Tensor]:
        """Value and gradient of the objective, or of minus the margin where the objective's gradient was zero."""
        value = self.ascent.objective.value(inputs)
        if margin is not None:
            value = torch.where(self.on_margin[:, index], margin, value)
        gradient = self.victim.gradient(value, iterate, keep_graph=first)
        if _plain(gradient):
            return value.detach(), gradient
        gradient, on_margin, self._fell_back = self._finite(gradient), self.on_margin[:, index], True
        zero = _is_zero(gradient)
        # The first step can afford this check, and a single-step attack has no second step.
        if first and bool(zero.any()):
            on_margin |= zero
            margin = -self.task.margin(inputs.outputs, self.targets)
            value = torch.where(on_margin, margin, value.detach())
            instead = self._finite(self.victim.gradient(margin, iterate))
            gradient = torch.where(spread(zero, gradient).bool(), instead, gradient)
            self.best_so_far.backwards[self.rows] += 1
            self.best_so_far.zero_gradient[self.rows] |= zero
            zero = _is_zero(gradient)
        self.best_so_far.zero_gradient[self.rows] |= zero
        self.best_so_far.blocked_gradient[self.rows] |= zero & on_margin
        on_margin |= zero
        return value.detach(), gradient

    def _finite(self, gradient: Tensor) -> Tensor:
        # One NaN or infinity makes the whole sum non-finite.
        self.best_so_far.non_finite[self.rows] |= ~torch.isfinite(gradient.flatten(1).sum(1))
        # A step along NaN would turn the whole image into NaN; without it the sample can still be beaten.
        return gradient.nan_to_num_(0.0, 0.0, 0.0)

    def _score(self, shown: Tensor, step: int, counts: bool = True) -> tuple[Tree, Tensor]:
        return score(self.best_so_far, self.rows, self.targets, shown, self.models, step, counts)

    def _show(self, step: int, shown: Tensor, outputs: Tree, margin: Tensor, value: Tensor | None) -> None:
        """Let the watcher, if there is one, see these iterates."""
        if self.watcher is None:
            return
        with torch.no_grad():
            self.watcher.watch(
                StepEvent(
                    step=step,
                    rows=self.rows,
                    images=shown,
                    previous=self.previous,
                    clean=self.space.clean,
                    outputs=outputs,
                    clean_outputs=self.clean_outputs,
                    targets=self.targets,
                    margin=margin,
                    value=value,
                    task=self.task,
                    forward_no_grad=self.models[0].forward_no_grad,
                )
            )

    def _book(self, before: int, backwards: int) -> None:
        forwards, so_far = self._spent
        self._spent = forwards + (self.victim.forwards - before) // len(self.rows), so_far + backwards

    def _enter_passes(self) -> None:
        """Count the passes since some sample left the batch for those that were in it."""
        self.best_so_far.spend(self.rows, *self._spent)
        self._spent = (0, 0)

    def _drop_beaten(self) -> bool:
        if self.ascent.to_end or not self.best_so_far.unsettled:
            return True
        going = self.best_so_far.settle(self.rows)
        if len(going) == len(self.rows):
            return True
        self._enter_passes()
        self.rows, self.images, self.previous, self.on_margin = take(
            (self.rows, self.images, self.previous, self.on_margin), going
        )
        self.allowed, self.streams = self.allowed.take(going), self.streams.take(going)
        self.space = widened(self.allowed, self.radii)
        self.targets = self.task.take(self.targets, going)
        self.kept = tuple({name: take(tree, going) for name, tree in kept.items()} for kept in self.kept)
        self.clean_outputs, self.cooling = take(self.clean_outputs, going), self.cooling.take(going)
        self.step_state, self.direction_states = take(self.step_state, going), take(self.direction_states, going)
        return len(going) > 0

    def _score_last(self) -> None:
        before, shown = self.victim.forwards, self.space.to_image(self.images)
        outputs, margin = self._score(shown, self.ascent.steps)
        self._show(self.ascent.steps, shown, outputs, margin, None)
        self._book(before, 0)
        self.best_so_far.settle(self.rows)


def _plain(gradient: Tensor) -> bool:
    """Whether every sample's gradient is finite and not zero; False where nobody knows without a closer look.

    A sum is many times cheaper than a check of every value, and reading it costs nothing on the processor.
    """
    return readable(gradient) and all(
        total != 0 and math.isfinite(total) for total in gradient.flatten(1).sum(1).tolist()
    )


def _is_zero(gradient: Tensor) -> Tensor:
    return ~gradient.flatten(1).any(1)
