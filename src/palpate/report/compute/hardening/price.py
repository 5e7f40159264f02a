"""What a hardening cost: every loss and gain besides robust accuracy, with small structures and artefacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from palpate.report.compute.compare.gates import place_in_words
from palpate.report.compute.compare.listing import CLEAN
from palpate.report.compute.compare.sentences import delta_in_words
from palpate.report.model.schema_compare import Change
from palpate.report.model.schema_hardening import PriceRow

_ARTEFACTS = frozenset({"worst found", "all severities"})


def price_of(changes: Sequence[Change], eps: float | None) -> tuple[PriceRow, ...]:
    """The price, in the order of its importance.

    Args:
        changes: all figures of before and after, with adjusted p-values.
        eps: the budget that was judged.
    """
    return tuple(_row(one) for one in _chosen(changes, eps))


def _chosen(changes: Sequence[Change], eps: float | None) -> Iterator[Change]:
    """Clean figures; per class, subgroup and size also those at the budget; the worst artefacts."""
    for section in ("result", "classes", "parts", "sizes", "subgroups", "clinical", "grading", "artefacts"):
        for one in changes:
            if one.section != section:
                continue
            clean = one.under == CLEAN
            attacked = one.eps is not None and one.eps == eps and section in {"classes", "sizes", "subgroups"}
            if clean or attacked or (section == "artefacts" and one.how in _ARTEFACTS):
                yield one


def _row(change: Change) -> PriceRow:
    return PriceRow(
        name=place_in_words(change),
        sentence=f"{place_in_words(change)}: {delta_in_words(change)}",
        before=change.first.value,
        after=change.second.value,
        change=change.difference.value,
        low=change.difference.low,
        high=change.difference.high,
        worse=change.reading == "worse",
    )
