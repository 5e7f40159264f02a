"""What an artefact is: a map with few parameters in physical units, from an image to an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.parameter import Parameter, check_theta, is_null
from palpate.contracts import Limits
from palpate.errors import InputError, PalpateError
from palpate.memory import out_of_memory
from palpate.streams import Streams
from palpate.usercode import said

__all__ = ["Artefact", "Bound", "Needs", "Scene"]

Bound = Callable[[Tensor], Tensor]
"""An artefact of one image: theta (K, D), float64 -> K images (K, C, *spatial), not yet rounded to stored values.

Differentiable in theta if the artefact says so. Equal theta gives equal images: randomness is drawn when it is bound.
"""
Needs = frozenset[str]
"""What an artefact must know: `HU` (Hounsfield units), `spacing` (mm per pixel), `colour` (three channels)."""


@dataclass(frozen=True)
class Scene:
    """What is known of an image besides its values.

    Attributes:
        bounds: lowest and highest value that can be stored.
        spacing: mm of a pixel along each spatial axis; None if it is not known.
        unit: unit of the values, such as `HU`; empty if it is not known.
    """

    bounds: tuple[float, float]
    spacing: tuple[float, ...] | None = None
    unit: str = ""

    @property
    def extent(self) -> float:
        """Highest minus lowest value."""
        return self.bounds[1] - self.bounds[0]


class Artefact(ABC):
    """An artefact of acquisition: a frozen dataclass, so that it can be compared, hashed, and found again.

    A subclass names its parameters and writes `bind`. Severity goes from 0 (the image, bit for bit) to 5;
    `palpate.artefacts.parameter.theta_at` turns a severity and a point of the unit cube into parameters.

    Attributes:
        name: in the catalogue.
        parameters: theta, in order.
        dimensions: numbers of spatial axes that it can act on.
        needs: what must be known of an image.
        gradient: images are differentiable in theta, nearly everywhere.
        stage: where it happens, for compositions: 0 the patient (motion, metal), 1 the beam or the light, 2 the
            detector or the lens, 3 the reconstruction, 4 storage.
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    needs: ClassVar[Needs] = frozenset()
    gradient: ClassVar[bool] = True
    stage: ClassVar[int] = 2

    @abstractmethod
    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """What is computed once for an image: sinograms, fields of noise, coordinates.

        Args:
            image: (C, *spatial) in values, floating point; never written to.
            scene: what else is known of it.
            streams: one stream, the source of all randomness.
        """

    def grid(self, shape: tuple[int, ...], theta: Tensor, scene: Scene) -> Tensor | None:
        """Where each pixel of the result is taken from, if the artefact moves anatomy; None if it does not.

        Args:
            shape: size of the image along each of its `n` spatial axes.
            theta: (K, D).
            scene: what is known of the image.

        Returns:
            (K, *spatial, n), as `torch.nn.functional.grid_sample` with `align_corners=False` takes it, or None.
        """
        return None

    @property
    def moves(self) -> bool:
        """Whether it moves anatomy, so that masks and boxes move along."""
        return type(self).grid is not Artefact.grid

    def check(self, shape: tuple[int, ...], scene: Scene) -> None:
        """Refuse an image (C, *spatial) that the artefact cannot act on.

        Raises:
            InputError: it has another number of axes, or something that is needed is not known.
        """
        axes = len(shape) - 1
        if axes not in self.dimensions:
            kinds = " or ".join({2: "images", 3: "volumes"}[number] for number in self.dimensions)
            raise InputError(
                f"artefact '{self.name}' acts on {kinds}, and this image has {axes} spatial axes. Name another one: "
                "`palpate list artefacts NAME` says what each acts on."
            )
        if "HU" in self.needs and scene.unit.casefold() != "hu":
            raise InputError(
                f"artefact '{self.name}' needs Hounsfield units, and the values have "
                f"{f'the unit {scene.unit}' if scene.unit else 'no unit'}. If they are Hounsfield units, say so: "
                'data.unit = "HU" in a plan, unit="HU" in palpate.artefacts.apply.'
            )
        if "spacing" in self.needs and scene.spacing is None:
            raise InputError(
                f"artefact '{self.name}' needs the size of a pixel in mm, which the file does not say. Give it: "
                "data.spacing in a plan, spacing in palpate.artefacts.apply."
            )
        if "colour" in self.needs and shape[0] != 3:
            raise InputError(f"artefact '{self.name}' needs three colour channels, and this image has {shape[0]}.")

    def __call__(self, images: Tensor, theta: Tensor, scene: Scene, *, streams: Streams | None = None,
                 limits: Limits | None = None) -> Tensor:  # fmt: skip
        """The images (B, C, *spatial) with one row of theta (B, D) each, in stored values.

        Raises:
            InputError: theta is outside its range, or the artefact cannot act on these images.
        """
        check_theta(self.name, self.parameters, theta)
        streams = Streams.of(streams, len(images))
        made = []
        for row in range(len(images)):
            one = torch.tensor([row])
            bound = bound_to(self, images[row], scene, streams.take(one), rows_of(limits, row))
            made.append(bound(theta[row : row + 1]))
        return torch.cat(made) if made else images.clone()


