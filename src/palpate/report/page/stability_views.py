"""The section on stability: sentences, drawings, maps and the heads of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from palpate.metrics.panel import Floats
from palpate.metrics.stability_run import tables
from palpate.report.compute.stability.traces import Traces, read_traces
from palpate.report.compute.stability.words import sentence, still
from palpate.report.draw.stability import KL, TERMS, decades, disagreement, legend, plane, terms
from palpate.report.model.description import TracedItem
from palpate.report.model.schema import Results
from palpate.report.model.schema_stability import AttackStability, Course
from palpate.report.model.words import percent, ratio
from palpate.report.page.stability_gallery import drawn_maps
from palpate.storage.frames import Frame
from palpate.storage.runs import RunFolder

ALONG = (
    ("cos_step", "successive steps", "cosine, 1 is straight", "ratio"),
    ("cos_final_half", "direction at half the steps", "cosine to the final change", "ratio"),
    ("falling", "steps that near", "the final answer", "percent"),
    ("half_time", "halved after", "share of the steps", "percent"),
    ("smoothed_end", "smoothed, at the end", "over its peak", "ratio"),
    ("plane_share", "in the plane", "of the final change", "percent"),
)
"""Figures along the run: name, head, explanation, format."""
ACROSS = (
    ("restarts", "differing", "starts differ", "images where only some win", "percent"),
    ("restarts", "change", "change over starts", "spread at a pixel, in eps", "ratio"),
    ("images", "success", "beaten", "success rate", "percent"),
    ("images", "drop", "drop", "of the score, mean", "ratio"),
    ("images", "spread", "spread of the drop", "standard deviation", "ratio"),
)
"""Figures from start to start and from image to image: kind, name, head, explanation, format."""


def written(value: float, how: str, bare: bool = False) -> str:
    """A figure in its table: a percentage or a coefficient."""
    if how == "ratio":
        return ratio(value)
    return percent(min(value, 1.0)).removesuffix("%" if bare else "")


def pieces(run: RunFolder, results: Results, items: Sequence[TracedItem], *, names: bool = False) -> dict[str, Any]:
    """The values that fill the section, in addition to the results.

    Args:
        run: the run folder.
        results: its figures.
        items: the traces that `run.json` names.
        names: show the file names of images.
    """
    attacks, norm = results.stability.attacks, results.threat.norm
    traced = [one for one in attacks if one.state == "traced"]
    filled: dict[str, Any] = {
        "traced": traced,
        "heads": {"along": ALONG, "across": ACROSS},
        "described": [(one, sentence(one, norm, say_still=False)) for one in attacks],
        "still": still(attacks),
        "drawn": {},
    }
    return {**filled, "drawn": _drawn(read_traces(run, items), results, traced, names)} if traced else filled


def _drawn(traces: Traces, results: Results, traced: Sequence[AttackStability], names: bool) -> dict[str, Any]:
    shown = KL if results.stability.smoothed else KL[:2]
    span, stabilised = decades(traced), [one for one in traced if one.weight]
    return {
        "kl_legend": legend(shown),
        "disagreement": [
            (one, Markup(disagreement(one, span, f"disagreement-{place}"))) for place, one in enumerate(traced)
        ],
        "terms_legend": legend(TERMS),
        "terms": [(one, Markup(terms(one, f"terms-{place}"))) for place, one in enumerate(stabilised)],
        "plane": _planes(traces, traced),
        **drawn_maps(traces, results, traced, names=names),
    }


def _planes(traces: Traces, traced: Sequence[AttackStability]) -> list[tuple[AttackStability, Markup, str]]:
    images = sorted({course.row for one in traced for course in one.courses})
    paths = [_paths(traces.frames[one.attack], images) for one in traced]
    drawn = np.concatenate([np.zeros(0), *(axis for some in paths for _, *axes in some for axis in axes)])
    drawn = drawn[np.isfinite(drawn)]  # a model that returned NaN has steps without length
    reach = (float(drawn.min(initial=0.0)), float(drawn.max(initial=1.0)))
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
    """The share of the final changes that their planes hold, in words."""
    shares = sorted(min(one.share, 1.0) for one in courses if one.share is not None)
    if not shares:
        return "it did not change the image"
    low, high = (f"{100 * share:.0f}%" for share in (shares[0], shares[-1]))
    return f"the plane holds {low}" if low == high else f"the planes hold {low.removesuffix('%')} to {high}"
