"""Whether a model returns probabilities although its task reads logits, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.contracts import Task
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.tasks.heads import Cumulative, Probabilities, Softmax, probabilities
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.screening import answer_of
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree

ENOUGH = 2
"""Rows that sum to one, or outputs that a right model would make negative: so many are not chance."""


@dataclass(frozen=True)
class Suspicion:
    """Outputs that look like probabilities.

    Attributes:
        kind: what they look like.
        sure: chance does not explain it, and reading them as logits gives wrong figures. Otherwise only a warning
            is given.
            text: what was seen, what it means, and how to declare what the outputs are.
    """

    kind: Probabilities
    sure: bool
    text: str


def suspect(task: Task, outputs: Tree, targets: Tree, field: str) -> Suspicion | None:
    """Whether the outputs of a model, valid for its task, are probabilities. None if they are logits.

    A sigmoid is only sure if the task reads each output by its sign, and at least two outputs belong to something
    absent: if all logits were in 0 to 1, each of these would be read wrongly.

    Args:
        task: what the outputs mean.
        outputs: the model's.
        targets: what is annotated.
        field: the setting that says how outputs are read: `model.outputs` of a plan, `outputs` of a call.
    """
    detects, outputs = isinstance(task, Detection), answer_of(outputs)
    logits: Tensor = outputs.logits if detects else outputs
    kind = probabilities(logits, 2 if detects else 1)
    if kind is None:
        return None
    by_sign = _by_sign(task, logits)
    if kind == "softmax":
        rows = logits.numel() // logits.shape[2 if detects else 1]
        return Suspicion(kind, rows >= ENOUGH, _softmax(field, by_sign))
    if not by_sign:
        return Suspicion(kind, False, _sigmoids(field))
    return Suspicion(kind, _absent(task, logits, targets) >= ENOUGH, _sigmoid(field))


def _by_sign(task: Task, logits: Tensor) -> bool:
    """Whether the sign of each output alone decides whether something is present."""
    if isinstance(task, Classification):
        return not isinstance(task.head, Softmax)
    if isinstance(task, Segmentation):
        return not task.exclusive or logits.shape[1] == 1
    return isinstance(task, MultiLabel) or (isinstance(task, Detection) and task.head == "sigmoid")


def _absent(task: Task, logits: Tensor, targets: Tree) -> int:
    """How many outputs a model that is right would make negative."""
    if isinstance(task, Classification):
        if not isinstance(task.head, Cumulative):
            return int((targets == 0).sum())
        return int((targets[:, None] <= torch.arange(task.classes - 1, device=targets.device)).sum())
    if isinstance(task, MultiLabel):
        return int((targets == 0).sum())
    if isinstance(task, Segmentation):
        return int((task.annotation(targets).labels == 0).sum())
    return max(0, logits.numel() - int((targets.labels >= 0).sum()))


def _softmax(field: str, by_sign: bool) -> str:
    seen = "model: it returns probabilities of a softmax (each row is in 0 to 1 and sums to 1)"
    if by_sign:
        return (
            f"{seen}, and this task reads every output separately. Return one logit per output, or choose the task "
            "that has one answer among several. "
            f'If they are logits, write {field} = "logits".'
        )
    return (
        f"{seen}, which makes attacks look weaker than they are. Write "
        f'{field} = "softmax", and palpate turns them into logits. Or return the logits, without the last softmax '
        f'(torch.log of the probabilities works too). If they are logits, write {field} = "logits".'
    )


def _sigmoid(field: str) -> str:
    return (
        "model: every output is between 0 and 1, as after a sigmoid. Read as a logit, a probability never means "
        f'"absent", so every figure would be wrong. Write {field} = "sigmoid", and palpate turns them into logits. '
        f'If they are logits, write {field} = "logits".'
    )


def _sigmoids(field: str) -> str:
    return (
        "model: every output is between 0 and 1, as after a sigmoid for each class. Read as logits, probabilities "
        f'make attacks look weaker than they are. If they are probabilities, write {field} = "sigmoid". If they are '
        f'logits, write {field} = "logits".'
    )
