"""Look at the model, the images and their labels before hours are spent on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from palpate import catalog
from palpate.annotations import Candidates
from palpate.contracts import Task
from palpate.errors import InputError, PalpateError
from palpate.preprocess.blocking import findings as preprocessing
from palpate.tasks.classification import Classification
from palpate.tasks.heads import OneLogit, looks_like_probabilities
from palpate.tensors import Tree, leaves, take
from palpate.threats.ball import check_bounds
from palpate.victim import Victim

RandomModel = Literal["refuse", "allow"]

_RELATIVE = 1e-3
"""Outputs that differ by more than this share of the largest one differ for a reason, not by rounding."""
_MANY = 0.1
"""Share of images without a gradient that is worth a warning."""
_FEWEST = 8
"""Fewer images than this say nothing about accuracy."""
_TRIED = 4
"""Images that each step of the preprocessing is tried on by itself."""
_CHANNELS = re.compile(r"to have (\d+) channels, but got (\d+) channels")


@dataclass(frozen=True)
class Finding:
    """What was noticed before the audit, worth a line in the report."""

    level: Literal["failure", "warning", "note"]
    """`failure` (figures cannot be relied on), `warning` (read them with care) or `note` (good to know)."""
    subject: str
    """What it is about."""
    text: str
    """What was seen, what it means, and the mend."""


def preflight(
    victim: Victim, task: Task, images: Tensor, targets: Tree, *, random_model: str = "refuse"
) -> list[Finding]:
    """Try the model on some images: what makes an audit impossible is refused, what weakens it is found.

    The victim is entered here; enter it before and the mode in which it was given cannot be seen any more.

    Args:
        victim: the model with its bounds and preprocessing.
        task: what its outputs mean.
        images: (B, C, *spatial) in stored values; a batch, best spread over all classes.
        targets: what is annotated, as the task expects it.
        random_model: what to do with a model whose outputs differ from pass to pass: `refuse` or `allow`.

    Returns:
        The findings, in the order of the checks.

    Raises:
        InputError: images outside the bounds or not finite; a model that fails on them, or whose outputs are of
            another width, not finite, probabilities instead of logits, or random unless that is allowed.
    """
    check_bounds(images, victim.bounds)
    findings = _mode(victim)
    with victim:
        outputs = _first_pass(victim, images)
        task.validate(outputs, targets)
        findings += _probabilities(task, outputs)
        random = _randomness(victim, images, outputs, random_model)
        findings += random or _companions(victim, images, outputs)
        findings += _gradients(victim, task, images, targets)
    return findings + _accuracy(task, outputs, targets)


def _mode(victim: Victim) -> list[Finding]:
    if not any(part.training for part in victim.module.modules()):
        return []
    text = "The model came in train mode; it is audited in evaluation mode, and its mode is restored afterwards."
    return [Finding("note", "train mode", text)]


def _first_pass(victim: Victim, images: Tensor) -> Tree:
    try:
        return victim.judge(images)
    except PalpateError:
        raise
    # Whatever the user's code raises is the user's to read: one sentence, not a traceback into palpate.
    except Exception as error:
        shape = list(images.shape)
        if found := _CHANNELS.search(str(error)):
            expected, given = found.groups()
            mend = (
                f"Repeat the grey image: preprocess.channels = {expected}."
                if int(given) == 1
                else "Choose images, or a model, that fit each other; preprocess.channels repeats grey images only."
            )
            raise InputError(
                f"model: it expects images of {expected} channels and was given {given}. {mend}"
            ) from error
        raise InputError(
            f"model: it fails on images of shape {shape}: {type(error).__name__}: {_first_line(error)}. "
            "Correct preprocess.size and preprocess.channels, or the model."
        ) from error


def _probabilities(task: Task, outputs: Tree) -> list[Finding]:
    """Cross-entropy of a softmax is nearly flat, so attacks look weaker than they are."""
    logits = leaves(outputs)[0]
    if isinstance(outputs, Candidates):
        logits = logits.flatten(0, 1)
    if len(logits) > 1 and looks_like_probabilities(logits):
        raise InputError(
            "model: it returns probabilities (each row lies in 0 to 1 and sums to 1), which makes attacks look weaker "
            "than they are. Return the logits, without the last softmax, or torch.log of the probabilities: logits too."
        )
    sigmoids = not isinstance(task, Classification) or isinstance(task.head, OneLogit)
    if sigmoids and bool(((logits >= 0) & (logits <= 1)).all()):
        text = (
            "Every output lies between 0 and 1, as after a sigmoid; a logit is also negative, for the other class. "
            "If the model ends in a sigmoid, return what goes into it, or torch.logit of what comes out: read as a "
            "logit, a probability never decides for class 0."
        )
        return [Finding("warning", "probabilities", text)]
    return []


def _randomness(victim: Victim, images: Tensor, outputs: Tree, random_model: str) -> list[Finding]:
    difference = _difference(victim.judge(images), outputs)
    if difference == 0:
        return []
    seen = f"two passes of the same images differ by up to {difference:.3g}"
    if random_model == "allow":
        text = (
            f"In evaluation mode {seen}. The model draws random numbers, so a success may be luck, and a robust "
            "image too; average the model over many draws for figures that repeat."
        )
        return [Finding("warning", "random model", text)]
    raise InputError(
        f"model: {seen} in evaluation mode, so it draws random numbers (dropout that stays on, random crops). "
        'Turn that off, average over many draws inside the model, or accept it: run.random_model = "allow".'
    )


def _companions(victim: Victim, images: Tensor, outputs: Tree) -> list[Finding]:
    if len(images) < 2:
        return []
    try:
        alone = victim.judge(images[:1])
    except Exception as error:
        raise InputError(
            f"model: it answers a batch of {len(images)} images and fails on one image alone ({type(error).__name__}). "
            "Batches shrink while an attack runs; let the model take any number of images."
        ) from error
    first = take(outputs, torch.zeros(1, dtype=torch.int64, device=images.device))
    difference = _difference(alone, first)
    if difference <= _RELATIVE * _size(outputs):
        return []
    text = (
        f"The output for one image changes by {difference:.3g} with the other images of its batch (a batch norm "
        "without running statistics does this). Verdicts then depend on the batch; normalise each image by itself."
    )
    return [Finding("failure", "batch dependence", text)]


def _gradients(victim: Victim, task: Task, images: Tensor, targets: Tree) -> list[Finding]:
    free = ", ".join(name for name, entry in catalog.attacks().items() if not entry.gradient)
    seen = preprocessing(victim.preprocess, images[:_TRIED])
    through = [Finding("warning", "preprocessing", text) for level, text in seen if level == "warning"]
    try:
        zero = _gradient(victim, images, lambda outputs: task.loss(outputs, targets)) == 0
        blocked = zero
        if bool(zero.any()):
            blocked = zero & (_gradient(victim, images, lambda outputs: task.margin(outputs, targets)) == 0)
    except (InputError, RuntimeError) as error:
        why = (
            f"No gradient flows from the model's output to its input: {_place(victim, images) or error}"
            if isinstance(error, InputError)
            else f"The model's backward pass fails ({_first_line(error)}){_named(_place(victim, images))}"
        )
        text = f"{why} Gradient attacks cannot run and robustness is not shown; attacks without gradient: {free}."
        return [Finding("failure", "gradients", text)]
    count, none = len(images), int(blocked.sum())
    if none > _MANY * count:
        place = _place(victim, images) or "rounding or a threshold on the way; remove that step for the audit."
        text = (
            f"The gradient is exactly zero for {none} of {count} images: {place} Gradient attacks cannot move them; "
            f"attacks without gradient: {free}."
        )
        return [*through, Finding("failure" if none == count else "warning", "gradients", text)]
    if int(zero.sum()) > _MANY * count:
        text = (
            f"The loss is so saturated that its gradient is exactly zero for {int(zero.sum())} of {count} images. "
            "Attacks climb the margin's gradient there instead, so nothing is lost."
        )
        return [*through, Finding("warning", "saturation", text)]
    return through


def _named(place: str | None) -> str:
    return f": {place}" if place else "."


def _place(victim: Victim, images: Tensor) -> str | None:
    """What blocks the gradient, with its mend, where that can be told."""
    try:
        return victim.where_blocked(images)
    # The question is only where; that something is wrong is already known.
    except (PalpateError, RuntimeError):
        return None


def _gradient(victim: Victim, images: Tensor, value: Callable[[Tensor], Tensor]) -> Tensor:
    """Largest absolute gradient of each image (B,)."""
    place = images.detach().requires_grad_()
    return victim.gradient(value(victim.search(place)), place).flatten(1).abs().amax(1)


def _accuracy(task: Task, outputs: Tree, targets: Tree) -> list[Finding]:
    if isinstance(task, Classification):
        return _chance(task, outputs, targets)
    right = task.right(outputs, targets)
    if len(right) < _FEWEST or bool(right.any()):
        return []
    text = (
        f"The model's result is acceptable on none of the {len(right)} images that were looked at. Check the order of "
        "the model's outputs, the mean and std, the bounds, the annotations' values and the task's floor."
    )
    return [Finding("warning", "clean accuracy", text)]


def _chance(task: Classification, outputs: Tensor, targets: Tensor) -> list[Finding]:
    count = len(targets)
    found = []
    if count > 1 and len(torch.unique(targets)) == 1:
        text = (
            f"All {count} images that were looked at have the label {int(targets[0])}. An audit of one class says "
            "nothing about the others."
        )
        found.append(Finding("warning", "one class", text))
    right = int((task.predict(outputs) == targets).sum())
    if count >= _FEWEST and right <= count / task.classes:
        text = (
            f"The model is right on {right} of the {count} images that were looked at, no more than chance. Check the "
            "order of the classes, the mean and std, the bounds and the order of the colours."
        )
        found.append(Finding("warning", "clean accuracy", text))
    return found


def _difference(one: Tree, other: Tree) -> float:
    pairs = zip(leaves(one), leaves(other), strict=True)
    return max((float((a.double() - b.double()).abs().max()) for a, b in pairs if a.numel()), default=0.0)


def _size(outputs: Tree) -> float:
    """The largest absolute output, at least 1."""
    return max(1.0, *(float(tensor.abs().max()) for tensor in leaves(outputs) if tensor.numel()))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
