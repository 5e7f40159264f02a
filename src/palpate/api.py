"""One line for notebooks; the parts stay open to whoever wants them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from palpate import catalog
from palpate.attacks.robust import robust
from palpate.contracts import AttackResult, Limits, Task, Threat
from palpate.errors import InputError, nearest
from palpate.handling import Handling
from palpate.tasks.classification import Classification
from palpate.tasks.goals import Goal, Towards, Untargeted
from palpate.tasks.heads import Head, OneLogit, Softmax, looks_like_probabilities
from palpate.tensors import Tree
from palpate.threats.ball import BALLS, Ball
from palpate.units import Scale
from palpate.victim import Inferer, Victim


def attack(
    module: nn.Module | Victim,
    images: Tensor,
    targets: Tree,
    name: str = "smia",
    *,
    eps: float | Sequence[float] | Tensor | None = None,
    norm: str = "linf",
    threat: Threat | None = None,
    limits: Limits | None = None,
    robust_to: Sequence[str | Handling] = (),
    bounds: tuple[float, float] = (0.0, 1.0),
    preprocess: Callable[[Tensor], Tensor] | None = None,
    inferer: Inferer | None = None,
    task: Task | None = None,
    goal: Goal | int | None = None,
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

    The module is used in evaluation mode and left as it was. Two-class models with one logit are recognised by
    their output.

    Args:
        module: a model that returns logits (candidates, if a detector); or a `Victim`, which brings its own bounds.
        images: (B, C, *spatial) floating point, stored values inside `bounds`.
        targets: (B,) integer classes, or what `task` expects: masks, boxes, findings.
        name: an attack of the catalog (`palpate list attacks`).
        eps: radius in the units of `images`, for all of them or one per image; give it or `threat`.
        norm: `linf`, `l2` or `l1`.
        threat: a whole threat instead of `eps` and `norm`: `Confined` keeps changes inside a region, to stored steps,
            alike in all channels, or smooth.
        limits: what such a threat needs to know of each image: where it may change (B, 1 or C, *spatial), and how far
            apart the values are that its file can store (B,).
        robust_to: what the found images shall survive, for gradient attacks: names as `palpate list handlings` has
            them, which round over the model's window or the range; or handlings, where images have stored steps:
            `palpate.parse_handling("jpeg2000", palpate.Scale(bounds, step=1))`.
        bounds: lowest and highest value that an image can store, (0, 1), (0, 255), (-1024, 3071) ...
        preprocess: differentiable map from stored values to the module's input (normalisation belongs here).
        inferer: how the module is evaluated on whole images: sliding windows, flips.
        task: what the outputs mean; a classification unless told, recognised by its output.
        goal: of a classification, where the decision should go: a class, a `Goal`, or anywhere but the label.
        seed: makes random attacks repeatable.
        parameters: the attack's own, for example steps=20.

    Returns:
        Adversarial images, margins, success, passes spent: see `AttackResult`.

    Raises:
        InputError: images, labels, model or parameters that cannot be used; the text says what to mend.
    """
    victim = module if isinstance(module, Victim) else Victim(module, bounds, preprocess=preprocess, inferer=inferer)
    if not isinstance(images, Tensor) or images.ndim < 3:
        raise InputError("images: give one tensor of shape (B, C, *spatial).")
    if task is None:
        targets = _checked_labels(images, targets)
    elif goal is not None:
        raise InputError("goal: it belongs to the task that is given. Build the task with it.")
    scale = Scale(victim.bounds, step=None, window=getattr(victim.preprocess, "window", None), known=True)
    chosen = robust(catalog.make(name, _chosen(threat, norm, eps, limits), **parameters), robust_to, scale)
    task = task or _task(victim, images, goal)
    generator = torch.Generator().manual_seed(seed)
    result: AttackResult = chosen(victim, task, images, targets, generator=generator, limits=limits)
    _warn(result)
    return result


def _chosen(
    threat: Threat | None, norm: str, eps: float | Sequence[float] | Tensor | None, limits: Limits | None
) -> Threat:
    if threat is None:
        if eps is None:
            raise InputError("eps: it is missing. Give a radius, such as eps=2/255, or a threat.")
        if limits is not None:
            raise InputError("limits: a plain ball heeds none. Give a threat that does, such as Confined(eps=...).")
        return _threat(norm, eps)
    if eps is not None:
        raise InputError("eps: it belongs to the threat that is given. Build the threat with it.")
    return threat


def _threat(norm: str, eps: float | Sequence[float] | Tensor) -> Ball:
    if norm not in BALLS:
        raise InputError(f"norm: there is no '{norm}'. {nearest(norm, BALLS)}")
    radius = eps.tolist() if isinstance(eps, Tensor) else eps
    if isinstance(radius, Sequence):
        return BALLS[norm](tuple(float(value) for value in radius))
    return BALLS[norm](float(radius))


def _checked_labels(images: Tensor, labels: Tensor) -> Tensor:
    labels = torch.as_tensor(labels, device=images.device)
    if labels.is_floating_point() or labels.numel() != len(images):
        raise InputError(
            f"labels: {labels.dtype} of shape {list(labels.shape)}; give {len(images)} integer classes, one per image."
        )
    return labels.reshape(-1).long()


def _task(victim: Victim, images: Tensor, goal: Goal | int | None) -> Classification:
    if not len(images):
        raise InputError("images: there is none.")
    with victim:
        outputs = victim.judge(images[:1])
    victim.forwards -= 1
    one_logit = outputs.ndim == 1 or outputs.shape[-1] == 1
    head: Head = OneLogit() if one_logit else Softmax()
    wanted = Towards((goal,)) if isinstance(goal, int) else goal or Untargeted()
    return Classification(2 if one_logit else int(outputs.shape[-1]), wanted, head)


def _warn(result: AttackResult) -> None:
    outputs = result.clean_outputs
    if isinstance(outputs, Tensor) and looks_like_probabilities(outputs):
        warnings.warn(
            "The model seems to return probabilities, not logits; cross-entropy is then flattened and attacks look "
            "weaker than they are. Return logits, or take the log of the probabilities.",
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
