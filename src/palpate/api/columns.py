"""Results of attacks as the columns that palpate's metrics read, so that figures are those of an audit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from palpate.annotations import Boxes
from palpate.api.table import WORST, Row, Table
from palpate.attacks.budgets import Budget
from palpate.contracts import Task
from palpate.metrics.intervals import Estimate, Resampling
from palpate.metrics.panel import FIELDS, Panel, arrange
from palpate.metrics.robustness import (
    budgets_of,
    clean_accuracy,
    robust_accuracy,
    success_rate,
    worst_case,
    worst_success,
)
from palpate.metrics.worst import lowest, within
from palpate.storage.frames import Frame
from palpate.storage.lists import Lists
from palpate.tasks.classification import Classification
from palpate.tasks.multilabel import MultiLabel
from palpate.tensors import Tree, lengths
from palpate.threats.ball import rounding
from palpate.units import Scale

_TEXTS = ("image", "group", "site", "scanner", "attack", "goal", "norm", "evidence", "stage")
_LISTS = ("clean_measures", "truth", "clean_found", "measures", "found", "clean_handled", "handled", "stage_passes")
_WHOLE = ("label", "clean_prediction", "prediction")
_FLAGS = ("eligible", "success", "zero_gradient", "blocked_gradient", "non_finite")


def columns_of(
    name: str,
    norm: str,
    task: Task,
    images: Tensor,
    targets: Tree,
    budgets: Sequence[Budget],
    rows: Sequence[int],
    groups: Sequence[str],
) -> list[Frame]:
    """The results of one attack on some images, one part per budget.

    Args:
        name: the attack's name.
        norm: `linf`, `l2` or `l1`.
        task: what the outputs mean, with the goal.
        images: the clean images (B, C, *spatial).
        targets: what the task expects.
        budgets: the results.
        rows: numbers of the images.
        groups: their units of resampling.
    """
    count = len(images)
    same: Frame = {
        **dict.fromkeys(FIELDS, np.full(count, math.nan)),
        **dict.fromkeys(_TEXTS, np.full(count, "", dtype=object)),
        **dict.fromkeys(_LISTS, Lists.of([()] * count)),
        **dict.fromkeys(_WHOLE, np.full(count, -1)),
        "row": np.array(rows),
        "group": np.array(groups, dtype=object),
        "attack": np.full(count, name, dtype=object),
        "goal": np.full(count, "a goal" if has_goal(task) else "untargeted", dtype=object),
        "norm": np.full(count, norm, dtype=object),
        "truth": Lists.of([np.zeros(size) for size in _annotated(task, targets, count)]),
    }
    if isinstance(task, Classification):
        same["label"] = _numbers(targets).astype(int)
    return [{**same, **_at(budget, task, images, targets)} for budget in budgets]


def _at(budget: Budget, task: Task, images: Tensor, targets: Tree) -> Frame:
    result, change = budget.result, budget.result.images - images
    return {
        "eps": np.full(len(images), budget.eps),
        "evidence": np.array(budget.evidence, dtype=object),
        **{norm: _sizes(change, result.images, norm, budget.eps) for norm in ("linf", "l2", "l1")},
        "clean_right": _numbers(task.right(result.clean_outputs, targets)).astype(bool),
        "clean_score": _numbers(task.score(result.clean_outputs, targets)),
        "score": _numbers(task.score(result.outputs, targets)),
        **{flag: _numbers(getattr(result, flag)).astype(bool) for flag in _FLAGS},
        "forwards": _numbers(result.forwards).astype(int),
        "backwards": _numbers(result.backwards).astype(int),
    }


def _sizes(change: Tensor, images: Tensor, norm: str, eps: float) -> Any:
    """Lengths of changes; what is above the budget by rounding alone is the budget, so that it counts as within it."""
    sizes = _numbers(lengths(change, norm))
    return np.where((sizes > eps) & (sizes <= eps + rounding(images, norm)), eps, sizes)


def table_of(parts: Sequence[Frame], task: Task, scale: Scale, notes: Sequence[str] = ()) -> Table:
    """All results as a table, with the figures and intervals of an audit.

    Args:
        parts: of `columns_of`; several attacks on the same images.
        task: what the outputs mean.
        scale: what the values mean.
        notes: sentences below the table.
    """
    panel = arrange({name: _joined([part[name] for part in parts]) for name in parts[0]})
    images, resampling = panel.images, Resampling(panel.images.group)
    figure, dense = (None if has_goal(task) else 1), not isinstance(task, Classification)
    clean = clean_accuracy(images).value

    def row(name: str, eps: float, shares: Sequence[Any], scores: Any) -> Row:
        beaten, robust = (resampling.proportion(share, "No image counts here.") for share in shares)
        return _row(name, eps, clean, beaten, robust if figure else None, _mean(scores, panel) if dense else math.nan)

    rows = [
        row(
            outcome.attack,
            float(eps),
            (success_rate(outcome, place), robust_accuracy(images, outcome, place)),
            outcome.scores[place],
        )
        for outcome in panel.outcomes
        for place, eps in enumerate(outcome.eps)
    ]
    worst = [
        row(
            WORST,
            eps,
            (worst_success(images, panel.outcomes, eps), worst_case(images, panel.outcomes, eps)),
            _worst_scores(panel, eps),
        )
        for eps in budgets_of(panel.outcomes)
    ]
    return Table(tuple(rows), tuple(worst), scale, tuple(notes), str(parts[0]["norm"][0]))


def _row(attack: str, eps: float, clean: float, success: Estimate, robust: Estimate | None, score: float) -> Row:
    """With a goal, the interval is that of the success rate."""
    shown = success if robust is None else robust
    value = math.nan if robust is None else robust.value
    return Row(
        attack, eps, clean, value, shown.low, shown.high, success.value, score, shown.total or 0, success.count or 0
    )


def _worst_scores(panel: Panel, eps: float) -> Any:
    fits = [within(outcome, eps) for outcome in panel.outcomes]
    return lowest(panel.images.score, [outcome.scores for outcome in panel.outcomes], fits)


def _mean(scores: Any, panel: Panel) -> float:
    known = scores[panel.images.attackable & np.isfinite(scores)]
    return float(known.mean()) if known.size else math.nan


def _annotated(task: Task, targets: Tree, count: int) -> list[int]:
    """How many numbers the annotation of each image has in records: what has none has nothing to lose."""
    if isinstance(targets, Boxes):
        sizes: list[int] = (targets.labels >= 0).sum(1).tolist()
        return sizes
    return [targets.shape[1] if isinstance(task, MultiLabel) else 0] * count


def has_goal(task: Task) -> bool:
    """Whether an attack wants a certain decision, so that being beaten is not the same as being wrong."""
    return bool(getattr(getattr(task, "goal", None), "targeted", False))


def _numbers(tensor: Any) -> Any:
    return torch.as_tensor(tensor).detach().double().cpu().numpy()


def _joined(columns: Sequence[Any]) -> Any:
    if isinstance(columns[0], Lists):
        return Lists.of([one for column in columns for one in column])
    return np.concatenate(columns)
