"""`[certificates]` of a plan: what is certain about the smoothed model, beside what attacks on it reach."""

from __future__ import annotations

from pydantic import Field

from palpate.audit.plan.sections.base import Section

Size = int | float | str


class CertificatesSection(Section):
    """`[certificates]`: what is certain about the smoothed model, beside what attacks on it reach.

    For each sigma an image costs `select + samples` forward passes, and its attack at each radius `steps * draws`
    forward and backward passes and `samples` forward passes.
    """

    sigma: Size | tuple[Size, ...] = Field(default=(), examples=["sigma = [12.5]", 'sigma = "12.5 HU"'])
    """Standard deviation of the noise, or several; written as `threat.eps`. By default that of a smoothing defence of
    the model, if it is the outermost one."""
    samples: int = 1000
    """Noisy copies of each image that say how probable a decision is. More of them certify larger radii."""
    select: int = 100
    """Other noisy copies, which choose the decision."""
    confidence: float = 0.999
    """Of each certificate."""
    images: int = Field(default=32, ge=1, examples=["images = 100"])
    """Images that are certified: so many, from all classes in turn."""
    radii: tuple[Size, ...] = Field(default=(), examples=['radii = ["10 HU", "20 HU"]'])
    """L2 lengths of the change at which bounds are given; written as `threat.eps`. By default 0.25, 0.5, 1, 1.5, 2 and
    3 times sigma. With 1000 samples none beyond 2.46 times sigma can be certified, but attacked."""
    tau: float = 0.75
    """For masks: a pixel is certified if its class has more than this probability, within sigma * Phi^-1(tau). That
    radius is added to `radii`."""
    attack: bool = True
    """Attack the smoothed model at the same radii. False gives lower bounds only."""
    steps: int = 20
    """Gradient steps of that attack at each radius."""
    draws: int = 16
    """Noisy copies of each of its steps."""

    @property
    def sigmas(self) -> tuple[Size, ...]:
        """As written, always a list."""
        return self.sigma if isinstance(self.sigma, tuple) else (self.sigma,)
