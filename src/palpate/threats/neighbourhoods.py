"""Where a perturbed image may be: balls around clean images, cut by the box of values that the format can store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from palpate.streams import Streams
from palpate.tensors import VOLUME, every, lengths, spread

_BISECTIONS = 40


class Around(ABC):
    """The images within `radius` of `clean`, inside the box [low, high]; all per sample."""

    norm: ClassVar[str]

    def __init__(self, clean: Tensor, radius: Tensor, low: float, high: float):
        self.clean, self.radius, self.low, self.high = clean, radius, low, high

    @abstractmethod
    def project(self, images: Tensor) -> Tensor:
        """The nearest allowed images (Euclidean); idempotent."""

    @abstractmethod
    def sample(self, streams: Streams) -> Tensor:
        """Random allowed images."""

    @abstractmethod
    def steepest(self, gradient: Tensor) -> Tensor:
        """The maximiser of <gradient, d> over directions of unit length in the norm."""

    def move(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """P(images + size * radius * steepest(gradient))."""
        stride = spread(self.radius * size, images)
        return self.project(torch.addcmul(images, self.steepest(gradient), stride))

    def to_image(self, images: Tensor) -> Tensor:
        """The images as they are: in a ball, iterates are the images that the model sees."""
        return images

    def size(self, images: Tensor) -> Tensor:
        """Distance from the clean images (B,)."""
        return lengths(images - self.clean, self.norm)

    def widened(self, factor: float) -> Around:
        """The same with a radius `factor` times as large."""
        return type(self)(self.clean, self.radius * factor, self.low, self.high)

    def take(self, rows: Tensor) -> Around:
        """The same around some rows; itself, without a copy of whole volumes, if these are all of them."""
        if every(rows, len(self.clean)):
            return self
        return type(self)(self.clean[rows], self.radius[rows], self.low, self.high)

    def at_radius(self, radius: Tensor) -> Around:
        """The same at smaller radii (B,); a radius above its own counts as its own."""
        return type(self)(self.clean, self._no_larger(radius), self.low, self.high)

    def radius_of(self, images: Tensor) -> Tensor:
        """The radius at which these iterates are still allowed (B,): their distance, at most its own radius."""
        return torch.minimum(self.size(images), self.radius.double())

    def _no_larger(self, radius: Tensor) -> Tensor:
        return torch.minimum(radius.to(self.radius), self.radius)


class AroundLinf(Around):
    """A box around the clean image."""

    norm = "linf"

    def __init__(self, clean: Tensor, radius: Tensor, low: float, high: float):
        super().__init__(clean, radius, low, high)
        # Those of a volume are made anew for each step: kept, they would be two copies of it.
        self._faces = self._made_faces() if clean[:1].numel() < VOLUME else None

    def project(self, images: Tensor) -> Tensor:
        """Clamp to the ball and the box together."""
        least, most = self._faces or self._made_faces()
        return torch.clamp(images, least, most)

    def _made_faces(self) -> tuple[Tensor, Tensor]:
        """The lowest and the highest allowed images."""
        wide = spread(self.radius, self.clean)
        return (self.clean - wide).clamp_(min=self.low), (self.clean + wide).clamp_(max=self.high)

    def sample(self, streams: Streams) -> Tensor:
        """Uniform in the ball, then clamped to the box."""
        draw = streams.uniform(self.clean.shape[1:], self.clean) * 2 - 1
        return self.project(self.clean + draw * spread(self.radius, draw))

    def steepest(self, gradient: Tensor) -> Tensor:
        """The sign of the gradient."""
        return gradient.sign()


class Unprojected(AroundLinf):
    """Only the box; the radius is the length of a step and of the random start."""

    def project(self, images: Tensor) -> Tensor:
        """Clamp to the box only."""
        return images.clamp(self.low, self.high)

    def sample(self, streams: Streams) -> Tensor:
        """Uniform within one step."""
        draw = streams.uniform(self.clean.shape[1:], self.clean) * 2 - 1
        return self.project(self.clean + draw * spread(self.radius, draw))


class _Round(Around):
    """L2 and L1: the projection onto ball and box together, found per sample by bisection on one multiplier."""

    @abstractmethod
    def _shrunk(self, delta: Tensor, multiplier: Tensor) -> Tensor:
        """The change that minimises distance plus multiplier times norm, before the box."""

    def project(self, images: Tensor) -> Tensor:
        """Minimise ||z - images||_2 subject to the ball and the box.

        By Lagrange duality z - clean = clip(shrunk(images - clean, m)) with the least m >= 0 that is feasible;
        its length falls monotonically in m, so bisection finds it.
        """
        least, most = self.low - self.clean, self.high - self.clean
        delta = images - self.clean
        boxed = torch.clamp(delta, least, most)
        # With a relative slack of the size of rounding, projecting twice gives the same as once.
        limit = self.radius.double()
        if bool((lengths(boxed, self.norm) <= limit * (1 + 1e-6)).all()):
            return self.clean + boxed
        bottom = torch.zeros_like(limit)
        top = self._enough(delta)
        for _ in range(_BISECTIONS):
            middle = (bottom + top) / 2
            short = lengths(torch.clamp(self._shrunk(delta, middle), least, most), self.norm) <= limit
            top, bottom = torch.where(short, middle, top), torch.where(short, bottom, middle)
        inside = lengths(boxed, self.norm) <= limit * (1 + 1e-6)
        found = torch.clamp(self._shrunk(delta, top), least, most)
        return self.clean + torch.where(spread(inside, boxed).bool(), boxed, found)

    @abstractmethod
    def _enough(self, delta: Tensor) -> Tensor:
        """A multiplier at which the change certainly fits (B,) float64."""


class AroundL2(_Round):
    """A Euclidean ball cut by the box."""

    norm = "l2"

    def _shrunk(self, delta: Tensor, multiplier: Tensor) -> Tensor:
        return delta / (1 + spread(multiplier, delta))

    def _enough(self, delta: Tensor) -> Tensor:
        return lengths(delta, "l2") / self.radius.double()

    def sample(self, streams: Streams) -> Tensor:
        """Uniform in the ball, then projected onto the box."""
        shape = self.clean.shape[1:]
        draw = streams.normal(shape, self.clean)
        share = streams.uniform((1,), self.clean).flatten() ** (1 / max(shape.numel(), 1))
        length = self.radius * share / lengths(draw, "l2").clamp(min=1e-30).to(draw.dtype)
        return self.project(self.clean + draw * spread(length, draw))

    def steepest(self, gradient: Tensor) -> Tensor:
        """The gradient divided by its length; zero if the gradient is zero."""
        scale = lengths(gradient, "l2")
        return gradient / spread(torch.where(scale > 0, scale, 1.0), gradient)


class AroundL1(_Round):
    """An L1 ball cut by the box."""

    norm = "l1"
    density = 0.01
    """Share of the values that one step of an ascent changes (SLIDE, Tramer and Boneh 2019): one value at a time
    would need as many steps as there are pixels."""

    def _shrunk(self, delta: Tensor, multiplier: Tensor) -> Tensor:
        return delta.sign() * (delta.abs() - spread(multiplier, delta)).clamp(min=0)

    def _enough(self, delta: Tensor) -> Tensor:
        return lengths(delta, "linf")

    def sample(self, streams: Streams) -> Tensor:
        """Signed exponential draws scaled to a length uniform in the radius, then projected onto the box."""
        shape = self.clean.shape[1:]
        uniform = streams.uniform((2, *shape), self.clean)
        draw = (uniform[:, 0] - 0.5).sign() * -torch.log1p(-uniform[:, 1])
        share = streams.uniform((1,), self.clean).flatten()
        length = self.radius * share / lengths(draw, "l1").clamp(min=1e-30).to(draw.dtype)
        return self.project(self.clean + draw * spread(length, draw))

    def steepest(self, gradient: Tensor) -> Tensor:
        """The sign of the steepest value; zero elsewhere."""
        return self._signs(gradient, 1)

    def move(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """A step shared by the steepest `density` of the values that the box still lets change."""
        free = torch.where(gradient > 0, images < self.high, images > self.low)
        count = max(1, int(self.density * self.clean[0].numel()))
        stride = spread(self.radius * size, images)
        return self.project(torch.addcmul(images, self._signs(gradient * free, count), stride))

    @staticmethod
    def _signs(gradient: Tensor, count: int) -> Tensor:
        flat = gradient.flatten(1)
        top = flat.abs().topk(min(count, flat.shape[1]), dim=1).indices
        signs = flat.gather(1, top).sign() / top.shape[1]
        return torch.zeros_like(flat).scatter_(1, top, signs).view_as(gradient)
