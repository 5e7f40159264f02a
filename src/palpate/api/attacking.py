"""`palpate.attack`: an attack in one line, for notebooks. The parts can also be used separately."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from numbers import Integral
from typing import Any, get_args

import torch
from torch import Generator, Tensor, nn

from palpate import catalog
from palpate.annotations import Boxes
from palpate.api.arguments import require_own_names, require_types
from palpate.api.beside import beside_from, parts, show
from palpate.api.inputs import (
    Radii,
    ball_from,
    bounds_from,
    images_from,
    labels_from,
    model_from,
    scale_of,
    targets_from,
)
from palpate.api.tasks import labels_in, of_task, require_structures, task_named
from palpate.attacks.budgets import both
from palpate.attacks.robust import robust
from palpate.audit.plan.slips import small_radii
from palpate.contracts import Attack, AttackResult, Limits, Task, Threat
from palpate.defences.fitted import checked, fitted
from palpate.defences.reject import Reject
from palpate.errors import InputError, nearest
from palpate.metrics.robustness import SLACK
from palpate.models.blackbox import FromProbabilities
from palpate.models.detectors.shipped import read_shipped
from palpate.models.faults import refusal
from palpate.models.inputs.module import WithInputs
from palpate.models.outputs import Chosen
from palpate.models.source import Outputs
from palpate.postprocessing import PostProcessing
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.tasks.goals import ClassGoal, Towards, Untargeted
from palpate.tasks.heads import Head, OneLogit, Softmax
from palpate.tasks.kinds import is_targeted, kind_of
from palpate.tasks.output_checks import require_batch_axis, require_fractions, require_scores
from palpate.tasks.screening import Screened, answer_of, screened
from palpate.tasks.suspicion import suspect
from palpate.tensors import Tree, mapped
from palpate.threats.ball import check_bounds, rounding
from palpate.units import Scale
from palpate.usercode import ModelError
from palpate.victim import Defence, Inferer, Victim
from palpate.victim.draws import DRAWS, NOTICED, difference, size
from palpate.victim.forms import is_opaque

_TRIED = 32
"""Number of images that the model is tried on before it is attacked."""
_FEWEST = 4
"""From this number of images on, one answer for all of them gives a warning."""


def attack(
    module: nn.Module | Victim | Callable[[Tensor], Any],
    images: Tensor | Any,
    targets: Tree,
    name: str = "smia",
    *,
    eps: Radii | None = None,
    norm: str = "linf",
    threat: Threat | None = None,
    limits: Limits | None = None,
    robust_to: Sequence[str | PostProcessing] = (),
    bounds: tuple[float, float] = (0.0, 1.0),
    unit: str | None = None,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    inferer: Inferer | None = None,
    defences: Sequence[Defence] = (),
    outputs: Outputs | None = None,
    output: str | int | None = None,
    inputs: Mapping[str, Any] | None = None,
    task: Task | str | None = None,
    goal: ClassGoal | int | None = None,
    seed: int = 0,
    **parameters: Any,
) -> AttackResult:
    """Attack a model and return the full result.

        result = palpate.attack(module, images, labels, "smia", eps=2/255)
        result.images, result.success, result.robust_accuracy

        result = palpate.attack(module, slices, masks, "cospgd", eps=10, bounds=(-1024, 3071), task=Segmentation(2))

        threat = palpate.Confined(eps=5, lattice=True, region="inside body")
        limits = palpate.Limits(region=body, step=torch.ones(len(slices)))
        result = palpate.attack(module, slices, labels, "pgd", threat=threat, limits=limits, bounds=(-1024, 3071))

        result = palpate.attack(module, photos, labels, "pgd", eps=2, bounds=(0, 255), robust_to=["jpeg75", "blur1"])

    The module is used in evaluation mode, and its mode is restored. Two-class models with one logit are recognised by
    their output. The rules are those of a plan: an attack that is not made for the task is refused. A model that draws
    random numbers is attacked and judged in expectation, with a warning: every output is the mean over 16 draws.

    Args:
        module: a model that returns logits (candidates, if it is a detector), or a function that does; or a `Victim`,
            which has its own bounds. Modules inside a function are put into evaluation mode.
        images: (B, C, *spatial), a tensor or array of stored values inside `bounds`; whole numbers become float32.
        targets: (B,) integer classes, or what `task` expects: masks, boxes, findings.
        name: an attack of the catalog (`palpate list attacks`).
        eps: radius in the units of `images`, for all of them or one per image; a text is a share of the range, such as
            "8/255", or has the unit of the images, "5 HU". Give either `eps` or `threat`.
        norm: `linf`, `l2` or `l1`.
        threat: instead of `eps` and `norm`: `Confined` is in a region, on stored steps, in all channels, or smooth.
        limits: what such a threat needs to know about each image: where it may change (B, 1 or C, *spatial), and the
            distance between values that its file can store (B,).
        robust_to: post-processing steps that the images must survive, for gradient attacks: names from `palpate list
            post-processing`, which round over the model's window or the range; or steps, if images have stored steps:
            `palpate.parse_post_processing("jpeg2000", palpate.Scale(bounds, step=1))`.
        bounds: lowest and highest value that an image can store, (0, 1), (0, 255), (-1024, 3071) ...
        unit: unit of the values, for eps as text; HU by default where the lowest bound is -900 or less.
        preprocess: differentiable map from stored values to the module's input (normalisation belongs here).
        inferer: how the module is evaluated on whole images: sliding windows, flips.
        defences: what surrounds the module, in stored values, the first outermost (`palpate.defences`). The attack
            knows them, and what is judged is the defended model.
        outputs: `logits`, or probabilities of a `softmax` or a `sigmoid`, which are turned into logits. Without it,
            outputs that look like probabilities are refused.
        output: for a model that returns a dict, a tuple or a list: name or place of the output to use, `aux.0`.
        inputs: what the model is called with besides images: keyword -> one row for each image. Images with different
            inputs are never shown to the model together.
        task: what the outputs mean; a classification by default, recognised by its output; "segmentation",
            "multilabel", or a task such as `palpate.tasks.segmentation.Segmentation(2)`.
        goal: for a classification, the decision to reach: a class or a `ClassGoal`; by default any wrong class.
        seed: makes random attacks repeatable.
        parameters: parameters of the attack, for example steps=20.

    Returns:
        Adversarial images, margins, success, number of passes: see `AttackResult`.

    Raises:
        InputError: images, labels, model or parameters cannot be used; the text says what to fix.
    """
    with torch.inference_mode(False), torch.enable_grad():
        require_types(name, threat, task, goal, seed)
        require_own_names(parameters, attack)
        images = images_from(images)
        beside = beside_from(inputs, len(images))
        victim = victim_given(
            module, bounds, outputs, output, preprocess=preprocess, inferer=inferer, defences=defences, inputs=beside
        )
        check_bounds(images, victim.bounds)
        groups = [*parts(beside, len(images), len(images))]
        show(victim, beside, groups[0])
        tried = images[groups[0]]
        task = task_named(task, victim, tried)
        if task is not None:
            victim.defences = fitted(victim.defences, task)
        calibrate(victim, tried)
        if task is not None and goal is not None:
            raise InputError("goal: it belongs to the task that is given. Build the task with it.")
        targets = labels_from(images, targets) if task is None else of_task(task, images, targets_from(images, targets))
        require_structures(task, labels_in(task, targets))
        scale = scale_of(victim, unit)
        ball = _chosen(threat, norm, eps, limits, scale)
        robust(catalog.make(name, ball, **parameters), robust_to, scale)  # refused before the model is tried
        _require_fit(name, task)
        first = mapped(lambda tensor: tensor[groups[0]], targets)
        task = looked_at(victim, tried, first, task, goal, stated=outputs is not None)
        _require_fit(name, task)
        generator, found = torch.Generator().manual_seed(int(seed)), []
        for part in groups:
            show(victim, beside, part)
            chosen = robust(catalog.make(name, _of(ball, part), **parameters), robust_to, scale)
            own, true, around = mapped(lambda tensor, part=part: tensor[part], (images, targets, limits))
            found.append(_carried_out(chosen, victim, task, own, true, around, generator))
    result = reduce(both, found)
    _warn(result, name, ball)
    return result


def _carried_out(
    attack: Attack, victim: Victim, task: Task, images: Tensor, targets: Tree, limits: Limits | None, draws: Generator
) -> AttackResult:
    """The result; raises InputError if the model fails."""
    try:
        return attack(victim, task, images, targets, generator=draws, limits=limits)
    except ModelError as error:
        raise refusal(error.cause, images.shape, "call") from error


def _of(threat: Threat, part: slice) -> Threat:
    """The threat of some of the images: a radius may be one per image."""
    return replace(threat, eps=threat.eps[part]) if isinstance(threat.eps, tuple) else threat  # type: ignore[type-var]


def victim_given(
    module: Any,
    bounds: tuple[float, float],
    outputs: Outputs | None,
    output: str | int | None,
    *,
    preprocess: Callable[[Tensor], Tensor] | None,
    inferer: Inferer | None,
    defences: Sequence[Defence] = (),
    inputs: Collection[str] = (),
) -> Victim:
    """The model that was given, as a victim; raises InputError if it cannot be one."""
    if outputs not in (None, *get_args(Outputs)):
        raise InputError(f"outputs: {outputs!r} is not one of its values. {nearest(str(outputs), get_args(Outputs))}")
    probabilities = outputs not in (None, "logits")
    if isinstance(module, Victim):
        given = {
            "outputs": probabilities,
            "output": output is not None,
            "preprocess": preprocess is not None,
            "inferer": inferer is not None,
            "inputs": len(inputs) > 0,
            "defences": len(checked(defences)) > 0,
            "bounds": bounds_from(bounds) not in ((0.0, 1.0), module.bounds),
        }
        if taken := next((name for name, wanted in given.items() if wanted), None):
            raise InputError(f"{taken}: a Victim has its own. Leave it out, or give the module alone.")
        return module
    if not (preprocess is None or callable(preprocess)):
        raise InputError(f"preprocess: {preprocess!r} cannot be called. Give a function of images, or leave it out.")
    model = model_from(module)
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise InputError(
            "module: it was made under torch.inference_mode, so it can never have gradients. Build it outside."
        )
    whole = WithInputs(model, [*inputs]) if inputs else model
    part = whole if output is None else Chosen(whole, output)
    wrapped = FromProbabilities(part, str(outputs)) if probabilities else part
    around = checked(defences)
    return Victim(wrapped, bounds_from(bounds), preprocess=preprocess, inferer=inferer, defences=around)


def calibrate(victim: Victim, images: Tensor) -> None:
    """Set the threshold of a detector from the images of the call, if it has none."""
    first = victim.defences[0] if victim.defences else None
    if isinstance(first, Reject) and first.threshold is None:
        inside = victim.defences[1:]
        victim.defences, spent = inside, victim.forwards
        with victim, torch.no_grad():
            first = first.calibrated(first.score(images, lambda asked: _tried(victim, asked)))
        victim.defences, victim.forwards = (first, *inside), spent


def _chosen(threat: Threat | None, norm: str, eps: Radii | None, limits: Limits | None, scale: Scale) -> Threat:
    if threat is None:
        if eps is None:
            raise InputError("eps: it is missing. Give a radius, such as eps=2/255, or a threat.")
        if limits is not None:
            raise InputError(
                "limits: a plain ball does not use them. Give a threat that does, such as Confined(eps=...)."
            )
        ball = ball_from(norm, eps, scale)
        written = [eps] if isinstance(eps, str) else ball.eps if isinstance(ball.eps, tuple) else [ball.eps]
        if question := small_radii("eps", written, norm, scale.bounds):
            warnings.warn(question, stacklevel=3)
        return ball
    if eps is not None:
        raise InputError("eps: it belongs to the threat that is given. Build the threat with it.")
    return threat


def _require_fit(name: str, task: Task | None) -> None:
    """Refuse an attack that is not made for the task, as a plan does; tasks of other packages are accepted."""
    if task is not None and (kind := kind_of(task)) is not None:
        catalog.check_supports(name, kind, targeted=is_targeted(task))


def looked_at(
    victim: Victim, images: Tensor, targets: Tree, task: Task | None, goal: ClassGoal | int | None, *, stated: bool
) -> Task:
    """The task, after the model was tried on some images; models that would give wrong figures are refused."""
    count = min(len(images), _TRIED)
    rows = torch.tensor([place * len(images) // count for place in range(count)], device=images.device)
    spent = victim.forwards
    if isinstance(task, Detection):
        _read_shipped(victim, images[rows[:4]], task.take(targets, rows[:4]), task.classes)
    with victim:
        outputs, alone = _tried(victim, images[rows]), _tried(victim, images[:1])
        outputs = _in_expectation(victim, images[rows], outputs)
    victim.forwards = spent
    require_batch_axis(alone, 1)
    task = task or _task(answer_of(outputs), len(rows), goal)
    task = screened(task) if isinstance(outputs, Screened) else task
    task.validate(outputs, some := task.take(targets, rows))
    if isinstance(task, Detection):
        require_fractions(
            outputs,
            task.classes,
            "Convert them in the model: palpate.models.detectors.forms.FromBoxes(model, FORM) does it, with FORM "
            '"pixels", "centres" or "pixel centres".',
        )
    suspicion = suspect(task, outputs, some, "outputs") if kind_of(task) is not None else None
    if suspicion is not None and not stated:
        if suspicion.sure:
            raise InputError(suspicion.text)
        warnings.warn(suspicion.text, stacklevel=4)
    elif isinstance(task, Classification):
        _warn_of_one_answer(task.predict(outputs), some)
    return task


def _read_shipped(victim: Victim, images: Tensor, truth: Boxes, classes: int) -> None:
    """Read a detector that returns no candidates as it is shipped; its form is recognised on these images."""
    read = read_shipped(victim.module, victim.bounds, victim.preprocess, lambda: (images, truth), classes)
    if read is None:
        return
    victim.module = read.module
    if read.seen is not None:
        warnings.warn(
            f"The detector's output was recognised: {read.seen.form.describe()}. If that is wrong, wrap it: "
            "palpate.models.detectors.shipped.ShippedDetector(model, Form(...), classes).",
            stacklevel=5,
        )


def _warn_of_one_answer(predicted: Tensor, labels: Tensor) -> None:
    """Warn if all images get one answer: the figures would then say little about the model."""
    count = len(labels)
    if count >= _FEWEST and bool((predicted == predicted[0]).all()) and not bool((labels == labels[0]).all()):
        warnings.warn(
            f"The model answers class {int(predicted[0])} to all {count} images that were tried, whose labels differ. "
            "Check the weights, preprocess, bounds, and outputs (logits or probabilities).",
            stacklevel=5,
        )


def _tried(victim: Victim, images: Tensor) -> Tree:
    try:
        return victim.judge(images)
    # Errors of the user's code are shown to the user: one sentence, and the traceback after it.
    except ModelError as error:
        raise refusal(error.cause, images.shape, "call") from error


def _in_expectation(victim: Victim, images: Tensor, outputs: Tree) -> Tree:
    """The outputs; if they differ from those of a second pass, from now on means over draws, with a warning."""
    differ = difference(_tried(victim, images), outputs)
    # NaN is no difference; outputs that have it are refused later.
    if not differ > NOTICED * size(outputs):
        return outputs
    text = f"The model draws random numbers: two passes of the same images differ by up to {differ:.3g}. "
    if is_opaque(victim.module):
        warnings.warn(f"{text}It computes outside torch and is asked once, so a success may be luck.", stacklevel=5)
        return outputs
    victim.draws = DRAWS
    warnings.warn(
        f"{text}It is attacked and judged in expectation: each output is the mean over {DRAWS} draws. "
        "Victim(..., draws=64) takes more.",
        stacklevel=5,
    )
    return _tried(victim, images)


def _task(outputs: Tree, count: int, goal: ClassGoal | int | None) -> Classification:
    require_scores(outputs, count, "one score per class (unless you give another task)")
    if outputs.ndim > 2 and all(size == 1 for size in outputs.shape[2:]):
        raise InputError(
            f"model: its output has shape {list(outputs.shape)}. Remove the axes of length 1 at the end: "
            "outputs.flatten(1)."
        )
    if outputs.ndim > 2:
        raise InputError(
            f"model: its output has shape {list(outputs.shape)}, not one score per class. Give the task that reads it, "
            "such as palpate.tasks.segmentation.Segmentation(1)."
        )
    one_logit = outputs.ndim == 1 or outputs.shape[-1] == 1
    head: Head = OneLogit() if one_logit else Softmax()
    if isinstance(goal, Integral):
        goal = Towards((int(goal),))
    wanted: Any = goal or Untargeted()
    return Classification(2 if one_logit else int(outputs.shape[-1]), wanted, head)


def _warn(result: AttackResult, name: str, threat: Threat) -> None:
    allowed = torch.tensor(threat.eps, dtype=torch.float64).to(result.distance.device).expand(len(result))
    far = result.distance.double() > allowed * (1 + SLACK) + rounding(result.images, threat.norm)
    if bool(far.any()):
        warnings.warn(
            f"'{name}' changed {int(far.sum())} of {len(result)} images by more than eps, up to "
            f"{float((result.distance.double() / allowed).max()):.3g} times the radius. Robust accuracy and success "
            "do not hold at this eps; look at result.distance.",
            stacklevel=3,
        )
    blocked = int(result.blocked_gradient.sum())
    if blocked:
        warnings.warn(
            f"For {blocked} of {len(result)} images the model's gradient is exactly zero, so a gradient attack cannot "
            "move them: their robustness is not shown.",
            stacklevel=3,
        )
    if not bool(result.eligible.any()):
        warnings.warn("No image was attacked: the model is wrong on all of them from the start.", stacklevel=3)
