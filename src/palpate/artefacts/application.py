"""`palpate.artefacts.apply`: one artefact on some images, for notebooks."""

from __future__ import annotations

import math
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

_FINEST, _COARSEST = 1e-6, 1e4
"""mm that a pixel may have, from microscopes to maps."""


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
    if not isinstance(artefact, Artefact):
        raise InputError(f"artefact: give a name of `palpate list artefacts`, or an artefact, not {artefact!r}.")
    if not isinstance(unit, str) or isinstance(seed, bool) or not isinstance(seed, int):
        raise InputError('unit: it must be a text such as "HU", and seed a whole number.')
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InputError('parameters: give names and values, such as {"diameter": 6}.')
    size = None if spacing is None else _numbers("spacing", spacing)
    low, high = _numbers("bounds", bounds, 2)
    scene = Scene((low, high), size, unit)
    step = None if step is None else _number("step", step)
    _require(images, scene, step)
    streams = Streams.of(torch.Generator().manual_seed(seed), len(images))
    theta = _theta(artefact, None if severity is None else _number("severity", severity), parameters or {}, streams)
    limits = None if step is None else Limits(step=torch.full((len(images),), step, dtype=torch.float64))
    made = artefact(images, theta, scene, streams=streams, limits=limits)
    return Applied(made, theta, tuple(words(artefact.parameters, row) for row in theta.tolist()))


def _require(images: Tensor, scene: Scene, step: float | None) -> None:
    """Refuse images that are not stored values within the bounds."""
    if not isinstance(images, Tensor):
        raise InputError(f"images: give a tensor, torch.as_tensor(images).float(), not {type(images).__name__}.")
    if images.ndim not in (4, 5) or images.dtype not in (torch.float32, torch.float64) or not images.shape[1]:
        raise InputError(
            "images: they must be float32 or float64 of the form (B, C, height, width) or (B, C, depth, height, "
            f"width), and are {str(images.dtype).removeprefix('torch.')} of the form {list(images.shape)}."
        )
    low, high = scene.bounds
    if not -math.inf < low < high < math.inf:
        raise InputError(f"bounds: {low:g} must be a number less than {high:g}. Give the lowest value first.")
    if scene.spacing is not None and len(scene.spacing) != images.ndim - 2:
        raise InputError(f"spacing: it has {len(scene.spacing)} numbers, and the images have {images.ndim - 2} axes.")
    if scene.spacing is not None and not all(_FINEST <= mm <= _COARSEST for mm in scene.spacing):
        raise InputError(f"spacing: {list(scene.spacing)} must be the size of a pixel along each axis in mm, above 0.")
    if step is not None and not 0 < step <= high - low:
        raise InputError(f"step: {step:g} must be above 0, and at most the range of the bounds, {high - low:g}.")
    if not bool(torch.isfinite(images).all()):
        raise InputError("images: some values are NaN or infinite. Replace them, such as with images.nan_to_num(0).")
    least, most = (float(end) for end in images.aminmax()) if images.numel() else (low, high)
    if not low <= least <= most <= high:
        raise InputError(
            f"bounds: the images have values from {least:g} to {most:g}, outside {low:g} to {high:g}. Give "
            "the lowest and highest value that can be stored."
        )


def _numbers(field: str, written: object, count: int | None = None) -> tuple[float, ...]:
    """Numbers that a caller gave, or a sentence that names the field."""
    try:
        found = tuple(float(one) for one in written)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise InputError(f"{field}: {written!r} must be numbers in brackets, such as (0, 255).") from error
    if count is not None and len(found) != count:
        raise InputError(f"{field}: {written!r} must be {count} numbers, such as (0, 255).")
    return found


def _number(field: str, written: object) -> float:
    if isinstance(written, bool) or not isinstance(written, (int, float)):
        raise InputError(f"{field}: {written!r} must be a number.")
    return float(written)


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
        written = _number(f"parameters: {parameter.name}", written)
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
