"""Every attack by name: an explicit table, and the attacks that other packages offer through entry points.

Importing a module does not register anything, and reading the table does not import torch: the table holds the names of
factories, imported when an attack is made. A new attack is a recipe, a row here and a line of the changelog.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from palpate.errors import PlanError, nearest
from palpate.synonyms import same

__all__ = ["ALL_NORMS", "DENSE", "ENTRY_POINT_GROUP", "Entry", "TASKS", "attacks", "check_supports", "factory",
           "find", "make", "parameters"]  # fmt: skip

ENTRY_POINT_GROUP = "palpate.attacks"
ALL_NORMS = ("linf", "l2", "l1")
TASKS = ("classification", "multilabel", "segmentation", "detection")
DENSE = TASKS[1:]


@dataclass(frozen=True)
class Entry:
    """One attack that can be named in a plan.

    Attributes:
        name: its name in plans and on the command line.
        factory: `module:function`; the function takes a threat and keyword parameters and returns an Attack.
        summary: one line for lists.
        reference: where it was published.
        norms: norms of the balls that it can search.
        gradient: needs the model's gradient.
        random: its result depends on the seed.
        projected: it stays inside the ball; otherwise judge it by the distance that it reached.
        steps_parameter: the parameter that sets its effort, or an empty string.
        tasks: kinds of task that it attacks.
        targeted_only: it needs a goal that says which decision it must reach; it has no untargeted form.
        own_threat: it uses the radius of the budget for its own threat, not for the ball of the plan.
        surrogate: it needs another model, which a plan gives in `[surrogate]`.
        learned: it applies what an audit learns before the attacks, on some of the images.
        why_not: why it does not attack the other tasks, as the end of a sentence; empty if their names say it.
        minimum: it searches the smallest change of each image and says its radius, so that one run gives a whole curve.
    """

    name: str
    factory: str
    summary: str
    reference: str
    norms: tuple[str, ...] = ALL_NORMS
    gradient: bool = True
    random: bool = False
    projected: bool = True
    steps_parameter: str = "steps"
    tasks: tuple[str, ...] = TASKS
    targeted_only: bool = False
    own_threat: bool = False
    why_not: str = ""
    minimum: bool = False
    surrogate: bool = False
    learned: bool = False


_R = "palpate.attacks.recipes"
_D = "palpate.attacks.recipes_dense"
_TABLE = (
    Entry(
        "strongest",
        "palpate.attacks.cascade.strongest:strongest",
        "The evaluation without parameters: several climbs, then a search without gradients, each on what is left.",
        "palpate: docs/explanation/strongest.md; the idea is Croce, Hein, Reliable Evaluation of Adversarial "
        "Robustness with an Ensemble of Diverse Attacks, ICML 2020.",
        random=True,
        steps_parameter="",
    ),
    Entry(
        "noise",
        f"{_R}:noise",
        "Worst of several random images of the ball: the baseline that every attack must beat.",
        "Carlini et al., On Evaluating Adversarial Robustness, arXiv:1902.06705, 2019.",
        gradient=False,
        random=True,
        steps_parameter="tries",
    ),
    Entry(
        "square",
        "palpate.attacks.square:Square",
        "Random squares at the surface of the ball: the search for models that give outputs and no gradient.",
        "Andriushchenko, Croce, Flammarion, Hein, Square Attack: A Query-Efficient Black-Box Adversarial Attack via "
        "Random Search, ECCV 2020.",
        gradient=False,
        random=True,
        steps_parameter="queries",
    ),
    Entry(
        "hopskipjump",
        "palpate.attacks.black_box.hopskipjump:HopSkipJump",
        "Walks along the boundary of the decision: the search for models that give a decision and no scores.",
        "Chen, Jordan, Wainwright, HopSkipJumpAttack: A Query-Efficient Decision-Based Attack, IEEE S&P 2020.",
        norms=("linf", "l2"),
        gradient=False,
        random=True,
        steps_parameter="queries",
        tasks=TASKS[:3],
        why_not="it walks along the boundary of one decision per image, and each box has a boundary of its own",
    ),
    Entry(
        "transfer",
        "palpate.attacks.black_box.transfer:transfer",
        "Images that beat another model, the surrogate of the plan; the model itself is asked twice about each image.",
        "Papernot, McDaniel, Goodfellow, Transferability in Machine Learning: from Phenomena to Black-Box Attacks "
        "using Adversarial Samples, arXiv:1605.07277, 2016.",
        gradient=False,
        random=True,
        surrogate=True,
    ),
    Entry(
        "universal",
        "palpate.attacks.universal.attack:universal",
        "One change for all images of a group, learned on some patients and applied to all.",
        "Moosavi-Dezfooli, Fawzi, Fawzi, Frossard, Universal Adversarial Perturbations, CVPR 2017.",
        random=True,
        steps_parameter="passes",
        learned=True,
    ),
    Entry(
        "fgsm",
        f"{_R}:fgsm",
        "One full step along the gradient.",
        "Goodfellow, Shlens, Szegedy, Explaining and Harnessing Adversarial Examples, ICLR 2015.",
        steps_parameter="",
    ),
    Entry(
        "bim",
        f"{_R}:bim",
        "Projected gradient ascent from the image itself.",
        "Kurakin, Goodfellow, Bengio, Adversarial Examples in the Physical World, ICLR Workshop 2017.",
    ),
    Entry(
        "pgd",
        f"{_R}:pgd",
        "Projected gradient ascent from random points of the ball, with restarts.",
        "Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018.",
        random=True,
    ),
    Entry(
        "mi",
        f"{_R}:mi",
        "Gradient ascent with momentum.",
        "Dong et al., Boosting Adversarial Attacks with Momentum, CVPR 2018.",
    ),
    Entry(
        "ni",
        f"{_R}:ni",
        "Momentum whose gradient is taken one step ahead (Nesterov).",
        "Lin et al., Nesterov Accelerated Gradient and Scale Invariance for Adversarial Attacks, ICLR 2020.",
    ),
    Entry(
        "ti",
        f"{_R}:ti",
        "Gradient averaged over translated images.",
        "Dong et al., Evading Defenses to Transferable Adversarial Examples by Translation-Invariant Attacks, "
        "CVPR 2019.",
    ),
    Entry(
        "di",
        f"{_R}:di",
        "Gradient of randomly shrunk and shifted images (input diversity).",
        "Xie et al., Improving Transferability of Adversarial Examples with Input Diversity, CVPR 2019.",
        random=True,
    ),
    Entry(
        "apgd-ce",
        f"{_R}:apgd_ce",
        "Auto-PGD on the cross-entropy: halves its step where the climb stalls.",
        "Croce, Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Attacks, ICML 2020.",
        random=True,
    ),
    Entry(
        "apgd-margin",
        f"{_R}:apgd_margin",
        "Auto-PGD on the margin, safe for two and three classes; scale-free (DLR) on request.",
        "Croce, Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Attacks, ICML 2020.",
        random=True,
    ),
    Entry(
        "fmn",
        "palpate.attacks.minimum.norm:FMN",
        "Searches the smallest change that beats each image: a radius that follows the decision boundary.",
        "Pintor, Roli, Brendel, Biggio, Fast Minimum-norm Adversarial Attacks through Adaptive Norm Constraints, "
        "NeurIPS 2021 (arXiv:2102.12827).",
        tasks=("classification", "multilabel"),
        minimum=True,
    ),
    Entry(
        "ddn",
        "palpate.attacks.minimum.norm:DDN",
        "Searches the smallest Euclidean change that beats each image: direction and length are adapted separately.",
        "Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger, Decoupling Direction and Norm for Efficient "
        "Gradient-Based L2 Adversarial Attacks and Defenses, CVPR 2019 (arXiv:1811.09600).",
        norms=("l2",),
        tasks=("classification", "multilabel"),
        minimum=True,
    ),
    Entry(
        "alma-prox",
        "palpate.attacks.minimum.alma:AlmaProx",
        "Searches the smallest change that takes enough pixels of a mask to where the attack wants them.",
        "Rony, Pesquet, Ben Ayed, Proximal Splitting Adversarial Attack for Semantic Segmentation, CVPR 2023 "
        "(arXiv:2206.07179).",
        norms=("linf",),
        tasks=("segmentation",),
        minimum=True,
    ),
    Entry(
        "smia",
        f"{_R}:smia",
        "Stabilised medical image attack, projected: deviation from the truth, agreement with the smoothed image.",
        "Qi, Gong, Song, Ma, Zheng, Stabilized Medical Image Attacks, ICLR 2021 (arXiv:2103.05232).",
    ),
    Entry(
        "smia-reference",
        f"{_R}:smia_reference",
        "The authors' published SMIA file with the fewest repairs: unprojected steps of a whole radius.",
        "Code published with Qi, Gong, Song, Ma, Zheng, Stabilized Medical Image Attacks, ICLR 2021.",
        norms=("linf",),
        projected=False,
    ),
    Entry(
        "steadfast",
        "palpate.attacks.steadfast:steadfast",
        "Climbs the margins of the image and of its smoothed version at once, so that changes survive blur and JPEG.",
        "palpate: docs/explanation/steadfast.md; after Athalye, Engstrom, Ilyas, Kwok, Synthesizing Robust Adversarial "
        "Examples, ICML 2018.",
    ),
    Entry(
        "dice-pgd",
        f"{_D}:dice_pgd",
        "Projected gradient ascent on the Dice loss, the smooth form of the score itself.",
        "Milletari, Navab, Ahmadi, V-Net, 3DV 2016 (the loss); Madry et al., Towards Deep Learning Models Resistant to "
        "Adversarial Attacks, ICLR 2018.",
        random=True,
        tasks=("segmentation",),
    ),
    Entry(
        "segpgd",
        f"{_D}:segpgd",
        "Cross-entropy that weighs unbroken pixels, findings or boxes more at first, and broken ones more later.",
        "Gu, Zhao, Tresp, Torr, SegPGD: An Effective and Efficient Adversarial Attack for Evaluating and Boosting "
        "Segmentation Robustness, ECCV 2022.",
        random=True,
        tasks=DENSE,
    ),
    Entry(
        "cospgd",
        f"{_D}:cospgd",
        "Cross-entropy weighted by how close each pixel, finding or box still is to its label (cosine).",
        "Agnihotri, Jung, Keuper, CosPGD: An Efficient White-Box Adversarial Attack for Pixel-Wise Prediction Tasks, "
        "ICML 2024.",
        random=True,
        tasks=DENSE,
    ),
    Entry(
        "asma",
        f"{_D}:asma",
        "Moves only the pixels that do not yet agree with the wanted mask.",
        "Ozbulak, Van Messem, De Neve, Impact of Adversarial Examples on Deep Learning Models for Biomedical Image "
        "Segmentation, MICCAI 2019.",
        tasks=("segmentation",),
        targeted_only=True,
    ),
    Entry(
        "dag",
        f"{_D}:dag",
        "Pushes every pixel, finding or box that is still unbroken to another class, along the gradient itself.",
        "Xie, Wang, Zhang, Zhou, Xie, Yuille, Adversarial Examples for Semantic Segmentation and Object Detection, "
        "ICCV 2017.",
        norms=("linf",),
        tasks=DENSE,
    ),
    Entry(
        "vafa",
        f"{_D}:vafa",
        "Climbs in the cosine transform of small blocks: a bound on every frequency, in 2D and 3D.",
        "Hanif, Naseer, Khan, Shah, Khan, Frequency Domain Adversarial Training for Robust Volumetric Medical "
        "Segmentation, MICCAI 2023.",
        norms=("linf",),
        projected=False,
        tasks=("segmentation",),
        own_threat=True,
    ),
)


@cache
def attacks() -> Mapping[str, Entry]:
    """Name -> entry: palpate's own attacks, then those of installed packages.

    An entry point of the group `palpate.attacks` names a function without arguments that returns an `Entry`.

    Raises:
        PlanError: two packages offer the same name.
    """
    found = {entry.name: entry for entry in _TABLE}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        entry = point.load()()
        if entry.name in found:
            raise PlanError(f"attack '{entry.name}' of {point.value} has the name of another attack; rename it.")
        found[entry.name] = entry
    return found


def find(name: str) -> Entry:
    """The entry of this name; small and capital letters are the same.

    Raises:
        PlanError: there is no such attack; the nearest name is proposed.
    """
    if (found := attacks().get(same(name, attacks()) or "")) is None:
        raise PlanError(f"There is no attack '{name}'. {nearest(name, attacks())}")
    return found


def factory(entry: Entry) -> Callable[..., Any]:
    """The function behind an entry; imports its module."""
    module, _, function = entry.factory.partition(":")
    return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]


def parameters(entry: Entry) -> dict[str, inspect.Parameter]:
    """The keyword parameters of an attack, without the threat."""
    return dict(list(inspect.signature(factory(entry), eval_str=True).parameters.items())[1:])


def make(name: str, threat: Any, **settings: Any) -> Any:
    """An attack from its name, a threat and its parameters.

    Raises:
        PlanError: the name or a parameter is unknown, a value has the wrong type, or the attack cannot use the norm.
        InputError: the attack refuses a value.
    """
    entry = find(name)
    if threat.norm not in entry.norms:
        raise PlanError(f"attack '{name}' searches {', '.join(entry.norms)} balls, not {threat.norm}.")
    if not entry.projected and getattr(threat, "confined", False):
        raise PlanError(
            f"attack '{name}' leaves the ball that confines a change, so it cannot keep a region, stored steps, tied "
            "channels or smoothness. Remove these from the threat, or choose another attack."
        )
    known = parameters(entry)
    for key, value in settings.items():
        if key not in known:
            said = nearest(key, known) if known else "It has none."
            raise PlanError(f"attack '{name}' has no parameter '{key}'. {said}")
        _check_type(name, key, value, known[key].default)
    return factory(entry)(threat, **settings)


def _check_type(name: str, key: str, value: Any, default: Any) -> None:
    allowed: tuple[type, ...]
    if isinstance(default, bool):
        allowed = (bool,)
    elif isinstance(default, int):
        allowed = (int,)
    elif isinstance(default, float) or default is None:
        allowed = (int, float)
    else:
        allowed = (type(default),)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        wanted = "true or false" if allowed == (bool,) else " or ".join(kind.__name__ for kind in allowed)
        raise PlanError(f"attack '{name}': {key} = {value!r} must be {wanted}.")


def check_supports(name: str, kind: str, targeted: bool) -> None:
    """Refuse an attack on a task that it does not attack.

    Args:
        name: the attack.
        kind: one of `TASKS`.
        targeted: the goal says which decision to reach.

    Raises:
        PlanError: the attack is for another kind of task, or needs a targeted goal.
    """
    entry = find(name)
    if kind not in entry.tasks:
        fitting = ", ".join(other.name for other in attacks().values() if kind in other.tasks)
        why = f": {entry.why_not}" if entry.why_not else ""
        raise PlanError(f"attack '{name}' attacks {', '.join(entry.tasks)}, not {kind}{why}. Choose among {fitting}.")
    if entry.targeted_only and not targeted:
        raise PlanError(
            f"attack '{name}' needs a goal that says which decision to reach, such as erasing a structure. "
            "Give it a goal, or choose another attack."
        )
