"""Published attacks on masks, boxes and many labels, each as one setting of `Ascent`; see `palpate.attacks.recipes`.

`reference` says what an attack moves away from: the truth, or the model's own decision for the clean image, which is
all that an attacker without labels has. The verdict, and the choice among the iterates, always use the truth.
"""

from __future__ import annotations

from typing import Literal, get_args

from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives import Own, SoftScore
from palpate.attacks.objectives_pieces import CosPGD, PieceMargin, SegPGD
from palpate.attacks.recipes import fixed
from palpate.attacks.steps import Proportional
from palpate.contracts import Objective, Threat
from palpate.errors import InputError
from palpate.threats.frequency import Frequency

Reference = Literal["truth", "own"]


def against(reference: Reference, objective: Objective) -> Objective:
    """The objective against the truth, or against the model's own clean decision.

    Raises:
        InputError: another reference.
    """
    if reference not in get_args(Reference):
        raise InputError(f"reference: '{reference}' is not one of {', '.join(get_args(Reference))}.")
    return Own(objective) if reference == "own" else objective


def dice_pgd(
    threat: Threat,
    steps: int = 10,
    step: float | None = None,
    random_start: bool = True,
    reference: Reference = "truth",
    run_to_end: bool = False,
) -> Ascent:
    """PGD on the Dice loss: x_{t+1} = P(x_t + step * steepest(-grad softDice(f(x_t), y))).

    It lowers the smooth form of the score by which a segmentation is judged (soft IoU if that is IoU), so no effort
    goes into background pixels that do not change the score, unlike with cross-entropy.

    Reference: the loss is Milletari, Navab, Ahmadi, 3DV 2016; the ascent Madry et al., ICLR 2018.
    """
    return _pgd(threat, against(reference, SoftScore()), steps, step, random_start, run_to_end)


def segpgd(
    threat: Threat,
    steps: int = 10,
    step: float | None = None,
    random_start: bool = True,
    reference: Reference = "truth",
    run_to_end: bool = False,
) -> Ascent:
    """PGD whose cross-entropy weights unbroken pixels first and broken ones later.

        J(x_t) = (1 - lambda_t) * sum_{p unbroken} L_p + lambda_t * sum_{p broken} L_p,   lambda_t = (t - 1) / (2 T)

    each over the number of pixels that count (`palpate.attacks.objectives_pieces.SegPGD`). Also for findings
    and boxes, in 3D, and towards a goal, where a pixel is unbroken until it is as the goal wants it.

    Differs from the paper: its step is 0.01 of the range at a radius of 0.03; a sample that is beaten stops.
    Reference: Gu, Zhao, Tresp, Torr, ECCV 2022.
    """
    return _pgd(threat, against(reference, SegPGD()), steps, step, random_start, run_to_end)


def cospgd(
    threat: Threat,
    steps: int = 10,
    step: float | None = None,
    random_start: bool = True,
    reference: Reference = "truth",
    run_to_end: bool = False,
) -> Ascent:
    """PGD whose loss is weighted, pixel by pixel, by the cosine between the probabilities and the true class.

        J(x_t) = mean_p cos(p_p, onehot(y_p)) * L_p   away from the truth; 1 - cos towards a goal

    No gradient flows through the cosine, as in the authors' published code
    (`palpate.attacks.objectives_pieces.CosPGD`). Also for findings and boxes, and in 3D.

    Differs from the paper: its step is 0.01 of the range at a radius of 8/255; a sample that is beaten stops.
    Reference: Agnihotri, Jung, Keuper, ICML 2024.
    """
    return _pgd(threat, against(reference, CosPGD()), steps, step, random_start, run_to_end)


def asma(threat: Threat, steps: int = 40, step: float | None = None, run_to_end: bool = False) -> Ascent:
    """Adaptive segmentation mask attack: change only the pixels that do not yet match the wanted mask.

        J(x_t) = -sum_{p not as wanted} m_p / number of pixels that count,   from the image itself

    with m_p the pixel's margin to the wanted class. For goals that want a mask.

    Differs from the paper: the paper maximises the wanted class's logit, not its margin over the best other one; it
    subtracts the squared distance to the image, while here a ball bounds it; and its step grows with the overlap, to
    compensate for the gradient that shrinks with the pixels left, which a step of fixed length does not need.
    Reference: Ozbulak, Van Messem, De Neve, MICCAI 2019.
    """
    return _pgd(threat, PieceMargin(open_only=True), steps, step, False, run_to_end)


def dag(
    threat: Threat, steps: int = 40, step: float = 1.0, reference: Reference = "truth", run_to_end: bool = False
) -> Ascent:
    """Dense adversary generation: every unbroken target is pushed to another class, by its logits.

        J(x_t) = sum_{p unbroken} (f_p[another] - f_p[true]),   x_{t+1} = P(x_t + step * radius * grad J / max |grad J|)

    Targets are the pixels of a mask, the findings of a reading, or the boxes that a detector proposes. As published,
    it starts from the image, follows the gradient itself and not its sign, and ignores broken targets.

    Differs from the paper: `another` is the nearest other class, or what the goal wants, not one drawn at random per
    class; a ball bounds the change, while the paper's grows until all targets are broken; and the steepest value moves
    a whole radius per step (the paper: 0.5 of 255 in 150 to 200 steps).
    Reference: Xie, Wang, Zhang, Zhou, Xie, Yuille, ICCV 2017.
    """
    objective = against(reference, PieceMargin(open_only=True))
    return Ascent(threat, steps, objective, step=Proportional(step), random_start=False, run_to_end=run_to_end)


def vafa(
    threat: Threat, steps: int = 20, step: float | None = None, block: int = 8, run_to_end: bool = False
) -> Ascent:
    """Frequency attack on volumes and images: the Dice loss is maximised in the cosine transform of small blocks.

        c_{t+1} = P(c_t + step * radius * sign(grad_c J)),   |c - c_clean| <= radius for each coefficient of each block

    The threat's radius bounds the coefficients, so the root mean square of the change is that of an L-inf ball,
    and single stored values may change by more: the L-inf distance that is reached is what counts in a comparison.

    Differs from the paper: it learns, per block, quantisation steps q (5 to 10 for 8-bit values by default) and
    returns the rounded coefficients, which move by at most q / 2. Here all changes of at most the radius are allowed;
    those of q up to 2 * radius are a part of them. There is no structural-similarity term, and no rescaling of slices
    to their own range afterwards, which moves every value. The bounds are kept, and sides that are not a multiple of
    the block are padded.
    Reference: Hanif, Naseer, Khan, Shah, Khan, MICCAI 2023; in 2D AdvDrop, Duan et al., ICCV 2021.
    """
    return _pgd(Frequency(threat.eps, block), SoftScore(), steps, step, False, run_to_end)


def _pgd(
    threat: Threat, objective: Objective, steps: int, step: float | None, random_start: bool, run_to_end: bool
) -> Ascent:
    return Ascent(threat, steps, objective, step=fixed(step, steps), random_start=random_start, run_to_end=run_to_end)
