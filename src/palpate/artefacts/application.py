"""`palpate.artefacts.apply`: one artefact on some images, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Scene
from palpate.artefacts.catalog import make
from palpate.artefacts.parameter import WORST, Parameter, free, theta_at, words
from palpate.contracts import Limits
from palpate.errors import InputError, nearest
from palpate.streams import Streams


class Applied(NamedTuple):
    """What `apply` returns.

    Attributes:
        images: (B, C, *spatial) in stored values.
        theta: (B, D) the parameters of each image, in their units.
        words: the parameters of each image in words.
    """

    images: Tensor
    theta: Tensor
    words: tuple[str, ...]


def apply(
    artefact: str | Artefact,
    images: Tensor,
    *,
    bounds: tuple[float, float],
    severity: float | None = None,
    parameters: Mapping[str, float | str] | None = None,
    spacing: Sequence[float] | None = None,
    unit: str = "",
    step: float | None = None,
    seed: int = 0,
) -> Applied:
    """Images with an artefact. What `parameters` does not give follows from `severity`, and the rest is random.

    Args:
        artefact: its name in the catalogue (`palpate list artefacts`), or the artefact.
        images: (B, C, *spatial), floating point, in stored values.
        bounds: lowest and highest value that can be stored.
        severity: from 0, the image as it is, to 5; needed unless every strength is given.
        parameters: values in the units of the artefact, or the name of a choice, for all images.
        spacing: mm of a pixel along each spatial axis.
        unit: unit of the values, such as `HU`.
        step: distance of two neighbouring values that can be stored; not rounded by default.
        seed: source of randomness.

    Raises:
        InputError: a parameter is unknown or outside its range, or the artefact cannot act on these images.

    >>> made = apply("noise", torch.zeros(1, 1, 8, 8), bounds=(0, 255), severity=0)
    >>> bool((made.images == 0).all())
    True
    """
    artefact = make(artefact) if isinstance(artefact, str) else artefact
    _require(images, bounds, spacing)
    scene = Scene((float(bounds[0]), float(bounds[1])), None if spacing is None else tuple(spacing), unit)
    streams = Streams.of(torch.Generator().manual_seed(seed), len(images))
    theta = _theta(artefact, severity, parameters or {}, streams)
    limits = None if step is None else Limits(step=torch.full((len(images),), step, dtype=torch.float64))
    made = artefact(images, theta, scene, streams=streams, limits=limits)
    return Applied(made, theta, tuple(words(artefact.parameters, row) for row in theta.tolist()))


def _require(images: Tensor, bounds: tuple[float, float], spacing: Sequence[float] | None) -> None:
    if images.ndim not in (4, 5) or not images.is_floating_point():
        raise InputError(
            f"images: they must be floating point of the form (B, C, height, width) or (B, C, depth, height, width), "
            f"and are {str(images.dtype).removeprefix('torch.')} of the form {list(images.shape)}."
        )
    if not bounds[0] < bounds[1]:
        raise InputError(f"bounds: {bounds[0]:g} must be less than {bounds[1]:g}. Give the lowest value first.")
    if spacing is not None and len(spacing) != images.ndim - 2:
        raise InputError(f"spacing: it has {len(spacing)} numbers, and the images have {images.ndim - 2} axes.")
    low, high = (float(end) for end in images.aminmax()) if images.numel() else bounds
    if not bounds[0] <= low <= high <= bounds[1]:
        raise InputError(
            f"bounds: the images have values from {low:g} to {high:g}, outside {bounds[0]:g} to {bounds[1]:g}. Give "
            "the lowest and highest value that can be stored."
        )


def _theta(artefact: Artefact, severity: float | None, given: Mapping[str, float | str], streams: Streams) -> Tensor:
    known = {parameter.name: parameter for parameter in artefact.parameters}
    for name in given:
        if name not in known:
            raise InputError(f"parameters: {artefact.name} has no '{name}'. {nearest(name, known)}")
    strengths = [name for name, parameter in known.items() if parameter.levels is not None]
    if severity is None and (missing := [name for name in strengths if name not in given]):
        raise InputError(f"severity: give one from 0 to {WORST}, or all strengths of {artefact.name}: {missing[0]}.")
    if severity is not None and not 0 <= severity <= WORST:
        raise InputError(f"severity: {severity:g} must be from 0 to {WORST}.")
    like = torch.zeros(1, dtype=torch.float64)
    unit = streams.uniform((free(artefact.parameters),), like)
    theta = theta_at(artefact.parameters, unit, 0.0 if severity is None else severity).clone()
    for place, (name, parameter) in enumerate(known.items()):
        if name in given:
            theta[:, place] = _value(parameter, given[name])
    return theta


def _value(parameter: Parameter, written: float | str) -> float:
    if not isinstance(written, str):
        if not parameter.low <= written <= parameter.high:
            unit = f" {parameter.unit}" if parameter.unit else ""
            raise InputError(
                f"parameters: {parameter.name} = {written:g} is outside its range {parameter.low:g} to "
                f"{parameter.high:g}{unit}."
            )
        return float(written)
    if not parameter.choices:
        raise InputError(
            f"parameters: {parameter.name} is a number from {parameter.low:g} to {parameter.high:g}, not '{written}'."
        )
    if written not in parameter.choices:
        raise InputError(f"parameters: {parameter.name} is not '{written}'. {nearest(written, parameter.choices)}")
    return parameter.choices.index(written) + 0.5
