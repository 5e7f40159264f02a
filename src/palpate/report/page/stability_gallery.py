"""The maps that the page shows, and their layout: each image with the changes of every attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from palpate.metrics.panel import Floats
from palpate.report.compute.stability.maps import Maps
from palpate.report.compute.stability.traces import Traces
from palpate.report.draw.stability_maps import SIDE, ColourBar, clean
from palpate.report.model.schema import Results
from palpate.report.model.schema_stability import AttackStability

SHOWN = 12
"""The most images with maps on the page; an image counts once for each attack."""


@dataclass(frozen=True, eq=False)
class _Bars:
    """The two scales of colours."""

    change: ColourBar
    spread: ColourBar


def drawn_maps(traces: Traces, results: Results, traced: Sequence[AttackStability], *, names: bool) -> dict[str, Any]:
    """Maps of the first images of the first attacks; each clean image is shown once, with all its maps.

    Args:
        traces: traces of the run.
        results: its figures.
        traced: the attacks that have maps.
        names: show the file names of images.
    """
    maps = {one.attack: traces.maps[one.attack] for one in traced}
    each = max(1, min(2, SHOWN // len(traced)))
    chosen = [(one, place) for one in traced for place in range(min(each, len(maps[one.attack].rows)))][:SHOWN]
    shown = {one.attack: maps[one.attack] for one, _ in chosen}
    # A change larger than the budget would make all other maps pale.
    beyond = {attack.name for attack in results.attacks if attack.outside_budget}
    within = [found for attack, found in shown.items() if attack not in beyond] or list(shown.values())
    bars, unit, total = _bars(within), results.data.unit, sum(len(one.rows) for one in maps.values())
    longest = max((max(values.shape) for found in shown.values() for values in found.change), default=0)
    return {
        "maps": _images(chosen, maps, bars, _names(traces) if names else {}),
        "over_images": _over_images(traced, shown, bars),
        "few_maps": len(chosen),
        "all_maps": total,
        "beyond": [attack for attack in shown if attack in beyond and len(within) < len(shown)],
        "thinned": _ordinal(-(-longest // SIDE)) if longest > SIDE else "",
        "bars": [{"name": "change", **bars.change.shown(unit)}, {"name": "spread", **bars.spread.shown(unit)}],
    }


def _bars(within: Sequence[Maps]) -> _Bars:
    over_images = [one.spread_images for one in within if one.spread_images is not None]
    return _Bars(
        change=ColourBar.of([values for one in within for values in one.change], signed=True),
        spread=ColourBar.of([values for one in within for values in one.spread_starts] + over_images, signed=False),
    )


def _names(traces: Traces) -> dict[int, str]:
    return {
        int(row): str(image)
        for frame in traces.frames.values()
        for row, image in zip(frame["row"], frame["image"], strict=True)
    }


def _ordinal(count: int) -> str:
    return {2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(count, f"{count}th")


def _images(
    chosen: Sequence[tuple[AttackStability, int]], maps: Mapping[str, Maps], bars: _Bars, names: Mapping[int, str]
) -> list[dict[str, Any]]:
    """Each image once: its name, its picture, and the maps of the attacks."""
    images: dict[int, dict[str, Any]] = {}
    for one, place in chosen:
        mine = maps[one.attack]
        row = mine.rows[place]
        image = images.setdefault(
            row, {"row": row, "name": names.get(row), "clean": clean(mine.shown[place]), "attacks": []}
        )
        image["attacks"].append({"attack": one.attack, "pictures": _pictures(mine, place, bars)})
    return [images[row] for row in sorted(images)]


def _pictures(maps: Maps, place: int, bars: _Bars) -> list[dict[str, str]]:
    """The change, and its spread over starts if they differ."""
    pictures, spread = [_map("change", maps.change[place], bars.change)], maps.spread_starts[place]
    if np.isfinite(spread).any():
        pictures.append(_map("spread over starts", spread, bars.spread))
    return pictures


def _over_images(
    traced: Sequence[AttackStability], shown: Mapping[str, Maps], bars: _Bars
) -> list[tuple[str, dict[str, str]]]:
    """The maps over all images."""
    found = ((one.attack, shown[one.attack].spread_images) for one in traced if one.attack in shown)
    return [(attack, _map("spread over images", values, bars.spread)) for attack, values in found if values is not None]


def _map(caption: str, values: Floats, bar: ColourBar) -> dict[str, str]:
    words = f": mean {np.nanmean(np.abs(values)):.3g}, at most {np.nanmax(np.abs(values)):.3g}"
    return {"caption": caption, "data": bar.picture(values), "words": words}
