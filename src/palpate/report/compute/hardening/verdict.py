"""The verdict of a hardening: checks that passed, refuse the word or were not measured, and the price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from palpate.report.model.schema_hardening import HardeningCheck, HardeningVerdict, PriceRow, State

NEAR_ZERO = 0.1
"""At four times the budget an attack must leave at most this share of the images."""
TIMES = 4.0
"""How many times the budget must bring a model near 0."""
SHARE, COUNT = 0.05, 2
"""An attack finds more than another one if it beats at least 5 % of the images more, and at least two."""
FLOOR = 0.02
"""Largest loss of clean accuracy if nothing else is known."""


@dataclass(frozen=True)
class Check:
    """One condition of the word.

    Attributes:
        name: a few words.
        state: `passed`, `refused` or `not measured`; only `passed` allows the word.
        sentence: what was seen, or what is missing.
        figures: the numbers of the sentence by their names.
    """

    name: str
    state: State
    sentence: str
    figures: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """Whether a model may be called *hardened*.

    Attributes:
        word: every check passed.
        reasons: the checks, in a fixed order.
        price: what else changed: clean, per class, per subgroup, small structures, artefacts.
        eps: the budget that was judged, in values; None if there is none.
        sentence: the verdict in words.
    """

    word: bool
    reasons: tuple[Check, ...]
    price: tuple[PriceRow, ...]
    eps: float | None
    sentence: str

    @property
    def refused(self) -> tuple[Check, ...]:
        """The checks that speak against the word."""
        return tuple(one for one in self.reasons if one.state == "refused")

    @property
    def missing(self) -> tuple[Check, ...]:
        """The checks that were not measured."""
        return tuple(one for one in self.reasons if one.state == "not measured")

    @property
    def stored(self) -> HardeningVerdict:
        """As in `compare.json`."""
        checks = [
            HardeningCheck(name=one.name, state=one.state, sentence=one.sentence, figures=dict(one.figures))
            for one in self.reasons
        ]
        return HardeningVerdict(
            word=self.word, sentence=self.sentence, eps=self.eps, checks=checks, price=list(self.price)
        )


def concluded(reasons: tuple[Check, ...], price: tuple[PriceRow, ...], eps: float | None, written: str) -> Verdict:
    """The verdict that follows from checks.

    Args:
        reasons: the checks.
        price: what else changed.
        eps: the budget that was judged.
        written: that budget in words; empty if there is none.
    """
    refused = [one.name for one in reasons if one.state == "refused"]
    missing = [one.name for one in reasons if one.state == "not measured"]
    word = bool(reasons) and not refused and not missing
    where = f" at eps {written}" if written else ""
    if word:
        sentence = f"The word hardened may be used{where}: all {len(reasons)} checks passed."
    else:
        against = [f"refused by: {', '.join(refused)}"] if refused else []
        against += [f"not measured: {', '.join(missing)}"] if missing else []
        sentence = f"The word hardened may not be used{where}; {'; '.join(against)}."
    return Verdict(word, reasons, price, eps, sentence)
