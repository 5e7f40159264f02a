"""`[threat]` of a plan: how far an image may be changed, and where."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from palpate.audit.plan.sections.base import Section
from palpate.threats.ball import BALLS, Ball
from palpate.threats.confined import Confined


class ThreatSection(Section):
    """`[threat]`: how far an image may be changed."""

    norm: Literal["linf", "l2", "l1"] = Field(examples=['norm = "linf"'])
    """Largest change of one stored value, Euclidean length of the change, or sum of absolute changes."""
    eps: tuple[int | float | str, ...] = Field(min_length=1, examples=['eps = ["1/255", "2/255"]'])
    """Budgets: a number counts values; `"1/255"` is a fraction of the range, `"0.5%"` a percentage of it, `"0.5% of
    window"` of the model's window; `"5 HU"` values in the images' unit; `"1 stored step"` the size of that step."""
    main: int | float | str | None = Field(default=None, examples=['main = "2/255"'])
    """The budget of the report's first sentence and first figures, one of `eps`; by default the middle one (the
    smaller of two). No record depends on it."""
    lattice: bool = Field(default=False, examples=["lattice = true"])
    """Search only among values that the files can store: saving does not change the images that are found."""
    region: tuple[str, ...] = Field(default=(), examples=['region = ["inside body", "outside text"]'])
    """Where values may change; all conditions must hold. `inside` or `outside`, then `body`, `text` (burnt in), the
    name of an annotated structure, or `column` for the masks of data.region."""
    channels: tuple[float, ...] = Field(default=(), examples=["channels = [1, 1, 0]"])
    """Share of the budget for each channel, from 0 to 1; by default each has the whole budget."""
    tied: bool = False
    """The same change in all channels, for grey images that are stored as RGB."""
    smooth: float = Field(default=0.0, ge=0, examples=["smooth = 2.0"])
    """Only changes that are smoothed by a Gaussian of this width in pixels; 0 allows any."""

    @property
    def confined(self) -> bool:
        """Whether anything but the ball confines a change."""
        return bool(self.lattice or self.region or self.channels or self.tied or self.smooth)

    def build(self, eps: float) -> Ball | Confined:
        """The threat at one budget in values; raises InputError if the fields cannot be used."""
        if not self.confined:
            return BALLS[self.norm](eps)
        region = ", ".join(self.region)
        return Confined(eps, self.norm, self.lattice, region, self.channels, self.tied, self.smooth)
