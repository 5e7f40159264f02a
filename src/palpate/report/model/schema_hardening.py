"""Whether the word *hardened* may be used for a model, as plain data: checks, and the price."""

from __future__ import annotations

from typing import Literal

from palpate.report.model.typed import JsonObject, Number, Text

State = Literal["passed", "not shown", "refused", "not measured"]
"""`not shown`: the estimate is as it should be, and its interval also holds what should not be."""


class HardeningCheck(JsonObject):
    """One condition of the word."""

    name: Text
    state: State
    sentence: Text
    """What was seen, with its numbers, or what is missing."""
    figures: dict[Text, Number]
    """The numbers of the sentence."""


class PriceRow(JsonObject):
    """One figure that hardening changed besides the one that it was for."""

    name: Text
    """`clean accuracy`, `clean accuracy of class pneumonia`, `small lesion` ..."""
    sentence: Text
    before: Number
    after: Number
    change: Number
    low: Number
    high: Number
    worse: bool
    """Whether a loss is established: its p, adjusted over the prices of one kind, is below 0.05."""


class HardeningVerdict(JsonObject):
    """Whether the word may be used, why, and what it cost."""

    word: bool
    """No check refuses it, and each was measured. A check that is `not shown` is a reservation, which the sentence
    names."""
    sentence: Text
    eps: Number
    """The budget that was judged, in values."""
    checks: list[HardeningCheck]
    price: list[PriceRow]
