"""`[[gates]]` of a plan: limits that the model must meet."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from palpate.audit.plan.sections.base import Section

ANY, CLEAN = "any", "none"
"""What a gate names instead of an attack: the worst case over all attacks, and the clean images."""
CERTIFIED = ("certified_accuracy", "certified_score")
"""Figures of `[certificates]`."""

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
    "certified_accuracy",
    "certified_score",
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
    radius: int | float | str | None = Field(default=None, examples=["radius = 20"])
    """For certified figures: one of `certificates.radii`, or 0; written as `threat.eps`. `certified_accuracy` is the
    share of images whose result is certified to be right: the class, all findings, or for masks a certified lower bound
    of the score above `task.floor`. `certified_score` is the mean of the lower bounds, for masks and findings."""
    sigma: int | float | str | None = Field(default=None, examples=["sigma = 12.5"])
    """For certified figures: one of `certificates.sigma`; needed if there are several."""
    at_least: float | None = Field(default=None, examples=["at_least = 0.5"])
    """Passed if the figure is this or more."""
    at_most: float | None = Field(default=None, examples=["at_most = 0.1"])
    """Passed if the figure is this or less."""
