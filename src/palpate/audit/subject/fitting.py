"""Whether the budgets, channels and lattice of a plan fit the files of the images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from palpate.data.formats.scan import Header
from palpate.errors import InputError
from palpate.threats.lattice import steps_of_least

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

_SLACK = 1e-6


def require_lattice(plan: Plan, headers: Sequence[Header], names: Sequence[str]) -> None:
    """Refuse a lattice that the files do not have, and budgets below its smallest step.

    Raises:
        InputError: an image stores floating point, or the smallest budget is below the smallest change that it stores.
    """
    threat = plan.threat
    if not threat.lattice:
        return
    share = max(threat.channels, default=1.0)
    for header, name in zip(headers, names, strict=True):
        if header.step is None:
            raise InputError(
                f"threat.lattice: {name} stores floating point ({header.dtype}), which has no stored steps. Remove "
                "lattice, or audit files that store whole numbers."
            )
        tied = header.shape[0] if threat.tied else 1
        steps = steps_of_least(threat.norm, tied, share)
        if plan.radii[0] < header.step * steps * (1 - _SLACK):
            where = f" in {tied} tied channels" if tied > 1 else ""
            where += f" at a share of {share:g}" if share < 1 else ""
            needs = "is" if steps == 1 else f"needs {threat.norm}"
            raise InputError(
                f"threat.eps: {plan.radii[0]:g} is less than one stored step of {name}{where}, which {needs} "
                f"{header.step * steps:g}: stored numbers cannot differ by so little, so such a change is lost when "
                f"the file is saved. Give {_amount(header.step, steps)} or more, or remove threat.lattice."
            )


def require_channels(plan: Plan, headers: Sequence[Header], names: Sequence[str]) -> None:
    """Refuse shares of the budget for another number of channels than the images have; raises InputError."""
    shares = plan.threat.channels
    for header, name in zip(headers, names, strict=True):
        if shares and len(shares) != header.shape[0]:
            has = "1 channel" if header.shape[0] == 1 else f"{header.shape[0]} channels"
            raise InputError(f"threat.channels: {len(shares)} shares, and {name} has {has}. Give one per channel.")


def _amount(step: float, steps: float) -> str:
    return '"1 stored step"' if steps == 1 else f"{math.ceil(step * steps * 1000) / 1000:g}"
