"""The verdict of a hardening: checks that passed, are not shown, refuse the word or were not measured; the price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

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
        state: `passed`; `not shown`, a reservation; `refused` or `not measured`, which prevent the word.
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
        word: no check refuses it, and each was measured.
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
    def doubted(self) -> tuple[Check, ...]:
        """The checks that too few images leave open."""
        return tuple(one for one in self.reasons if one.state == "not shown")

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
    named = {state: [one.name for one in reasons if one.state == state] for state in get_args(State)}
    word = bool(reasons) and not named["refused"] and not named["not measured"]
    where = f" at eps {written}" if written else ""
    if word and not named["not shown"]:
        sentence = f"The word hardened may be used{where}: all {len(reasons)} checks passed."
    elif word:
        passed = f"{len(named['passed'])} of {len(reasons)} checks passed"
        sentence = (
            f"The word hardened may be used{where}, with a reservation: {passed}; not shown: "
            f"{', '.join(named['not shown'])}."
        )
    else:
        said = {"refused by": named["refused"], **{state: named[state] for state in ("not measured", "not shown")}}
        against = [f"{how}: {', '.join(names)}" for how, names in said.items() if names]
        sentence = f"The word hardened may not be used{where}; {'; '.join(against)}."
    return Verdict(word, reasons, price, eps, sentence)
