"""The part of `results.json` about how far the figures can be trusted."""

from __future__ import annotations

from typing import Literal

from palpate.report.model.typed import JsonObject, Text


class Check(JsonObject):
    """The result of one check."""

    level: Literal["pass", "note", "warning", "failure"]
    subject: Text
    text: Text


class IndicatorResult(JsonObject):
    """One sign that the attacks of a goal failed."""

    name: Text
    """Such as `Silent success`, `Incomplete optimisation`, `Transfer failure`, `Unconstrained failure`."""
    sign: Literal["fired", "doubt"]
    """`doubt`: too few images show it to be sure."""
    text: Text
    """What was seen."""
    fix: Text
    """What to change in the plan."""


class GoalJudgement(JsonObject):
    """The two judgements of the figures of one goal."""

    goal: Text
    quality: Literal["high", "medium", "not known", "low"]
    """Could these attacks have missed something? `high`: everything that was tried says no. `not known`: no probe and
    no attack of another kind tried the same images."""
    quality_reasons: list[Text]
    indicators: list[IndicatorResult]
    """The signs that attacks failed; empty if none was seen."""
    precision: Literal["high", "medium", "low"]
    """How wide are the 95% intervals? `high`: at most 10 points; `low`: above 20."""
    precision_reasons: list[Text]


class Validity(JsonObject):
    """How far the figures can be trusted; this is not about how robust the model is."""

    grade: Literal["A", "B", "C"]
    """Deprecated, and not shown: the letter of earlier versions, from the levels of the checks alone."""
    reason: Text
    """Deprecated: that of the letter."""
    goals: list[GoalJudgement]
    """One entry per goal, in the order of the plan."""
    checks: list[Check]
    """What the health checks found in the records, then what the audit itself noticed."""
