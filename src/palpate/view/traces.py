"""The steps of a traced attack on one image, and the maps that the run keeps with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from palpate.errors import InputError, StorageError
from palpate.report.compute.stability.maps import Maps, read_maps
from palpate.report.model.words import in_unit
from palpate.view.opened import Opened
from palpate.view.pixels import Array
from palpate.view.shades import COPY, difference, png

_STEPS = ("start", "step", "margin", "value", "loss", "penalty", "kl_clean", "kl_final", "cos_step", "cos_final")
_SIZES = ("linf", "l2")
IMAGE, CHANGE, STARTS, IMAGES = "image", "change", "starts", "images"
_ABOUT = {
    IMAGE: ("As stored", "The image as the run kept it with the trace."),
    CHANGE: ("Change", "The change after the last step of the first start, mean over channels."),
    STARTS: ("Spread over starts", "Standard deviation of the last change over the independent starts."),
    IMAGES: ("Spread over images", "Standard deviation of the last change over all images of the trace."),
}
NO_MAPS = "The maps of this trace cannot be read."


@dataclass(frozen=True)
class Map:
    """A picture of a map.

    Attributes:
        title: in two or three words.
        picture: its name.
        about: what it shows.
        ends: the scale of its colours; empty for the image itself.
    """

    title: str
    picture: str
    about: str
    ends: list[str]


def steps(opened: Opened, place: int) -> dict[str, Any]:
    """The steps of the attack of a record on its image, and its maps.

    Raises:
        InputError: it was not traced.
    """
    traces, frame = opened.traces, opened.frame
    row, item = int(frame["row"][place]), frame["item"][place]
    mine = (traces["row"] == row) & (traces["item"] == item)
    if not mine.any():
        raise InputError("It was not traced.")
    number = _number(opened, item)
    maps = None if number is None else _read(opened, number)
    return {
        "eps": float(traces["eps"][mine][0]),
        "columns": {name: _finite(traces[name][mine]) for name in (*_STEPS, *_SIZES)},
        "maps": [] if number is None or maps is None else [vars(one) for one in _maps(opened, maps, number, row)],
        "why": NO_MAPS if maps is None else "",
    }


def picture(opened: Opened, kind: str, number: int, row: int) -> bytes:
    """The picture of a map.

    Args:
        opened: the run.
        kind: which map.
        number: of the traced attack in `run.json`, from 0.
        row: of the image.

    Raises:
        InputError: there is none.
    """
    maps = _read(opened, number) if 0 <= number < len(_identities(opened)) else None
    values = None if maps is None else _values(maps, kind, row)
    if values is None:
        raise InputError("The run did not keep it.")
    if kind == IMAGE:
        return png(values, COPY)
    return difference(np.nan_to_num(values)[None], _most(values))


def _maps(opened: Opened, maps: Maps, number: int, row: int) -> list[Map]:
    found = []
    for kind, (title, about) in _ABOUT.items():
        values = _values(maps, kind, row)
        if values is None:
            continue
        ends: list[str] = []
        if kind != IMAGE:
            high = in_unit(_most(values), opened.unit)
            ends = [f"\u2212{high}", "0", f"+{high}"] if kind == CHANGE else ["0", high]
        found.append(Map(title, f"pictures/trace-{kind}-{number}-{row}.png", about, ends))
    return found


def _values(maps: Maps, kind: str, row: int) -> Array | None:
    """The numbers of a map; None where the run keeps none."""
    if row not in maps.rows:
        return None
    place = maps.rows.index(row)
    if kind == IMAGE:
        return maps.shown[place]
    values = {CHANGE: maps.change[place], STARTS: maps.spread_starts[place], IMAGES: maps.spread_images}[kind]
    return None if values is None or not np.isfinite(values).any() else values


def _most(values: Array) -> float:
    return float(f"{np.nanmax(np.abs(values)):.4g}")


@lru_cache(maxsize=2)
def _read(opened: Opened, number: int) -> Maps | None:
    try:
        return read_maps(opened.run, _identities(opened)[number][1])
    except StorageError:
        # The report says what is wrong with the file; the steps can still be looked at.
        return None


def _identities(opened: Opened) -> list[tuple[str, str]]:
    """Item and name of the files of each traced attack."""
    tracing = opened.description.stability
    return [] if tracing is None else [(one.item, one.identity) for one in tracing.items]


def _number(opened: Opened, item: str) -> int | None:
    return next((number for number, (one, _) in enumerate(_identities(opened)) if one == item), None)


def _finite(values: Any) -> list[float | None]:
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]
