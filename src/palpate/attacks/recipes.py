"""Published gradient attacks, each as one setting of `Ascent`. Paper names are used here and nowhere else.

Steps are in radii of the ball, so a recipe means the same in every norm and unit. Iterative attacks default to
2.5 / steps radii, enough to cross the ball and come back; a recipe names its paper's step if that is another one.
"""

from __future__ import annotations

from typing import Literal, get_args

from palpate.attacks.ascent import Ascent
from palpate.attacks.directions import Diversity, Momentum, Nesterov, Translation
from palpate.attacks.noise import RandomNoise
from palpate.attacks.objectives import Deviation, Margin, Smoothed, SparselyStabilised, Stabilised, TrainingLoss
from palpate.attacks.sparse.steps import adaptive
from palpate.attacks.steps import Fixed
from palpate.contracts import Agreement, Threat
from palpate.errors import InputError
from palpate.threats.ball import LinfSteps

Climbed = Literal["task", "training"]


def fixed(step: float | None, steps: int) -> Fixed:
    """Steps of `step` radii; by default of 2.5 / steps, enough to cross the ball and come back."""
    return Fixed(2.5 / max(steps, 1) if step is None else step)


def noise(threat: Threat, tries: int = 10) -> RandomNoise:
    """Random images of the ball; the baseline that every attack must beat."""
    return RandomNoise(threat, tries)


def fgsm(threat: Threat) -> Ascent:
    """One full step along the gradient: x' = P(x + radius * steepest(grad L)).

    Reference: Goodfellow, Shlens, Szegedy, ICLR 2015.
    """
    return Ascent(threat, 1, step=Fixed(1.0), random_start=False)


def bim(threat: Threat, steps: int = 10, step: float | None = None, run_to_end: bool = False) -> Ascent:
    """Projected ascent from the image itself: x_{t+1} = P(x_t + step * steepest(grad L(f(x_t), y))).

    Differs from the paper: its step is 1 / steps radii.
    Reference: Kurakin, Goodfellow, Bengio, ICLR workshop 2017.
    """
    return Ascent(threat, steps, step=fixed(step, steps), random_start=False, run_to_end=run_to_end)


def pgd(
    threat: Threat,
    steps: int = 40,
    step: float | None = None,
    restarts: int = 1,
    run_to_end: bool = False,
    objective: Climbed = "task",
) -> Ascent:
    """BIM from random points of the ball; later restarts attack only what is not beaten.

    `objective = "training"` climbs the losses that a two-stage detector was trained with
    (`palpate.attacks.objectives.TrainingLoss`), instead of the task's own loss.

    Reference: Madry et al., ICLR 2018.
    """
    if objective not in get_args(Climbed):
        raise InputError(f"objective: '{objective}' is not one of {', '.join(get_args(Climbed))}.")
    climbed = TrainingLoss() if objective == "training" else Deviation()
    return Ascent(threat, steps, climbed, step=fixed(step, steps), restarts=restarts, run_to_end=run_to_end)


def mi(
    threat: Threat, steps: int = 10, decay: float = 1.0, step: float | None = None, run_to_end: bool = False
) -> Ascent:
    """BIM with momentum: g_{t+1} = decay * g_t + grad / ||grad||_1.

    Differs from the paper: its step is 1 / steps radii.
    Reference: Dong et al., CVPR 2018.
    """
    return Ascent(
        threat,
        steps,
        directions=(Momentum(decay),),
        step=fixed(step, steps),
        random_start=False,
        run_to_end=run_to_end,
    )


def ni(
    threat: Threat, steps: int = 10, decay: float = 1.0, step: float | None = None, run_to_end: bool = False
) -> Ascent:
    """Momentum whose gradient is taken at x_t + step * decay * g_t; one more forward per step scores x_t itself.

    Differs from the paper: its step is 1 / steps radii.
    Reference: Lin et al., ICLR 2020.
    """
    return Ascent(
        threat,
        steps,
        directions=(Nesterov(decay),),
        step=fixed(step, steps),
        random_start=False,
        run_to_end=run_to_end,
    )


def ti(
    threat: Threat,
    steps: int = 10,
    size: int = 7,
    sigma: float = 1.5,
    step: float | None = None,
    run_to_end: bool = False,
) -> Ascent:
    """BIM along the gradient smoothed by a Gaussian, an average over translated images.

    Differs from the paper: a kernel of 7, not 15, since medical networks see finer detail; a step of 2.5 / steps.
    Reference: Dong et al., CVPR 2019.
    """
    return Ascent(
        threat,
        steps,
        directions=(Translation(size, sigma),),
        step=fixed(step, steps),
        random_start=False,
        run_to_end=run_to_end,
    )


