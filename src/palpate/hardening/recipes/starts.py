"""Where a climb of a recipe starts, and how far it may go: variants of a plan's threat for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from palpate.attacks.sparse.phases import widened
from palpate.contracts import Limits, Neighbourhood, Threat
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tensors import lengths, spread
from palpate.threats.lattice import steps_of_least


@dataclass(frozen=True)
class Loose:
    """A threat for one long step: it starts in a wider ball, and the step is not brought back into the ball.

    The start is random in the ball of `noise` radii, and the step may leave it: an image changes by at most
    `noise + step` radii. Bounds, stored steps and regions are kept exactly.

    A threat that cannot be widened (a bound on frequencies) is left as it is: start and step stay inside its own ball.

    Attributes:
        inner: the threat of the plan.
        noise: radius of the start, in radii.
        step: length of the step, in radii.
    """

    inner: Threat
    noise: float
    step: float

    @property
    def norm(self) -> str:
        """That of the plan's threat."""
        return self.inner.norm

    @property
    def eps(self) -> float | tuple[float, ...]:
        """That of the plan's threat."""
        return self.inner.eps

    def around(self, clean: Tensor, bounds: tuple[float, float], limits: Limits | None = None) -> Neighbourhood:
        """The images of at most `noise + step` radii, with random starts of at most `noise` radii."""
        return AroundLoose(self.inner.around(clean, bounds, limits), self.noise, self.step)

    def describe(self) -> str:
        """The threat, and how far it may be left."""
        return f"{self.inner.describe()}, left by up to {self.noise + self.step - 1:g} radii"


@dataclass(frozen=True)
class Beside:
    """The plan's threat with random starts close to the clean image, for objectives that are flat at it.

    On a lattice of stored values a start is one or two whole steps wide at least; rounding would undo a smaller one.

    Attributes:
        inner: the threat of the plan.
        noise: radius of the start, in radii; above 0, at most 1.
    """

    inner: Threat
    noise: float

    @property
    def norm(self) -> str:
        """That of the plan's threat."""
        return self.inner.norm

    @property
    def eps(self) -> float | tuple[float, ...]:
        """That of the plan's threat."""
        return self.inner.eps

    def around(self, clean: Tensor, bounds: tuple[float, float], limits: Limits | None = None) -> Neighbourhood:
        """The images of the plan's threat, with starts close to the clean ones."""
        return AroundBeside(self.inner.around(clean, bounds, limits), self.noise)

    def describe(self) -> str:
        """The threat."""
        return self.inner.describe()


class Around:
    """A neighbourhood that leaves everything to another one; subclasses change a part.

    Attributes:
        ball: in which images move.
    """

    def __init__(self, ball: Neighbourhood):
        self.ball = ball
        self.clean, self.radius, self.low, self.high = ball.clean, ball.radius, ball.low, ball.high

    def project(self, images: Tensor) -> Tensor:
        """The nearest allowed iterates."""
        return self.ball.project(images)

    def to_image(self, images: Tensor) -> Tensor:
        """The images for some iterates."""
        return self.ball.to_image(images)

    def steepest(self, gradient: Tensor) -> Tensor:
        """The direction of unit length along which `gradient` rises fastest."""
        return self.ball.steepest(gradient)

    def move(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """One step of `size` radii."""
        return self.ball.move(images, gradient, size)

    def size(self, images: Tensor) -> Tensor:
        """Distance from the clean images (B,)."""
        return self.ball.size(images)


class AroundLoose(Around):
    """See `Loose`."""

    def __init__(self, own: Neighbourhood, noise: float, step: float):
        self.own, self.noise, self.step = own, noise, step
        wide = widened(own, noise + step)
        super().__init__(wide)
        self.radius = own.radius
        # Steps are counted in radii of the plan's threat, and the wide ball counts in its own.
        self.factor = 1.0 if wide is own else noise + step

    def sample(self, streams: Streams) -> Tensor:
        """Random in the ball of `noise` radii."""
        return widened(self.own, self.noise).sample(streams) if self.noise else self.clean.clone()

    def move(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """One step of `size` radii of the plan's threat."""
        return self.ball.move(images, gradient, size / self.factor)

    def take(self, rows: Tensor) -> AroundLoose:
        """The same around some rows."""
        return AroundLoose(self.own.take(rows), self.noise, self.step)


class AroundBeside(Around):
    """See `Beside`."""

    def __init__(self, own: Neighbourhood, noise: float):
        super().__init__(own)
        self.noise = noise

    def sample(self, streams: Streams) -> Tensor:
        """Random at a distance of at most `noise` radii, or one stored step."""
        ball: Any = self.ball
        if not callable(getattr(ball, "at_radius", None)):
            return self.ball.sample(streams)
        radius = self.radius * self.noise
        confinement: Any = getattr(ball, "confinement", None)
        if confinement is not None and confinement.smooth:
            # A small change would be smoothed and rounded away.
            return self.ball.sample(streams)
        lattice = getattr(ball, "lattice", None)
        if lattice is None:
            started: Tensor = ball.at_radius(radius).sample(streams)
            return started
        tied = self.clean.shape[1] if confinement.tied else 1
        largest = 1.0 if confinement.shares is None else float(confinement.shares.max())
        least = (lattice.step * steps_of_least(ball.norm, tied, largest)).to(radius) * (1 + 1e-6)
        if ball.norm == "linf":
            started = ball.at_radius(torch.maximum(radius, least)).sample(streams)
            return started
        # A random change is shorter than its ball is wide; on the surface of this one, some value always moves.
        near = ball.at_radius(torch.maximum(radius, 2 * least))
        change = near.sample(streams) - self.clean
        longer = near.radius / lengths(change, ball.norm).clamp(min=1e-30).to(near.radius)
        started = near.project(self.clean + change * spread(longer, change))
        return started

    def take(self, rows: Tensor) -> AroundBeside:
        """The same around some rows."""
        return AroundBeside(self.ball.take(rows), self.noise)


def check_positive(name: str, value: float, *, zero: bool = False, most: float = float("inf")) -> None:
    """Refuse a number outside its range.

    Raises:
        InputError: it is not above 0 (or 0, if that is allowed), or above `most`.
    """
    if not (0 < value <= most or (zero and value == 0)) or value == float("inf"):
        least = "at least 0" if zero else "above 0"
        raise InputError(
            f"{name}: {value:g} must be {least}{'' if most == float('inf') else f' and at most {most:g}'}."
        )
