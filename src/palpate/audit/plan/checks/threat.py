"""What `[threat]` must be: budgets, and what confines a change, as far as a plan can tell without its images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate.audit.plan.checks.problems import Problem
from palpate.audit.plan.regions import region_problems
from palpate.threats.confined import MOST_SMOOTH
from palpate.units import radius

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan
    from palpate.audit.plan.sections.threat import ThreatSection


def threat_problems(plan: Plan) -> Iterator[Problem]:
    """All contradictions of `[threat]`."""
    yield from _budgets(plan)
    yield from region_problems(plan)
    yield from _channels(plan.threat)


def _budgets(plan: Plan) -> Iterator[Problem]:
    low, high = plan.model.bounds
    for place, written in enumerate(plan.threat.eps):
        key = ("threat", "eps", place)
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
                f'A number counts stored values; a fraction of the range is written "1/255".',
            )


def _channels(threat: ThreatSection) -> Iterator[Problem]:
    for place, share in enumerate(threat.channels):
        if not 0 <= share <= 1:
            yield ("threat", "channels", place), f"{share:g} must be a share of the budget from 0 to 1."
    if threat.channels and not any(threat.channels):
        yield ("threat", "channels"), "no channel may change. Give one of them a share above 0."
    if threat.tied and len(set(threat.channels)) > 1:
        yield ("threat", "channels"), "tied channels change alike, and these have different shares. Remove one."
    if not threat.smooth <= MOST_SMOOTH:
        text = f"{threat.smooth:g} must be a width in pixels, at most {MOST_SMOOTH:g}. For example: smooth = 2.0."
        yield ("threat", "smooth"), text