def di(
    threat: Threat,
    steps: int = 10,
    smallest: float = 0.9,
    probability: float = 0.5,
    step: float | None = None,
    run_to_end: bool = False,
) -> Ascent:
    """BIM along gradients of randomly shrunk and shifted images; one more forward per step scores x_t itself.

    Differs from the paper: drawn per image, and filled with the lowest stored value.
    Reference: Xie et al., CVPR 2019.
    """
    return Ascent(
        threat,
        steps,
        directions=(Diversity(smallest, probability),),
        step=fixed(step, steps),
        random_start=False,
        run_to_end=run_to_end,
    )


def apgd_ce(threat: Threat, steps: int = 40, restarts: int = 1, run_to_end: bool = False) -> Ascent:
    """Auto-PGD on the task's loss: the step halves when the ascent stalls.

    In L1 it is L1-APGD: few values change in a step, fewer where few are enough, and wider balls are searched before
    the ball itself (`palpate.attacks.sparse.steps`).

    Reference: Croce and Hein, ICML 2020; in L1: Croce and Hein, ICML 2021.
    """
    return Ascent(threat, steps, step=adaptive(threat), restarts=restarts, run_to_end=run_to_end)


def apgd_margin(
    threat: Threat, steps: int = 40, restarts: int = 1, scaled: bool = False, run_to_end: bool = False
) -> Ascent:
    """Auto-PGD on the margin, which does not saturate, unlike cross-entropy; safe for two and three classes.

    `scaled` divides the margin by the spread of the leading scores (DLR, as published) if there are enough classes
    to form it; otherwise the plain margin is maximised.

    Differs from the paper: not scaled by default. DLR divides by zero with two classes and its targeted form with
    three, and with five it can rise by widening the spread instead of closing the margin: the audit in
    docs/explanation/fundus_dr.md compares both.
    In L1 with the steps and phases of L1-APGD, as `apgd_ce`.
    Reference: Croce and Hein, ICML 2020; in L1: Croce and Hein, ICML 2021.
    """
    return Ascent(
        threat, steps, objective=Margin(scaled=scaled), step=adaptive(threat), restarts=restarts, run_to_end=run_to_end
    )


def smia(
    threat: Threat,
    steps: int = 10,
    weight: float = 0.5,
    smooth: Smoothed = "step",
    agreement: Agreement = "distribution",
    through: bool = False,
    size: int = 3,
    sigma: float = 1.0,
    step: float | None = None,
    run_to_end: bool = False,
    refresh: int = 1,
) -> Ascent:
    """Stabilised medical image attack: move away from the truth while image and smoothed image agree.

        J(x_t) = L(f(x_t), y) - weight * D(f(x_t), f(xs_t)),   x_{t+1} = P(x_t + step * steepest(grad J))

    with xs_t the iterate with its last step, its perturbation or itself smoothed by a symmetric depthwise Gaussian
    (`palpate.attacks.objectives.Stabilised` has the whole family). The defaults are the choice of an ablation on
    validation images (docs/explanation/smia_defaults.md); the authors' file measures agreement by `label`.
    With `refresh` above 1, f(xs_t) is computed only every so many steps, and taken from the line through the outputs
    of the last two iterates in between (`palpate.attacks.objectives.SparselyStabilised`; docs/explanation/speed.md).

    Differs from the authors' published file: the file never projects, switches the term off by default, and its
    kernel is neither centred nor depthwise; `smia_reference` keeps the first two.
    Reference: Qi, Gong, Song, Ma, Zheng, ICLR 2021 (arXiv 2103.05232).
    """
    objective = Stabilised(weight, smooth, agreement, through, size, sigma)
    if refresh != 1:
        objective = SparselyStabilised(weight, smooth, agreement, through, size, sigma, refresh)
    return Ascent(threat, steps, objective, step=fixed(step, steps), random_start=False, run_to_end=run_to_end)


def smia_reference(threat: Threat, steps: int = 10, weight: float = 0.0, run_to_end: bool = False) -> Ascent:
    """The authors' published file with as few repairs as possible: steps of a whole radius, never projected.

    Last-step smoothing, hard labels, and a weight of 0 as published, which switches stabilisation off. The
    distance that is reached is up to `steps` radii and is reported; never compare it with a projected attack at
    "the same eps". Repaired: two undefined names, the clamp without bounds, and the kernel (symmetric, depthwise).
    Reference: the code published with Qi et al., ICLR 2021.
    """
    return Ascent(
        LinfSteps(threat.eps), steps, Stabilised(weight), step=Fixed(1.0), random_start=False, run_to_end=run_to_end
    )
