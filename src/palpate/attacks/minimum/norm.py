"""Attacks that search the smallest beating change of each image: one loop, and the rules of FMN and DDN."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from palpate.attacks.best_so_far import BestSoFar
from palpate.contracts import AttackResult, Limits, ShrinkableNeighbourhood, Task, Threat
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tensors import Tree, lengths, mapped, spread, take
from palpate.threats.lattice import Lattice
from palpate.victim import Victim

_DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}
_SURE = 1e-4
"""By which share of its clean margin an image must have lost for its radius to count: one that is just on the boundary
may be on the other side of it in another batch."""
_LAST = 0.01
"""Length of the last step as a share of the first."""


@dataclass(frozen=True)
class MinimumNorm(ABC):
    """The smallest beating change of each image: a radius for each sample that shrinks when it wins and grows when not.

    Every sample runs all steps. The winning image of smallest radius is returned; a sample that needs more than the
    radius of the threat is not beaten. Nothing is random.

    Attributes:
        threat: the largest change that is searched.
        steps: gradient steps, at least 1.

    Raises:
        InputError: fewer than one step, or a threat whose radius cannot shrink.
    """

    threat: Threat
    steps: int = 100

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps: {self.steps} must be at least 1.")

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
        with victim:
            best_so_far = BestSoFar(victim, task, self.threat, images, targets, True, limits)
            shrinkable(best_so_far.space)
            rows = best_so_far.open_rows()
            if len(rows):
                found = Shrinking(best_so_far, rows, start)
                self.search(found)
            result = best_so_far.close()
        radius = torch.where(result.success, best_so_far.best_merit.double(), torch.inf)
        return replace(result, radius=radius)

    @abstractmethod
    def search(self, found: Shrinking) -> None:
        """Try iterates until the steps are spent."""


def shrinkable(space: Any) -> ShrinkableNeighbourhood:
    """The neighbourhood, if its radius can shrink.

    Raises:
        InputError: it cannot, as with neighbourhoods of other packages that do not have the method.
    """
    for name in ("at_radius", "radius_of"):
        if not callable(getattr(space, name, None)):
            raise InputError(
                f"threat: {type(space).__name__} has no {name}, which a search for the smallest change needs. "
                "Add the method (palpate.contracts.ShrinkableNeighbourhood), or use another attack, such as pgd."
            )
    return cast(ShrinkableNeighbourhood, space)


class Shrinking:
    """The samples of a search, each at its own radius.

    Attributes:
        images: the iterates.
        radius: (B,) float64, the radius at which the iterates are.
        won: (B,) some image has surely won.
        smallest: (B,) float64, radius of the smallest image that has surely won; infinity before.
        surplus: (B,) margin below 0 from which a win is sure.
        on_margin: (B,) whether the gradient of the margin is followed, not that of the loss.
        range: highest minus lowest value.
    """

    def __init__(self, best_so_far: BestSoFar, rows: Tensor, start: Tensor | None):
        self.best_so_far, self.rows = best_so_far, rows
        self.victim, self.task = best_so_far.victim, best_so_far.task
        self.space = shrinkable(best_so_far.space.take(rows))
        self.targets = self.task.take(best_so_far.targets, rows)
        self.range = self.space.high - self.space.low
        self.surplus = _SURE * best_so_far.clean_margin[rows]
        self.most = self.space.radius.double()
        self.radius = self.most.clone()
        self.smallest = torch.full_like(self.radius, torch.inf)
        self.won = torch.zeros_like(rows, dtype=torch.bool)
        self.on_margin = torch.ones_like(self.won)
        self.cooling = best_so_far.cooling.take(rows)
        self.cooling.marks(best_so_far.zero_gradient, rows)
        self.images = self.space.clean.clone()
        if start is not None:
            self.images = self.space.project(start[rows].detach())
            self.score(0)

    @property
    def here(self) -> ShrinkableNeighbourhood:
        """The neighbourhood at the samples' radii."""
        return self.space.at_radius(self.radius)

    def whole(self, radius: Tensor) -> Tensor:
        """The radius in L-inf, or the next whole stored step above it where changes are confined to them."""
        lattice: Lattice | None = getattr(self.space, "lattice", None)
        if lattice is None:
            return radius
        return torch.ceil(radius / lattice.step - 1e-6).clamp(min=1) * lattice.step

    def move(self, images: Tensor, radius: Tensor) -> None:
        """Go on at other iterates, projected onto other radii (B,)."""
        # Of a radius of zero nothing could grow.
        self.radius = torch.minimum(radius, self.most).clamp(min=torch.finfo(torch.float32).tiny)
        self.images = self.here.project(images)

    def margin_and_gradient(
        self, step: int, climbed: Callable[[Tree, Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Margin of the iterates plus the surplus (B,), and the gradient along which it falls; notes the images.

        It is that of what `climbed` gives for outputs and margins; by default of minus the margin where `on_margin`,
        and of the loss elsewhere.
        """
        iterate, here = self.images.detach().requires_grad_(), self.here
        shown = here.to_image(iterate)
        outputs = self.victim.search(shown)
        margin = self.task.margin(outputs, self.targets)
        value = -margin
        if climbed is not None:
            value = climbed(outputs, margin.detach() + self.surplus)
        elif self.cooling.temperature is not None or not bool(self.on_margin.all()):
            cooled = self.cooling(outputs)
            value = torch.where(self.on_margin, self._margin(cooled, margin), self.task.loss(cooled, self.targets))
        gradient = self.victim.gradient(value, iterate)
        self.best_so_far.spend(self.rows, 1, 1)
        return self.note(here, shown.detach(), outputs, margin.detach(), step), self._usable(gradient)

    def _margin(self, cooled: Tree, margin: Tensor) -> Tensor:
        """Minus the margin of cooled outputs, with the size of the margin itself."""
        if self.cooling.temperature is None:
            return -margin
        soft = self.task.margin(cooled, self.targets)
        size = (margin / torch.where(soft == 0, 1.0, soft)).detach()
        return -soft * torch.where(soft == 0, 1.0, size)

    def score(self, step: int) -> Tensor:
        """Margin of the iterates plus the surplus (B,), without the gradient; notes the images."""
        here = self.here
        shown = here.to_image(self.images)
        outputs = self.victim.score(shown)
        self.best_so_far.spend(self.rows, 1, 0)
        with torch.no_grad():
            return self.note(here, shown, outputs, self.task.margin(outputs, self.targets), step)

    def note(self, here: ShrinkableNeighbourhood, shown: Tensor, outputs: Tree, margin: Tensor, step: int) -> Tensor:
        """Enter images and give their margins plus the surplus; a new best is judged by the model as given first."""
        book, radius, outputs = self.best_so_far, here.radius_of(self.images), mapped(Tensor.detach, outputs)
        if self.victim.exact:
            book.note(self.rows, shown, outputs, margin, step, merit=self._merit(margin, radius))
        else:
            # A success of the coarse search that the model does not confirm would hide a true one of larger radius.
            new = (margin <= 0) & (radius < self.smallest)
            chosen, rest = new.nonzero().flatten(), (~new).nonzero().flatten()
            if len(chosen):
                margin = margin.index_copy(0, chosen, self._judged(chosen, shown[chosen], radius, step).to(margin))
            merit = self._merit(margin, radius)[rest]
            book.note(self.rows[rest], shown[rest], take(outputs, rest), margin[rest], step, merit=merit)
        sure = margin <= -self.surplus
        self.won = self.won | sure
        self.smallest = torch.where(sure, torch.minimum(self.smallest, radius), self.smallest)
        return margin + self.surplus

    def _merit(self, margin: Tensor, radius: Tensor) -> Tensor:
        """The radius, or that of the threat where an image is too near the boundary."""
        return torch.where(margin <= -self.surplus, radius, self.most)

    def _judged(self, chosen: Tensor, shown: Tensor, radius: Tensor, step: int) -> Tensor:
        """Margins of the samples at these places by the model as given; entered, with their cost."""
        rows, outputs = self.rows[chosen], self.victim.judge(shown)
        margin = self.task.margin(outputs, self.task.take(self.targets, chosen))
        merit = torch.where(margin <= -self.surplus[chosen], radius[chosen], self.most[chosen])
        self.best_so_far.note(rows, shown, outputs, margin, step, judged=True, merit=merit)
        self.best_so_far.spend(rows, 1, 0)
        return margin

    def _usable(self, gradient: Tensor) -> Tensor:
        """The gradient with zeros for what is not finite. Where it is zero the margin is followed from here on."""
        book, rows = self.best_so_far, self.rows
        book.non_finite[rows] |= ~torch.isfinite(gradient.flatten(1).sum(1))
        gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
        zero = ~gradient.flatten(1).any(1)
        book.zero_gradient[rows] |= zero
        book.blocked_gradient[rows] |= zero & self.on_margin
        self.on_margin = self.on_margin | zero
        return gradient


@dataclass(frozen=True)
class FMN(MinimumNorm):
    """Fast minimum norm: a step along the gradient, and a radius that follows the boundary.

        e_{t+1} = min(e_t (1 - g_t), smallest)                             if x_t wins
                  max(e_t, |x_t - x| + m(x_t) / |grad m|_dual)(1 + g_t)    if no image has won yet
                  e_t (1 + g_t)                                            otherwise
        x_{t+1} = P_{e_{t+1}}(x_t - a_t * range * grad m / |grad m|_2)

    with m the task's margin, P_e the projection onto the ball of radius e (never above that of the threat) and the
    box, and g_t, a_t falling by half a cosine. Confined changes are moved as iterates, and the radius is theirs.

    Differs from the paper: until an image wins the radius only grows, and by at least g_t, else rounding or the lattice
    could keep it below the boundary; the last iterate is scored too.
    Reference: Pintor, Roli, Brendel, Biggio, NeurIPS 2021 (arXiv:2102.12827).

    Attributes:
        step: first step as a share of the range of values (L2 length); the last is a hundredth of it.
        change: first share by which a radius shrinks or grows; the last is 1/50 of it.

    Raises:
        InputError: a step or a change that is not above 0, or a change of 1 or more.
    """

    step: float = 1.0
    change: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_shares(self.step, self.change)

    def search(self, found: Shrinking) -> None:
        """One pass forward and one backward a step, and one forward at the end."""
        for t in range(self.steps):
            margin, gradient = found.margin_and_gradient(t)
            change = _falling(self.change, 0.02, t, self.steps)
            slope = lengths(gradient, _DUAL[self.threat.norm]).clamp(min=1e-30)
            ahead = found.space.size(found.images) + margin.abs().double() / slope
            # On the lattice the estimate may stay below the next whole step.
            grown = torch.where(found.won | (ahead < found.radius) & (t > 0), found.radius, ahead) * (1 + change)
            radius = torch.where(margin <= 0, torch.minimum(found.radius * (1 - change), found.smallest), grown)
            stride = _falling(self.step, _LAST, t, self.steps) * found.range
            found.move(found.images + stride * _unit(gradient), radius)
        found.score(self.steps)


@dataclass(frozen=True)
class DDN(MinimumNorm):
    """Decoupled direction and norm: a step along the gradient, then the change is scaled to a length that is adapted.

        e_{t+1} = e_t (1 - change) if x_t wins, otherwise e_t (1 + change)
        d       = x_t - x + a_t * range * grad L / |grad L|_2
        x_{t+1} = box(x + e_{t+1} * d / |d|_2)

    with L the task's loss, e_t never above the radius of the threat, and a_t falling by half a cosine.

    Differs from the paper: the first step follows the margin m, and e_0 = m(x) / |grad m(x)|_2, the distance in a
    linear model, not 1; where the loss saturates and its gradient is zero, the margin is followed; the last iterate is
    scored too.
    Reference: Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger, CVPR 2019 (arXiv:1811.09600).

    Attributes:
        step: first step as a share of the range of values; the last is a hundredth of it.
        change: share by which the length shrinks or grows.

    Raises:
        InputError: as FMN.
    """

    step: float = 1.0
    change: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_shares(self.step, self.change)

    def search(self, found: Shrinking) -> None:
        """One pass forward and one backward a step, and one forward at the end."""
        for t in range(self.steps):
            margin, gradient = found.margin_and_gradient(t)
            if t == 0:
                slope = lengths(gradient, "l2").clamp(min=1e-30)
                found.radius = torch.minimum(margin.abs().double() / slope, found.most)
                found.on_margin = torch.zeros_like(found.on_margin)
            radius = found.radius * torch.where(margin <= 0, 1 - self.change, 1 + self.change)
            radius = torch.minimum(radius, found.most)
            stride = _falling(self.step, _LAST, t, self.steps) * found.range
            clean = found.space.clean
            change = found.images - clean + stride * _unit(gradient)
            longer = radius / lengths(change, "l2").clamp(min=1e-30)
            found.move(clean + change * spread(longer, change), radius)
        found.score(self.steps)


def _require_shares(step: float, change: float) -> None:
    if not 0 < step < math.inf:
        raise InputError(f"step: {step:g} must be above 0.")
    if not 0 < change < 1:
        raise InputError(f"change: {change:g} must be above 0 and below 1.")


def _falling(first: float, share: float, step: int, steps: int) -> float:
    """From `first` down to about `share` of it, by half a cosine."""
    return first * (share + (1 - share) * (1 + math.cos(math.pi * step / steps)) / 2)


def _unit(gradient: Tensor) -> Tensor:
    """The gradient at Euclidean length 1; zero if it is zero."""
    scale = lengths(gradient, "l2")
    return gradient / spread(torch.where(scale > 0, scale, 1.0), gradient)
