"""Artefacts and models whose worst parameters are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fields import REALISATION, Noise, column
from palpate.artefacts.parameter import Parameter
from palpate.artefacts.search import Found, Ladder, search
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tensors import leaves
from palpate.victim import Victim

BOUNDS = (0.0, 255.0)
SCENE = Scene(BOUNDS)
SIZE = 32
DEPTH = Parameter("depth", "share", "derived: a test", levels=(0.1, 0.2, 0.3, 0.4, 0.5))


def place(name: str) -> Parameter:
    return Parameter(name, "share", "derived: a test")


def axes(image: Tensor) -> tuple[Tensor, Tensor]:
    height, width = image.shape[1:]
    return ((torch.arange(height) + 0.5) / height)[None, :, None], ((torch.arange(width) + 0.5) / width)[None, None, :]


@dataclass(frozen=True)
class Spot(Artefact):
    """A dark spot; at severity 5 a pixel at its middle is black."""

    name: ClassVar[str] = "spot"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("depth", "share", "derived: a test", levels=(0.2, 0.4, 0.6, 0.8, 1.0)),
        place("down"),
        place("right"),
    )

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        down, right = axes(image)

        def made(theta: Tensor) -> Tensor:
            far = (down - theta[:, 1, None, None]).square() + (right - theta[:, 2, None, None]).square()
            return image * (1 - theta[:, 0, None, None] * torch.exp(-far / (2 * 0.05**2)))[:, None].to(image)

        return made


@dataclass(frozen=True)
class Darker(Artefact):
    """All values times 1 - depth: nothing to choose at a severity."""

    name: ClassVar[str] = "darker"
    parameters: ClassVar[tuple[Parameter, ...]] = (DEPTH,)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        return lambda theta: image * (1 - column(theta[:, 0], image))


@dataclass(frozen=True)
class Lifted(Artefact):
    """Adds up to a tenth of the range at severity 5."""

    name: ClassVar[str] = "lifted"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("offset", "share", "derived: a test", levels=(0.02, 0.04, 0.06, 0.08, 0.1), signed=True),
    )
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    stage: ClassVar[int] = 4

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        return lambda theta: image + column(theta[:, 0], image) * scene.extent


@dataclass(frozen=True)
class Tinted(Artefact):
    """Only the second of four kinds darkens, most where `where` is 0.8."""

    name: ClassVar[str] = "tinted"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("kind", "", "derived: a test", choices=("a", "b", "c", "d")),
        DEPTH,
        place("where"),
    )
    gradient: ClassVar[bool] = False

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        def made(theta: Tensor) -> Tensor:
            kind = (theta[:, 0].floor() == 1).double()
            depth = theta[:, 1] * (1 - (theta[:, 2] - 0.8).abs()) * (0.1 + 0.9 * kind)
            return image * (1 - column(depth, image))

        return made


@dataclass(frozen=True)
class Grainy(Artefact):
    """Noise that is drawn when it is bound."""

    name: ClassVar[str] = "grainy"
    parameters: ClassVar[tuple[Parameter, ...]] = (DEPTH, REALISATION)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        noise = Noise.drawn(streams, image.shape, image)
        return lambda theta: image + column(theta[:, 0], image) * 40 * noise.at(theta[:, 1])


@dataclass(frozen=True)
class Slid(Artefact):
    """Everything moves down by up to a fifth of the height."""

    name: ClassVar[str] = "slid"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("shift", "share", "derived: a test", levels=(0.1, 0.2, 0.3, 0.4, 0.5), signed=True),
    )

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        def made(theta: Tensor) -> Tensor:
            grid = self.grid(tuple(image.shape[1:]), theta, scene).to(image)
            whole = image.expand(len(theta), *image.shape)
            return F.grid_sample(whole, grid, mode="nearest", padding_mode="border", align_corners=False)

        return made

    def grid(self, shape: tuple[int, ...], theta: Tensor, scene: Scene) -> Tensor:
        rows = torch.eye(2, 3, dtype=torch.float64).repeat(len(theta), 1, 1)
        rows[:, 1, 2] = -2 * theta[:, 0]
        return F.affine_grid(rows, [len(theta), 1, *shape], align_corners=False)


class Weighted(nn.Module):
    """Margin <w, x> - offset for label 0; counts the images that it sees."""

    def __init__(self, weights: Tensor, offset: float):
        super().__init__()
        self.weights, self.offset, self.seen = nn.Parameter(weights), offset, 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        margin = (images * self.weights).flatten(1).sum(1, keepdim=True) - self.offset
        return torch.cat([margin, -margin], 1) / 2


TASK = Classification(2)


def one_pixel(offset: float = 10.0) -> Weighted:
    """Reads one pixel, at row 11 and column 23."""
    weights = torch.zeros(1, SIZE, SIZE, dtype=torch.float64)
    weights[0, 11, 23] = 1.0
    return Weighted(weights, offset)


def mean_value(offset: float) -> Weighted:
    return Weighted(torch.full((1, SIZE, SIZE), 1 / SIZE**2, dtype=torch.float64), offset)


def flat(count: int, low: float = 100.0, high: float = 120.0) -> Tensor:
    """Images (count, 1, SIZE, SIZE) of one value each, rising."""
    values = torch.linspace(low, high, count, dtype=torch.float64)
    return values[:, None, None, None].expand(count, 1, SIZE, SIZE).clone()


def streams(count: int, seed: int = 0) -> Streams:
    return Streams(range(100 * seed, 100 * seed + count))


def searched(artefact: Artefact, module: nn.Module, images: Tensor, ladder: Ladder, targets: Any = None,
             task: Any = TASK, victim: Callable[..., Victim] = Victim, **options: Any) -> Found:  # fmt: skip
    """A search with streams 0, 1, 2 ..."""
    targets = torch.zeros(len(images), dtype=torch.int64) if targets is None else targets
    options.setdefault("streams", streams(len(images)))
    with victim(module, BOUNDS) as entered:
        return search(artefact, entered, task, images, targets, [SCENE] * len(images), ladder=ladder, **options)


def tensors(value: Any) -> list[Tensor]:
    """All tensors of a result, in order."""
    if hasattr(value, "__dataclass_fields__"):
        return [tensor for field in fields(value) for tensor in tensors(getattr(value, field.name))]
    if isinstance(value, dict):
        return [tensor for part in value.values() for tensor in tensors(part)]
    return leaves(value) if isinstance(value, (Tensor, tuple)) else []
