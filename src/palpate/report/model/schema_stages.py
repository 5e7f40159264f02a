"""The part of `results.json` about attacks of several stages."""

from __future__ import annotations

from palpate.report.model.typed import JsonObject, Number, Text


class StageResult(JsonObject):
    """One stage at one budget."""

    stage: Text
    came: int
    """Eligible images that it attacked: those that the stages before it could not beat."""
    won: int
    """Images whose adversarial image at this budget it found."""
    passes: int
    """Forward plus backward passes, one image each."""
    share: Number
    """Its part of the passes of all stages at this budget; null if there was none."""


class StagePoint(JsonObject):
    """All stages at one budget."""

    eps: float
    """Budget in stored values."""
    came: int
    """Eligible images that were attacked at this budget."""
    carried: int
    """Beaten images that were not attacked at this budget, because another budget decided them."""
    passes: int
    """Forward plus backward passes of all stages."""
    stages: list[StageResult]
    """One entry per stage, in their order."""
