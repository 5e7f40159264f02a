"""Problems of `[threat]`: budgets, and what confines a change, as far as a plan shows without its images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate.audit.plan.problems import Problem
from palpate.audit.plan.regions import COLUMN, parted
from palpate.audit.plan.sections.tasks import SegmentationSection
from palpate.audit.plan.toml_lines import Key
from palpate.errors import InputError
from palpate.threats.confined import MOST_SMOOTH
from palpate.units import radius

if TYPE_CHECKING:
    from palpate.audit.plan.fields import PlanFields
    from palpate.audit.plan.sections.threat import ThreatSection


def threat_problems(plan: PlanFields) -> Iterator[Problem]:
    """All contradictions of `[threat]`."""
    yield from _budgets(plan)
    yield from _regions(plan)
    yield from _channels(plan.threat)


def _budgets(plan: PlanFields) -> Iterator[Problem]:
    low, high = plan.model.bounds
    budgets: dict[Key, float | str] = {("threat", "eps", place): eps for place, eps in enumerate(plan.threat.eps)}
    if plan.harden is not None and plan.harden.eps is not None:
        budgets["harden", "eps"] = plan.harden.eps
    for key, written in budgets.items():
        try:
            eps = radius(written, plan.scale)
        except ValueError as error:
            yield key, f"{error}."
            continue
        shown = f"{written!r}" if isinstance(written, str) else f"{written:g}"
        if not 0 < eps < math.inf:
            yield key, f"{shown} must be above zero. Budgets are distances; remove it."
        elif plan.threat.norm == "linf" and eps > high - low:
            yield (
                key,
                f"{shown} is wider than the whole range {low:g} to {high:g} of stored values. "
                f'A number counts stored values; a fraction of the range is written "{_fraction(eps, high - low)}".',
            )


def _fraction(eps: float, extent: float) -> str:
    """What is probably meant: eps 8 of images from 0 to 1 is 8/255."""
    return f"{eps:g}/255" if extent <= 2 and eps <= 255 and eps == round(eps) else "1/255"


def _regions(plan: PlanFields) -> Iterator[Problem]:
    """What is wrong with `threat.region`, before an image is read."""
    structures = plan.task.names if isinstance(plan.task, SegmentationSection) else ()
    seen: dict[str, str] = {}
    for place, words in enumerate(plan.threat.region):
        key = ("threat", "region", place)
        try:
            side, name = parted(words, structures)
        except InputError as error:
            yield key, str(error)
            continue
        if name == COLUMN and plan.data.region is None:
            yield key, 'no column of masks is named. Add data.region = "..." and the name of the column.'
        if name in seen:
            where = "twice" if seen[name] == side else "as inside and as outside, so that no place is left"
            yield key, f"'{name}' is listed {where}. Keep one of them."
        seen[name] = side


def _channels(threat: ThreatSection) -> Iterator[Problem]:
    for place, share in enumerate(threat.channels):
        if not 0 <= share <= 1:
            yield ("threat", "channels", place), f"{share:g} must be a share of the budget from 0 to 1."
    if threat.channels and not any(threat.channels):
        yield ("threat", "channels"), "no channel may change. Give one of them a share above 0."
    if threat.tied and len(set(threat.channels)) > 1:
        yield ("threat", "channels"), "tied channels get the same change, but these have different shares. Remove one."
    if not threat.smooth <= MOST_SMOOTH:
        text = f"{threat.smooth:g} must be a width in pixels, at most {MOST_SMOOTH:g}. For example: smooth = 2.0."
        yield ("threat", "smooth"), text
