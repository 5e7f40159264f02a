"""The settings of a certificate, a value without tensors."""

from __future__ import annotations

from dataclasses import dataclass

from palpate.certificates.bounds import certified_radius, fewest_draws, largest_radius, lower_bound
from palpate.errors import InputError

MULTIPLES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
"""The radii of a plan that names none, as multiples of sigma. The last is more than 1000 samples can certify, so that
an attack can show more than the certificate."""


@dataclass(frozen=True)
class Settings:
    """How a smoothed model is certified and attacked.

    Attributes:
        sigma: standard deviation of the noise in stored values.
        samples: noisy copies that estimate the probability of a decision.
        select: noisy copies that choose the decision.
        confidence: of each certificate, between 0 and 1.
        radii: L2 radii in stored values, above 0, at which bounds are computed; multiples of sigma by default.
        tau: for masks: a pixel is certified at sigma * Phi^-1(tau); this radius is added to the radii.
        attack: whether the smoothed model is attacked at the same radii.
        steps: gradient steps of that attack.
        draws: noisy copies of each of its steps.

    Raises:
        InputError: a number out of its range, or too few samples to certify anything at any of the radii.
    """

    sigma: float
    samples: int = 1000
    select: int = 100
    confidence: float = 0.999
    radii: tuple[float, ...] = ()
    tau: float = 0.75
    attack: bool = True
    steps: int = 20
    draws: int = 16

    def __post_init__(self) -> None:
        if not 0 < self.sigma < float("inf"):
            raise InputError(f"sigma: {self.sigma:g} must be above zero. It is the spread of the noise.")
        for name in ("samples", "select", "steps", "draws"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: {getattr(self, name)} must be at least 1.")
        if not 0 < self.confidence < 1:
            raise InputError(f"confidence: {self.confidence:g} must be between 0 and 1, both excluded, such as 0.999.")
        if not 0.5 < self.tau < 1:
            raise InputError(f"tau: {self.tau:g} must be between 0.5 and 1, both excluded, such as 0.75.")
        self.require_possible()

    @property
    def alpha(self) -> float:
        """1 minus the confidence."""
        # Rounded, because 1 - 0.999 is not 0.001 in floating point.
        return round(1 - self.confidence, 12)

    @property
    def tau_radius(self) -> float:
        """The radius at which pixels are certified with `tau`."""
        return certified_radius(self.tau, self.sigma)

    def levels(self, *, masks: bool) -> tuple[float, ...]:
        """All radii, rising from 0; for masks with that of `tau`."""
        chosen = self.radii or tuple(multiple * self.sigma for multiple in MULTIPLES)
        return tuple(sorted({0.0, *chosen, *([self.tau_radius] if masks else [])}))

    def require_possible(self, tests: int = 1) -> None:
        """Refuse settings with which nothing can be certified.

        Args:
            tests: decisions of an image that are certified together, such as its pixels.

        Raises:
            InputError: so few samples prove nothing, or a radius is beyond what they can prove.
        """
        if lower_bound(self.samples, self.samples, self.alpha / tests) <= 0.5:
            together = f" for {tests} decisions together" if tests > 1 else ""
            raise InputError(
                f"samples: {self.samples} samples can certify nothing at confidence {self.confidence:g}{together}: the "
                f"largest possible radius is 0. Use at least {fewest_draws(0.5, self.alpha, tests)}."
            )
        largest = largest_radius(self.sigma, self.samples, self.alpha, tests)
        for radius in self.radii:
            if not 0 < radius < float("inf"):
                raise InputError(f"radii: {radius:g} must be above zero. A radius is a distance; remove it.")
        if self.radii and min(self.radii) >= largest:
            raise InputError(
                f"radii: {min(self.radii):g} cannot be certified with {self.samples} samples at confidence "
                f"{self.confidence:g}{f' for {tests} decisions together' if tests > 1 else ''}: the largest possible "
                f"radius is {largest:.4g} ({largest / self.sigma:.3g} times sigma). Use more samples, a larger sigma, "
                "or add a smaller radius."
            )
