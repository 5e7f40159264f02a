"""The stabilised attack of this package: one change that succeeds as it is and after smoothing."""

from __future__ import annotations

from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives import Margin
from palpate.attacks.steps import Cosine
from palpate.attacks.transforms import Weighted
from palpate.contracts import Threat
from palpate.postprocessing.grids import Blurred
from palpate.units import Scale


def steadfast(
    threat: Threat,
    steps: int = 10,
    sigma: float = 1.0,
    weight: float = 2.0,
    step: float = 2.0,
    run_to_end: bool = False,
) -> Ascent:
    """Lower the margins of the image and of its smoothed version, with steps that get smaller.

        J(x_t) = -( m(f(x_t), y) + weight * m(f(W * x_t), y) ) / (1 + weight)
        x_{t+1} = P(x_t + s_t * steepest(grad J)),   s_t = step * radius * (1 + cos(pi * t / steps)) / 2,   x_0 = x

    with m the task's margin (for masks its gradient is that of soft Dice) and W a Gaussian of `sigma` pixels along
    every spatial axis, through which gradients flow. Blur, JPEG, export and resampling have smoothing in common: what
    passes W survives them. Of the iterates that win without smoothing, the one of lowest mean margin over both is
    returned (`Ascent.robust_to`); every sample runs all steps.

    A step costs two forward and two backward passes. Nothing is random: every run is the same. `robust_to` adds
    further post-processing steps to the mean. docs/explanation/steadfast.md has the reasons, the ablation, and the
    cases in which it does not help.

    Args:
        threat: what the change may be.
        steps: gradient steps.
        sigma: width of the smoothing in pixels.
        weight: how much the smoothed image counts next to the image as it is.
        step: first step in radii; that of APGD by default.
        run_to_end: run all steps; it always does.

    Raises:
        InputError: a width that no smoothing has, a weight that is not above zero, or no steps.
    """
    return Ascent(
        threat,
        steps,
        Margin(),
        step=Cosine(step),
        random_start=False,
        run_to_end=run_to_end,
        # By its name: the smoothing needs the bounds, and a threat does not know them yet.
        robust_to=(Weighted(Blurred(Scale((0.0, 1.0)), sigma).name, weight),),
    )
