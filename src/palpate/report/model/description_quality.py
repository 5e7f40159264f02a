"""The part of `run.json` about probes of what the attacks may have missed."""

from __future__ import annotations

from pydantic import Field

from palpate.report.model.typed import JsonObject, Names, Number, Text


class ProbeDescription(JsonObject):
    """One probe of a goal: an attack of another kind on images that no attack of the plan beat."""

    probe: Text
    """`more steps`, `more starts`, `noise and one step`, `blurred surrogate` and so on."""
    attack: Text
    """What was run, in words."""
    tried: int
    """Images that it attacked."""
    won: list[int]
    """Positions in the audited table of those that it beat."""
    forwards: int
    backwards: int


class ProbedGoal(JsonObject):
    """The probes of one goal."""

    goal: Text
    eps: float
    """Their budget in stored values."""
    survivors: int
    """Images that no attack of the goal beat at this budget, and that a climb can reach."""
    gradients: bool
    """Whether a gradient attack of the goal ran."""
    spent: int = 0
    """Forward plus backward passes of the goal's attacks; 0 in runs of an earlier palpate, as the next three."""
    each: int = 0
    """Passes that were planned for each image."""
    done: Names = Field(default_factory=list)
    """Probes that were left out because the stages of `by` had done the same on the same images."""
    by: Text = ""
    """An attack of the plan; empty if nothing was left out."""
    probes: list[ProbeDescription]
    """Empty if nothing was left to probe."""
    seconds: Number = None


class Probing(JsonObject):
    """What looked for images that the attacks missed."""

    images: int
    """Images to probe for each goal; 0 if the plan switched this off."""
    share: Number = None
    """The probes may spend this share of the passes of the goal's attacks; null in runs of an earlier palpate."""
    goals: list[ProbedGoal]
