"""Is the model better than guessing? Checked on clean images of every shape, before hours are spent on attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from palpate.audit.subject.baseline import all_answered
from palpate.audit.subject.chance_hints import hint
from palpate.audit.subject.preflight import AuditFinding
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.contracts import Task
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.screening import answer_of
from palpate.tasks.suspicion import suspect
from palpate.tensors import Tree

FIRST, MOST = 64, 512
"""Images that are looked at first, and at most if the first ones are not enough to decide."""
FEWEST = 8
"""With fewer images than this, nothing can be said about classes and findings."""
FEWEST_DRAWN = 4
"""With fewer than this, nothing can be said about masks and boxes, which cannot be right by a guess."""
DOUBT = 0.05
"""If a guessing model is as good as this one in more than this share of cases, the check does not decide."""
_SHUFFLES = 999
_NO_WEIGHTS = (
    'The plan names no weights, so they are random, unless the factory loads them: write weights = "FILE" in [model].'
)

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Verdict:
    """The result of the check.

    Attributes:
        kind: `above` chance, `at` chance, `open` (too little difference), `one class`, or `few` (too few images).
        text: what was seen.
        reason: the likely reason; empty if the answers show none.
    """

    kind: Literal["above", "at", "open", "one class", "few"]
    text: str
    reason: str = ""


def at_chance(
    subject: Subject,
    task: Task,
    room: Room,
    accept: str,
    *,
    logits: bool = False,
    names: Sequence[str] = (),
    weights: bool = True,
) -> list[AuditFinding]:
    """Look at up to 64 images of all shapes and classes, and at up to 512 if 64 are not enough to decide.

    Args:
        subject: the model and the images.
        task: what outputs mean, untargeted.
        room: how many images fit into memory at once.
        accept: `refuse` or `allow`: what to do with a model that is not better than guessing.
        logits: the user states that outputs are logits, even if they look like probabilities.
        names: the classes, to find out whether their order is wrong.
        weights: the plan says where the weights come from, or the model always has its weights.

    Raises:
        InputError: the model is not better than guessing, and that is not allowed; or its outputs over all these
            images are probabilities, which a few images of one shape could not show.
    """
    count = len(subject.table)
    verdict = _look(subject, task, _sample(subject, min(FIRST, count)), room, logits, names)
    if verdict.kind == "open" and count > FIRST:
        verdict = _look(subject, task, _sample(subject, min(MOST, count)), room, logits, names)
    looked = min(count, FIRST)
    if verdict.kind == "above":
        return []
    # With few images, a model that is sometimes right looks like one that guesses: a warning.
    if verdict.kind == "at" or (verdict.kind == "open" and looked == FIRST):
        said = (verdict.text, verdict.reason, "" if weights else _NO_WEIGHTS, _look_at(task))
        text = " ".join(part for part in said if part)
        if accept == "allow":
            return [AuditFinding("warning", "clean accuracy", text)]
        raise InputError(f'model: {text} To audit it anyway: run.at_chance = "allow".')
    if verdict.kind == "few":
        return [AuditFinding("note", "clean accuracy", verdict.text)]
    return [AuditFinding("warning", "one class" if verdict.kind == "one class" else "clean accuracy", verdict.text)]


def _look_at(task: Task) -> str:
    if isinstance(task, Classification):
        return (
            "Check that the weights are loaded, the order of the classes, mean and std, the bounds and the order of "
            "the colours."
        )
    if isinstance(task, MultiLabel):
        return (
            "Check that the weights are loaded, the order of the findings, task.thresholds, mean and std, and the "
            "bounds."
        )
    return (
        "Check that the weights are loaded, the order of the model's outputs, mean and std, the bounds, the values of "
        "the annotations, and task.floor."
    )


def _sample(subject: Subject, count: int) -> tuple[int, ...]:
    """`count` rows of the table: classes in turn, and the rows of each class from all parts of the table."""
    rows: dict[int, list[int]] = {}
    for row in range(len(subject.table)):
        rows.setdefault(subject.table[row].label, []).append(row)
    wanted = dict.fromkeys(rows, 0)
    for row in subject.spread(range(len(subject.table)), count):
        wanted[subject.table[row].label] += 1
    return tuple(
        sorted(
            same[place * len(same) // wanted[label]] for label, same in rows.items() for place in range(wanted[label])
        )
    )


def _look(subject: Subject, task: Task, rows: Sequence[int], room: Room, logits: bool, names: Sequence[str]) -> Verdict:
    """Forward passes over some rows, and what they show."""
    right, raw, targets = [], [], []
    ordered = sorted(rows, key=lambda row: (subject.shape_of(row), str(subject.spacing_of(row)), row))
    with subject.victim:
        for _, (outputs, annotated) in all_answered(subject, ordered, room, [task]):
            if isinstance(task, Classification | MultiLabel):
                raw.append(answer_of(outputs))
                targets.append(annotated)
            else:
                _require_logits(task, outputs, annotated, logits)
                right.append(task.right(outputs, annotated)[task.eligible(annotated)])
    if not isinstance(task, Classification | MultiLabel):
        return of_drawn(torch.cat(right).cpu().numpy())
    outputs, labels = torch.cat(raw), torch.cat(targets)
    _require_logits(task, outputs, labels, logits)
    answers, truth = task.predict(outputs).cpu().numpy(), labels.cpu().numpy()
    if not isinstance(task, Classification):
        return of_findings(answers, truth)
    return replace(of_classes(answers, truth), reason=hint(answers, truth, names) if names else "")


def _require_logits(task: Task, outputs: Tree, targets: Tree, stated: bool) -> None:
    suspicion = None if stated else suspect(task, outputs, targets, "model.outputs")
    if suspicion is not None and suspicion.sure:
        raise InputError(suspicion.text)


def of_classes(predicted: Ints, labels: Ints) -> Verdict:
    """Balanced accuracy (the mean over the classes of the share that is right) against that of a guess.

    A guess gets 1/m for m classes, for any number of images per class.

    Args:
        predicted: decisions (N,).
        labels: true classes (N,).
    """
    count, right = len(labels), int((predicted == labels).sum())
    present = np.unique(labels)
    seen = f"The model is right on {right} of the {count} images that were looked at"
    if len(present) == 1:
        text = f"{seen}, all of class {int(present[0])}."
        if count >= FEWEST and not right:
            return Verdict("at", text)
        alone = f"{text} An audit of one class does not show whether the model can separate it from the others."
        return Verdict("one class", alone)
    if count < FEWEST:
        return Verdict("few", f"{seen}: too few to tell whether it is better than guessing.")
    found, chance = float(_balanced(predicted, labels[None])[0]), 1 / len(present)
    seen += f" (mean over the classes {found:.0%}, and the same answer to every image gives {chance:.0%})"
    if found <= chance + 1e-9:
        return Verdict("at", f"{seen}: no more than chance.")
    share = _share_of_guesses(found, _balanced, predicted, labels)
    if share > DOUBT:
        return Verdict("open", f"{seen}: guessing without a look at the images reaches this in {share:.0%} of cases.")
    return Verdict("above", seen)


def of_findings(predicted: Ints, labels: Ints) -> Verdict:
    """Mean over the findings of (sensitivity + specificity) / 2, which is one half for a guess.

    Findings that are present, or absent, in all images that were looked at do not count; unknown ones do not either.

    Args:
        predicted: readings (N, K), 0 or 1.
        labels: (N, K): 1 present, 0 absent, -1 unknown.
    """
    count, both = len(labels), int(((labels == 1).any(0) & (labels == 0).any(0)).sum())
    if count < FEWEST or not both:
        text = f"The {count} images that were looked at are too few to tell whether the model is better than guessing."
        return Verdict("few", text)
    found = float(_mean_of_findings(predicted, labels[None])[0])
    seen = (
        f"Over the {count} images that were looked at and {both} of the {labels.shape[1]} findings, the mean of "
        f"sensitivity and specificity is {found:.0%}, and the same answer to every image gives 50%"
    )
    if found <= 0.5 + 1e-9:
        return Verdict("at", f"{seen}: no more than chance.")
    share = _share_of_guesses(found, _mean_of_findings, predicted, labels)
    if share > DOUBT:
        return Verdict("open", f"{seen}: guessing without a look at the images reaches this in {share:.0%} of cases.")
    return Verdict("above", seen)


def of_drawn(right: Bools) -> Verdict:
    """Masks and boxes: a guess is never acceptable, so one acceptable result is enough.

    Args:
        right: (N,) whether the result is acceptable, for images with annotations.
    """
    count = len(right)
    if not count:
        return Verdict("few", "Nothing is annotated on the images that were looked at.")
    if right.any():
        return Verdict("above", f"The model's result is acceptable on {int(right.sum())} of {count} images.")
    text = f"The model's result is acceptable on none of the {count} images that were looked at."
    return Verdict("at" if count >= FEWEST_DRAWN else "open", text)


def _balanced(predicted: Ints, labels: Ints) -> Floats:
    """Balanced accuracy of one set of answers (N,) under each row of labels (R, N), with the classes of the first."""
    shares = []
    for label in np.unique(labels[0]):
        of_class = labels == label
        shares.append((of_class & (predicted == label)).sum(1) / of_class.sum(1))
    means: Floats = np.asarray(shares, np.float64).mean(0)
    return means


def _mean_of_findings(predicted: Ints, labels: Ints) -> Floats:
    """Mean of sensitivity and specificity of answers (N, K) under each of several orders of the labels (R, N, K)."""
    shares = []
    for place in range(labels.shape[2]):
        present, absent, read = labels[..., place] == 1, labels[..., place] == 0, predicted[:, place]
        if present[0].any() and absent[0].any():
            shares.append(((present @ read) / present.sum(1) + 1 - (absent @ read) / absent.sum(1)) / 2)
    means: Floats = np.asarray(shares, np.float64).mean(0)
    return means


def _share_of_guesses(found: float, figure: Callable[[Ints, Ints], Floats], predicted: Ints, labels: Ints) -> float:
    """How often the same answers, given to the images in random order, are as good (a permutation test)."""
    random = np.random.default_rng(0)
    orders = np.stack([random.permutation(len(labels)) for _ in range(_SHUFFLES)])
    as_good = int((figure(predicted, labels[orders]) >= found - 1e-9).sum())
    return (1 + as_good) / (1 + _SHUFFLES)
