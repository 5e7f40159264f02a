"""`[quality]` of a plan: short attacks of other kinds look for what the plan's attacks missed."""

from __future__ import annotations

from pydantic import Field

from palpate.audit.plan.sections.base import Section


class QualitySection(Section):
    """`[quality]`: how many images are probed for each goal. No record of an attack depends on it."""

    images: int = Field(default=8, ge=0, le=1000, examples=["images = 8"])
    """Images that no attack of the goal beat, from all classes in turn, which are attacked again at the end: with more
    steps and starts, a blurred surrogate, estimated gradients, a gradient-free search, and a large radius. 0
    switches this off; then the quality of attacks is not known, or at most medium. A service behind `model.endpoint` is
    probed only if the plan has this table, because each image costs about 600 queries."""
    share: float = Field(default=0.25, gt=0, examples=["share = 0.25"])
    """The probes of a goal may spend at most this share of the forward and backward passes that its attacks spent,
    and fewer images are probed after cheap attacks; but 2 images are probed whatever that costs. With fewer than 4, the
    quality of attacks is at most medium, and the report says which share probes 4."""
