"""The changes of all figures between two runs, with p-values adjusted within each section."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from palpate.metrics.differences import difference
from palpate.metrics.pairs import holm
from palpate.report.compute.compare.listing import Listed, Place
from palpate.report.compute.reading import figure_of
from palpate.report.model.schema_compare import Better, Change, Delta, Reading
from palpate.report.model.typed import visible

ESTABLISHED = 0.05
"""A change is called better or worse if its adjusted p is below this, and its interval does not hold 0."""


def changes(first: Mapping[Place, Listed], second: Mapping[Place, Listed]) -> list[Change]:
    """The change of every figure that both runs have, in the order of the first; not yet adjusted."""
    return [
        _change(place, one, second[place])
        for place, one in first.items()
        if place in second and _images(one) == _images(second[place])
    ]


def _images(listed: Listed) -> int:
    """Number of images that a figure could be about: some artefacts and certificates are on a part of them."""
    assert listed.figure.origin is not None
    return int(listed.figure.origin.resampling.group.size)


def _change(place: Place, one: Listed, two: Listed) -> Change:
    assert one.figure.origin is not None and two.figure.origin is not None
    found = difference(one.figure.origin, two.figure.origin)
    change = found.change
    return Change(
        section=place.section,
        figure=place.figure,
        part=place.part,
        by=place.by,
        under=visible(place.under),
        goal=place.goal,
        eps=place.eps,
        how=place.how,
        better=one.better,
        kind=one.kind,
        unit=one.unit,
        first=figure_of(found.first),
        second=figure_of(found.second),
        difference=Delta.model_validate(change, from_attributes=True),
        p=found.p,
        p_holm=None,
        test=found.test,
        left_out=found.left_out,
        gained=found.gained,
        lost=found.lost,
        reading="undefined",
    )


def adjusted(pairs: Sequence[Sequence[Change]]) -> list[list[Change]]:
    """The changes with Holm's adjustment: the tests of a section of all pairs of runs are one family."""
    families: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, found in enumerate(pairs):
        for place, change in enumerate(found):
            if change.p is not None and not math.isnan(change.p):
                families[change.section].append((number, place))
    out = [list(found) for found in pairs]
    for members in families.values():
        for (number, place), p in zip(members, holm([out[n][k].p or 0.0 for n, k in members]), strict=True):
            change = out[number][place]
            update = {"p_holm": p, "reading": reading(change.difference, change.better, p)}
            out[number][place] = change.model_copy(update=update)
    return out


def reading(difference: Delta, better: Better, p_holm: float) -> Reading:
    """What a change means: its direction, if it is established. The word *hardened* and all pages go by this rule."""
    if difference.value is None:
        return "undefined"
    if p_holm >= ESTABLISHED or not _away_from_0(difference):
        return "not established"
    if not better:
        return "changed"
    return "better" if (difference.value > 0) == (better == "higher") else "worse"


def _away_from_0(difference: Delta) -> bool:
    low, high = difference.low, difference.high
    return low is not None and high is not None and (low > 0 or high < 0)
