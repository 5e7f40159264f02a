"""`[stability]` of a plan: the way that attacks take is traced on some images."""

from __future__ import annotations

from pydantic import Field

from palpate.audit.plan.sections.base import Section


class StabilitySection(Section):
    """`[stability]`: how many images are traced, and how often. No record of an attack depends on it."""

    images: int = Field(default=4, ge=0, le=1000, examples=["images = 4"])
    """Images that each attack is traced on, step by step: the first that it can win, from all classes in turn. 0
    switches the traces off. An attack's trace costs images x starts x steps x passes of a step."""
    starts: int = Field(default=3, ge=1, le=100, examples=["starts = 3"])
    """Independent starts of each image, for attacks that draw random numbers; the others are alike every time and are
    traced once."""
    smoothed: bool = True
    """Compare the output for each image on the way with that for its smoothed step: one forward pass a step more."""
