"""What the page shows of stability: drawings, maps and the heads of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from palpate.metrics.panel import Floats
from palpate.report.description import TracedItem
from palpate.report.schema import Results
from palpate.report.schema_stability import AttackStability, Course
from palpate.report.stability import known, of_attack, tables
from palpate.report.stability_figures import KL, TERMS, decades, disagreement, legend, plane, terms
from palpate.report.stability_maps import SHOWN, SIDE, Bar, Maps, clean, read_maps
from palpate.report.words import NOTHING, percent, ratio
from palpate.runs import Frame, RunFolder

ALONG = (
    ("cos_step", "successive steps", "cosine, 1 straight on", "ratio"),
    ("cos_final_half", "heading at half the steps", "cosine to the final change", "ratio"),
    ("falling", "steps that near", "the final answer", "percent"),
    ("half_time", "halved after", "share of the steps", "percent"),
    ("smoothed_end", "smoothed, at the end", "over its peak", "ratio"),
    ("plane_share", "in the plane", "of the final change", "percent"),
)
"""Figures along the run: name, head, what it is, how it is written."""
ACROSS = (
    ("restarts", "differing", "starts differ", "images where only some win", "percent"),
    ("restarts", "change", "change over starts", "spread at a pixel, in eps", "ratio"),
    ("images", "success", "beaten", "success rate", "percent"),
    ("images", "drop", "drop", "of the score, mean", "ratio"),
    ("images", "spread", "spread of the drop", "standard deviation", "ratio"),
)
"""Figures from start to start and from image to image: kind, name, head, what it is, how it is written."""


def written(value: float, how: str, bare: bool = False) -> str:
    """A figure in its table: a percentage or a coefficient."""
    if how == "ratio":
        return ratio(value)
    return percent(min(value, 1.0)).removesuffix("%" if bare else "")


def pieces(run: RunFolder, results: Results, items: Sequence[TracedItem]) -> dict[str, Any]:
    """What the section is filled with, beside the results."""
    traced = [one for one in results.stability.attacks if one.state == "traced"]
    heads = {"along": ALONG, "across": ACROSS}
    if not traced:
        return {"traced": [], "drawn": {}, "heads": heads}
    return {"traced": traced, "heads": heads, "drawn": _drawn(run, results, traced, items)}


def _drawn(
    run: RunFolder, results: Results, traced: Sequence[AttackStability], items: Sequence[TracedItem]
) -> dict[str, Any]:
    names = KL if results.stability.smoothed else KL[:2]
    span, stabilised = decades(traced), [one for one in traced if one.weight]
    return {
        "kl_legend": legend(names),
        "disagreement": [
            (one, Markup(disagreement(one, span, f"disagreement-{place}"))) for place, one in enumerate(traced)
        ],
        "terms_legend": legend(TERMS),
        "terms": [(one, Markup(terms(one, f"terms-{place}"))) for place, one in enumerate(stabilised)],
        "plane": _planes(run, traced),
        **_maps(run, results, traced, items),
    }


def _planes(run: RunFolder, traced: Sequence[AttackStability]) -> list[tuple[AttackStability, Markup, str]]:
    frame = known(run.traces())
    images = sorted({course.row for one in traced for course in one.courses})
    paths = [_paths(of_attack(frame, one.attack), images) for one in traced]
    drawn = [axis for some in paths for _, *axes in some for axis in axes]
    reach = (
        min((float(np.nanmin(one)) for one in drawn), default=0.0),
        max((float(np.nanmax(one)) for one in drawn), default=1.0),
    )
    return [
        (one, Markup(plane(one, some, reach, f"plane-{place}")), held(one.courses))
        for place, (one, some) in enumerate(zip(traced, paths, strict=True))
    ]


def _paths(mine: Frame, images: Sequence[int]) -> list[tuple[int, Floats, Floats]]:
    found = tables(mine, ("plane_x", "plane_y", "l2"))
    paths = []
    for place, row in enumerate(np.unique(mine["row"])):
        for start in range(found["l2"].shape[1]):
            length = found["l2"][place, start, -1]
            if length > 0:
                xs, ys = (found[axis][place, start] / length for axis in ("plane_x", "plane_y"))
                paths.append((images.index(int(row)), xs, ys))
    return paths


def held(courses: Sequence[Course]) -> str:
    """Which share of the final changes their planes hold, in words."""
    shares = sorted(min(one.share, 1.0) for one in courses if one.share is not None)
    if not shares:
        return "it did not move"
    low, high = (f"{100 * share:.0f}%" for share in (shares[0], shares[-1]))
    return f"the plane holds {low}" if low == high else f"the planes hold {low.removesuffix('%')} to {high}"


def _maps(
    run: RunFolder, results: Results, traced: Sequence[AttackStability], items: Sequence[TracedItem]
) -> dict[str, Any]:
    identities = {item.attack: item.identity for item in items}
    maps = {one.attack: read_maps(run, identities[one.attack]) for one in traced}
    each = max(1, min(2, SHOWN // len(traced)))
    chosen = [(one, place) for one in traced for place in range(min(each, len(maps[one.attack].rows)))][:SHOWN]
    shown = [maps[one.attack] for one, _ in chosen]
    # A change beyond the budget would leave the others without colour.
    beyond = {attack.name for attack in results.attacks if attack.outside_budget}
    within = [maps[one.attack] for one, _ in chosen if one.attack not in beyond] or shown
    change = Bar.of([values for one in within for values in one.change], signed=True)
    over_images = [one.spread_images for one in within if one.spread_images is not None]
    spread = Bar.of([values for one in within for values in one.spread_starts] + over_images, signed=False)
    unit, total = results.data.unit, sum(len(one.rows) for one in maps.values())
    longest = max((max(values.shape) for one in shown for values in one.change), default=0)
    return {
        "maps": [_row(one, maps[one.attack], place, change, spread) for one, place in chosen],
        "all_maps": total,
        "fewer": len(chosen) < total,
        "beyond": [one.attack for one in traced if one.attack in beyond and within is not shown],
        "thinned": _ordinal(-(-longest // SIDE)) if longest > SIDE else "",
        "bars": [{"name": "change", **change.shown(unit)}, {"name": "spread", **spread.shown(unit)}],
    }


def _ordinal(count: int) -> str:
    return {2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(count, f"{count}th")


def _row(one: AttackStability, maps: Maps, place: int, change: Bar, spread: Bar) -> dict[str, Any]:
    starts = "draws nothing: every start is the same" if not one.draws else "one start"
    images = "one image" if len(maps.rows) == 1 else "images differ in shape"
    over = maps.spread_starts[place] if np.isfinite(maps.spread_starts[place]).any() else None
    pictures = [
        {"caption": "clean image", "data": clean(maps.shown[place]), "words": ""},
        _map("change", maps.change[place], change, ""),
        _map("spread over starts", over, spread, starts),
        _map(
            "spread over images", maps.spread_images if not place else None, spread, images if not place else "as above"
        ),
    ]
    height, width = maps.change[place].shape
    return {"attack": one.attack, "row": maps.rows[place], "pictures": pictures, "aspect": f"{width / height:.4g}"}


def _map(caption: str, values: Floats | None, bar: Bar, why: str) -> dict[str, str]:
    if values is None:
        return {"caption": caption, "data": "", "words": "", "why": why or NOTHING}
    words = f": mean {np.nanmean(np.abs(values)):.3g}, at most {np.nanmax(np.abs(values)):.3g}"
    return {"caption": caption, "data": bar.picture(values), "words": words, "why": ""}