def rows_of(limits: Limits | None, row: int) -> Limits | None:
    """The stored steps of one sample."""
    if limits is None or limits.step is None:
        return None
    origin = None if limits.origin is None else limits.origin[row : row + 1]
    return Limits(step=limits.step[row : row + 1], origin=origin)


def bound_to(artefact: Artefact, image: Tensor, scene: Scene, streams: Streams, limits: Limits | None = None) -> Bound:
    """An artefact of one image that gives stored values: clipped to the bounds and rounded to the file's steps.

    Where every strength is at its null the result is the image, bit for bit. Gradients pass through the rounding.

    Raises:
        InputError: the artefact cannot act on this image.
    """
    artefact.check(tuple(image.shape), scene)
    with _own_code(artefact):
        inner = artefact.bind(image, scene, streams)

    def made(theta: Tensor) -> Tensor:
        with _own_code(artefact):
            raw = inner(theta)
        _require_images(artefact, raw, (len(theta), *image.shape))
        raw = raw.to(image.dtype).clamp(*scene.bounds)
        stored = raw if limits is None else _rounded(raw, image, limits, scene)
        nothing = is_null(artefact.parameters, theta).to(image.device)
        return torch.where(nothing.reshape(-1, *([1] * image.ndim)), image, stored)

    return made


@contextmanager
def _own_code(artefact: Artefact) -> Iterator[None]:
    """Whatever the code of an artefact raises becomes one sentence that names it."""
    try:
        yield
    except PalpateError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        raise InputError(f"artefact '{artefact.name}' fails: {said(error)}. {_CHECK}") from error


_CHECK = "palpate.checks.check_artefact looks for the fault."


def _require_images(artefact: Artefact, made: object, shape: tuple[int, ...]) -> None:
    if not isinstance(made, Tensor) or tuple(made.shape) != shape:
        form = f"the form {list(made.shape)}" if isinstance(made, Tensor) else f"the type {type(made).__name__}"
        raise InputError(f"artefact '{artefact.name}' gives {form} in place of images {list(shape)}. {_CHECK}")
    if not bool(torch.isfinite(made.detach()).all()):
        raise InputError(f"artefact '{artefact.name}' gives NaN or infinity. {_CHECK}")


def _rounded(raw: Tensor, image: Tensor, limits: Limits, scene: Scene) -> Tensor:
    """The nearest values that the file can store; exactly the image's own where they did not change."""
    assert limits.step is not None
    step = limits.step.to(raw.device).double()
    origin = image.double() if limits.origin is None else limits.origin.to(raw.device).double()
    low, high = scene.bounds
    with torch.no_grad():
        places = ((raw.double() - origin) / step).round()
        values = (origin + places * step).to(raw.dtype)
        values = torch.where(values > high, (origin + (places - 1) * step).to(raw.dtype), values)
        values = torch.where(values < low, (origin + (places + 1) * step).to(raw.dtype), values)
        same = (raw - image).abs().double() < step / 2
        values = torch.where(same, image, values)
    return raw + (values - raw).detach() if raw.requires_grad else values
