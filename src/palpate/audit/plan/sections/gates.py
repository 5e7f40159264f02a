"""`[[gates]]` of a plan: limits that the model must meet."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from palpate.audit.plan.sections.base import Section

ANY, CLEAN = "any", "none"
"""What a gate names instead of an attack: the worst case over all attacks, and the clean images."""

Metric = Literal[
    "clean_accuracy",
    "robust_accuracy",
    "success_rate",
    "missed_disease",
    "invented_disease",
    "sensitivity",
    "specificity",
    "kappa",
    "clean_score",
    "score",
]


class GateSection(Section):
    """`[[gates]]`: a limit that the model must meet; the exit status of the audit says whether it does."""

    metric: Metric = Field(examples=['metric = "robust_accuracy"'])
    """The figure."""
    attack: str = "any"
    """The name of an attack of the plan, `any` for the worst case over all attacks (of each image the worst result), or
    `none` for the clean images."""
    eps: int | float | str | None = Field(default=None, examples=['eps = "1/255"'])
    """Budget, one of `threat.eps`; not for clean figures."""
    artefact: str | None = Field(default=None, examples=['artefact = "metal"'])
    """The name of an artefact of the plan, in place of an attack."""
    severity: int | None = Field(default=None, ge=1, le=5, examples=["severity = 3"])
    """With `artefact`: the mean over its random draws at this severity."""
    worst: bool = Field(default=False, examples=["worst = true"])
    """With `artefact`: the worst that its search found for each image."""
    at_least: float | None = Field(default=None, examples=["at_least = 0.5"])
    """Passed if the figure is this or more."""
    at_most: float | None = Field(default=None, examples=["at_most = 0.1"])
    """Passed if the figure is this or less."""
