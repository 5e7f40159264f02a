"""What is trained, what follows after a collapse, and what judges, where a plan does not say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from palpate.contracts import Task
    from palpate.hardening.contracts import Recipe


class Judge(NamedTuple):
    """An attack that chooses the best epoch.

    Attributes:
        attack: its name in the catalogue.
        settings: its parameters.
    """

    attack: str
    settings: dict[str, Any]


def default_recipe(task: Task) -> str:
    """`fast` for classes and findings, `segpgd` for masks, `pgd` for boxes."""
    return {"segmentation": "segpgd", "detection": "pgd"}.get(_kind(task), "fast")


def default_fallback(task: Task) -> str:
    """The recipe that follows catastrophic overfitting: `segpgd` for masks, otherwise `pgd`; both of several steps."""
    return "segpgd" if _kind(task) == "segmentation" else "pgd"


_STEPS = 20
_MARGIN = Judge("apgd-margin", {"steps": _STEPS})
_LOSS = Judge("apgd-ce", {"steps": _STEPS})
_DICE = Judge("dice-pgd", {"steps": _STEPS})
_ON_MARGIN = frozenset({"apgd-margin", "steadfast", "dag", "dice-pgd", "vafa"})
"""Attacks that train on the margin, or on the Dice loss, which is the gradient of that of masks."""


def default_judge(task: Task, recipe: Recipe) -> Judge:
    """Another attack, with another loss, than a recipe trains on; of 20 steps whose length adapts.

    | task | trained on | judged by |
    | --- | --- | --- |
    | classes, findings, boxes | their loss, or a distance | `apgd-margin` |
    | masks | cross-entropy of pixels, a distance | `dice-pgd` |
    | all | the margin or the Dice loss | `apgd-ce` |

    The margin of boxes is F1 at the operating point with its smooth form as gradient, and not the sum of their losses.
    A mixture is judged by what none of its parts trains on, or else by the margin or the Dice loss, which decide.
    """
    trained = {one.name for one in getattr(recipe, "recipes", (recipe,))}
    if trained <= _ON_MARGIN:
        return _LOSS
    return _DICE if _kind(task) == "segmentation" else _MARGIN


def _kind(task: Task) -> str:
    from palpate.tasks.kinds import kind_of

    return kind_of(task) or ""
