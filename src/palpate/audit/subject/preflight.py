"""Check the model, the images and their labels before hours are spent on attacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from palpate import catalog
from palpate.contracts import Task
from palpate.errors import InputError, PalpateError
from palpate.memory import out_of_memory
from palpate.models.detectors.forms import BOX_FORMS
from palpate.models.faults import refusal
from palpate.preprocess.blocking import findings as preprocessing
from palpate.tasks.detection import Detection
from palpate.tasks.output_checks import exchanged, require_batch_axis, require_fractions
from palpate.tasks.saturation import Cooling
from palpate.tasks.suspicion import suspect
from palpate.tensors import Tree, take
from palpate.threats.ball import check_bounds
from palpate.usercode import ModelError, said
from palpate.victim import Victim, dtype_of
from palpate.victim.draws import DRAWS, NOTICED, mean_of, size
from palpate.victim.draws import difference as difference_of
from palpate.victim.forms import is_opaque

_MANY = 0.1
"""A larger share of images without a gradient gives a warning."""
RANDOM = "random model"
_MEANS = 4
"""Means over draws that are compared with each other."""
_TRIED = 4
"""Images on which each step of the preprocessing is tried separately."""


@dataclass(frozen=True)
class AuditFinding:
    """Something that was noticed before the audit, for a line in the report."""

    level: Literal["failure", "warning", "note"]
    """`failure` (do not rely on the figures), `warning` (read them with care) or `note` (good to know)."""
    subject: str
    """Its topic."""
    text: str
    """What was seen, what it means, and the fix."""


def preflight(
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Tree,
    *,
    random_model: str = "refuse",
    draws: int = DRAWS,
    logits: bool = False,
) -> list[AuditFinding]:
    """Try the model on some images: problems that prevent an audit are errors, problems that weaken it are findings.

    Do not call it inside `with victim:`, which hides the mode (train or evaluation) of the model.

    Args:
        victim: the model with its bounds and preprocessing.
        task: what its outputs mean.
        images: (B, C, *spatial) in stored values; a batch, if possible with all classes.
        targets: the annotations, as the task expects them.
        random_model: what to do with a model whose outputs differ from pass to pass: `refuse` or `allow`. If it is
            allowed, `victim.draws` is set: from then on every output is a mean over draws.
        draws: how many.
        logits: the user states that outputs are logits, even if they look like probabilities.

    Returns:
        The findings, in the order of the checks.

    Raises:
        InputError: images are outside the bounds or not finite; the model fails on them, or its outputs have another
            width, are not finite, are probabilities instead of logits, boxes in pixels, or random without permission.
    """
    check_bounds(images, victim.bounds)
    findings = _mode(victim) + _format(victim)
    with victim:
        outputs = _first_pass(victim, images)
        task.validate(outputs, targets)
        findings += _probabilities(task, outputs, targets, logits)
        findings += _boxes(task, outputs, targets)
        random = _randomness(victim, task, images, targets, outputs, draws if random_model == "allow" else 0)
        findings += random or _companions(victim, images, outputs)
        victim.expect(outputs)
        # A mean over draws is another output than the first pass.
        findings += _gradients(victim, task, images, targets, outputs if victim.draws == 1 else victim.judge(images))
    return findings


def _mode(victim: Victim) -> list[AuditFinding]:
    if not any(part.training for part in victim.module.modules()):
        return []
    text = "The model was in train mode; it is audited in evaluation mode, and its mode is restored afterwards."
    return [AuditFinding("note", "train mode", text)]


def _first_pass(victim: Victim, images: Tensor) -> Tree:
    try:
        return victim.judge(images)
    except ModelError as error:
        raise refusal(error.cause, images.shape) from error


def _format(victim: Victim) -> list[AuditFinding]:
    """A model in half or double precision is audited unchanged; the user should know it."""
    dtype = dtype_of(victim.module)
    if dtype in (None, torch.float32):
        return []
    text = (
        f"The model computes in {str(dtype).removeprefix('torch.')}; images are given to it in that format, so "
        "verdicts are those of the unchanged model."
    )
    if dtype != torch.float64:
        text += " Small gradients round to zero there; audit it in float32 (.float()) too, where attacks search better."
    return [AuditFinding("note", "number format", text)]


def _probabilities(task: Task, outputs: Tree, targets: Tree, stated: bool) -> list[AuditFinding]:
    """Cross-entropy of probabilities is nearly flat, and a sigmoid read as a logit always decides for one class."""
    suspicion = suspect(task, outputs, targets, "model.outputs")
    if suspicion is None:
        return []
    if suspicion.sure and not stated:
        raise InputError(suspicion.text)
    text = suspicion.text.removeprefix("model: ")
    return [AuditFinding("warning", "probabilities", text[0].upper() + text[1:])]


def _boxes(task: Task, outputs: Tree, targets: Tree) -> list[AuditFinding]:
    """Refuse boxes that are no fractions, and say where x and y, or corners and centres, seem to be exchanged."""
    if not isinstance(task, Detection):
        return []
    require_fractions(
        outputs,
        task.classes,
        f"Say what they are: model.boxes = {', '.join(repr(form) for form in BOX_FORMS[1:])}; or divide by width and "
        "height in the model.".replace("'", '"'),
    )
    text = exchanged(outputs, targets, task.classes)
    return [AuditFinding("warning", "boxes", text)] if text else []


def _randomness(
    victim: Victim, task: Task, images: Tensor, targets: Tree, outputs: Tree, draws: int
) -> list[AuditFinding]:
    """Refuse a model that draws random numbers, or evaluate it in expectation from now on."""
    difference = difference_of(victim.judge(images), outputs)
    if difference == 0:
        return []
    seen = f"two passes of the same images differ by up to {difference:.3g}"
    if not draws:
        raise InputError(
            f"model: {seen} in evaluation mode, so it draws random numbers (dropout that stays on, random crops). "
            'Turn that off, or accept it: run.random_model = "allow". Then it is attacked and judged in expectation.'
        )
    if is_opaque(victim.module) or difference <= NOTICED * size(outputs):
        why = "A service is not asked several times" if is_opaque(victim.module) else "The difference is small"
        text = (
            f"In evaluation mode {seen}. {why}, so no mean over draws is taken: a success may be luck, and so may a "
            "robust image. Average the model over many draws to get figures that repeat."
        )
        return [AuditFinding("warning", RANDOM, text)]
    unsteady = int(_unsteady(victim, task, images, targets, draws).sum())
    victim.draws = draws
    fixed = difference_of(victim.judge(images), victim.judge(images)) == 0
    text = (
        f"In evaluation mode {seen}: the model draws random numbers. So it is attacked and judged in expectation: each "
        f"output is the mean over {draws} draws (run.draws), others for the search than for the verdict. One pass "
        f"costs {draws} passes of the model. "
    )
    if unsteady > _MANY * len(images) or not fixed:
        text += (
            f"Even so, {unsteady} of {len(images)} decisions change from mean to mean, so a success may be luck, and "
            f"so may a robust image. Write run.draws = {4 * draws}."
        )
        return [AuditFinding("warning", RANDOM, text)]
    return [AuditFinding("note", RANDOM, f"{text}From mean to mean {unsteady} of {len(images)} decisions change.")]


def _unsteady(victim: Victim, task: Task, images: Tensor, targets: Tree, draws: int) -> Tensor:
    """For which images (B,) a mean over so many draws is right and another one wrong."""
    torch.manual_seed(0)
    means = [mean_of([victim.judge(images) for _ in range(draws)]) for _ in range(_MEANS)]
    right = torch.stack([task.right(mean, targets) for mean in means])
    return right.any(0) & ~right.all(0)


def _companions(victim: Victim, images: Tensor, outputs: Tree) -> list[AuditFinding]:
    if len(images) < 2:
        return []
    try:
        alone = victim.judge(images[:1])
    except ModelError as error:
        raise InputError(
            f"model: it answers a batch of {len(images)} images and fails on one image alone ({said(error.cause)}). "
            "Batches shrink while an attack runs; let the model take any number of images."
        ) from error
    require_batch_axis(alone, 1)
    first = take(outputs, torch.zeros(1, dtype=torch.int64, device=images.device))
    difference = difference_of(alone, first)
    if difference <= NOTICED * size(outputs):
        return []
    text = (
        f"The output for one image changes by {difference:.3g} with the other images of its batch (a batch norm "
        "without running statistics does this). Verdicts then depend on the batch; normalise each image separately."
    )
    return [AuditFinding("failure", "batch dependence", text)]


def _gradients(victim: Victim, task: Task, images: Tensor, targets: Tree, outputs: Tree) -> list[AuditFinding]:
    free = ", ".join(name for name, entry in catalog.attacks().items() if not entry.gradient)
    free += ", and of strongest its search"
    seen = preprocessing(victim.preprocess, images[:_TRIED])
    through = [AuditFinding("warning", "preprocessing", text) for level, text in seen if level == "warning"]
    try:
        zero = _gradient(victim, images, lambda outputs: task.loss(outputs, targets)) == 0
        cooling = Cooling.of(task, outputs, targets)
        blocked = zero.clone()
        if bool(zero.any()):
            blocked = zero & (_gradient(victim, images, lambda outputs: task.margin(cooling(outputs), targets)) == 0)
        cooling.marks(zero, torch.arange(len(images), device=images.device))
    except (InputError, RuntimeError) as error:
        if out_of_memory(error):
            raise
        failed = error.cause if isinstance(error, ModelError) else error
        why = (
            f"No gradient flows from the model's output to its input: {_place(victim, images) or error}"
            if isinstance(failed, InputError)
            else f"The model's backward pass fails ({said(failed)}){_named(_place(victim, images))}"
        )
        text = f"{why} Gradient attacks cannot run and robustness is not shown; attacks without gradient: {free}."
        return [AuditFinding("failure", "gradients", text)]
    count, none = len(images), int(blocked.sum())
    if none > _MANY * count:
        place = _place(victim, images) or "rounding or a threshold blocks it; remove that step for the audit."
        text = (
            f"The gradient is exactly zero for {none} of {count} images: {place} Gradient attacks cannot move them; "
            f"attacks without gradient: {free}."
        )
        return [*through, AuditFinding("failure" if none == count else "warning", "gradients", text)]
    if int(zero.sum()) > _MANY * count:
        text = (
            f"The loss is so saturated that its gradient is exactly zero for {int(zero.sum())} of {count} images. "
            "Attacks climb the margin there instead, or the same loss of smaller logits, so nothing is lost."
        )
        return [*through, AuditFinding("warning", "saturation", text)]
    return through


def _named(place: str | None) -> str:
    return f": {place}" if place else "."


def _place(victim: Victim, images: Tensor) -> str | None:
    """What blocks the gradient, with its fix; None if it is not known."""
    try:
        return victim.where_blocked(images)
    # The problem is already known; only its place is searched.
    except (PalpateError, RuntimeError):
        return None


def _gradient(victim: Victim, images: Tensor, value: Callable[[Tensor], Tensor]) -> Tensor:
    """Largest absolute gradient of each image (B,)."""
    place = images.detach().requires_grad_()
    return victim.gradient(value(victim.search(place)), place).flatten(1).abs().amax(1)
