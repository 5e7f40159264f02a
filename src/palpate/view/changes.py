"""Signed changes in stored values: of whole images exactly, of pictures as finely as their grey values allow."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image

from palpate.errors import InputError
from palpate.view.kept import Pictured
from palpate.view.opened import Opened
from palpate.view.pixels import Array, Grid

_TIMES = re.compile(r"times ([0-9.e+-]{1,20}), around grey")


def record_change(opened: Opened, place: int, index: int) -> Array:
    """The change (C, H, W) of an attacked image on one plane.

    Raises:
        InputError: there is none, or a file cannot be read.
    """
    row, (file, pictured) = int(opened.frame["row"][place]), opened.places[place]
    if file is not None:
        clean, attacked = opened.pixels.clean(row), opened.pixels.attacked(row, file)
        grid = Grid.of(clean.shape[1:], opened.frame["spacing"][place].tolist())
        if clean.shape != attacked.shape or not 0 <= index < grid.count:
            raise InputError("The images differ in size.")
        low, high = opened.pixels.bounds
        before, after = (grid.plane(one, index).astype(np.float64) for one in (clean, attacked))
        # An attack begins at the values that the model may see.
        return np.asarray(after - np.clip(before, low, high))
    if pictured is None:
        raise InputError("The run did not keep it.")
    return _decoded(opened, pictured, index)


def _decoded(opened: Opened, pictured: Pictured, index: int) -> Array:
    """The change from the picture that shows it amplified around grey."""
    names = [one.perturbation for one in pictured.slices if one.index == index]
    pixels, text = _read(opened, names[0] if names else "")
    factor = pictured.factor
    if factor is None and (found := _TIMES.search(text)):
        factor = float(found[1])
    if not factor:
        raise InputError("Its picture does not say how much the change is amplified.")
    low, high = opened.pixels.bounds
    inverted = pictured.window is not None and pictured.window[0] > pictured.window[1]
    first, last = (high, low) if inverted else (low, high)
    return np.asarray((pixels / 255 * (last - first) + first - (low + high) / 2) / factor)


def artefact_change(opened: Opened, place: int, index: int) -> Array:
    """What an artefact changed on one plane (C, H, W), from the pictures before and after it.

    Raises:
        InputError: there are no such pictures, or they differ in size.
    """
    picture = opened.pictures.get(place)
    planes = [one for one in picture.slices if one.index == index] if picture is not None else []
    if picture is None or not planes:
        raise InputError("The run did not keep it.")
    before, after = (_read(opened, name)[0] for name in (planes[0].before, planes[0].after))
    if before.shape != after.shape:
        raise InputError("The pictures differ in size.")
    black, white = picture.window or opened.pixels.bounds
    return np.asarray((after - before) / 255 * (white - black))


def artefact_scale(opened: Opened, place: int) -> float:
    """The largest change of an artefact on the planes that are shown; 0 if they cannot be read."""
    picture = opened.pictures.get(place)
    try:
        planes = [artefact_change(opened, place, one.index) for one in (picture.slices if picture is not None else [])]
    except InputError:
        return 0.0
    return max((float(np.abs(one).max(initial=0)) for one in planes), default=0.0)


def _read(opened: Opened, name: str) -> tuple[Array, str]:
    """The grey values (C, H, W) of a picture of the run, and its description."""
    data = opened.pixels.picture(name)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            pixels = np.asarray(picture.convert("RGB" if picture.mode == "RGB" else "L"), dtype=np.float64)
            text = str(picture.info.get("Description", ""))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError("The picture cannot be read.") from error
    return np.moveaxis(np.atleast_3d(pixels), -1, 0), text
