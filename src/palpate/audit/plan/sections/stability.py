"""`[stability]` of a plan: attacks are traced step by step on some images."""

from __future__ import annotations

from pydantic import Field

from palpate.audit.plan.sections.base import Section


class StabilitySection(Section):
    """`[stability]`: how many images are traced, and how often. No record of an attack depends on it."""

    images: int = Field(default=4, ge=0, le=1000, examples=["images = 4"])
    """Images on which each attack is traced step by step: the first ones that it can win, from all classes in turn. 0
    switches traces off. The trace of an attack costs images x starts x steps x passes of a step. A plan that names
    neither `images` nor `starts` gets fewer after a cheap attack: its trace costs at most about 5 % of its passes, but
    one image is always traced."""
    starts: int = Field(default=3, ge=1, le=100, examples=["starts = 3"])
    """Independent starts of each image, for attacks that draw random numbers. The others give the same result every
    time and are traced once."""
    smoothed: bool = True
    """Compare the output at each step with the output for the smoothed step: one more forward pass per step."""
