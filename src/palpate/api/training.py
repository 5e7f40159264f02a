"""What `palpate.harden` is given besides a model and images: each is used, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from palpate.api.inputs import Function, images_from, targets_from
from palpate.contracts import Limits, Threat
from palpate.errors import InputError
from palpate.hardening.contracts import Loss
from palpate.hardening.losses.own import OwnLoss
from palpate.models.loading import require_built
from palpate.tensors import Tree
from palpate.threats.ball import check_bounds
from palpate.usercode import ModelError, UserCode, said

MakesOptimiser = Callable[[Iterable[nn.Parameter]], Optimizer]


def require_module(module: Any) -> None:
    """Refuse what cannot be copied and trained: a function, and lazy layers; raises InputError."""
    inside = getattr(module, "module", module) if not isinstance(module, nn.Module) else module
    if isinstance(inside, Function) or (callable(inside) and not isinstance(inside, nn.Module | type)):
        raise InputError(
            "module: a function cannot be trained, because its copy would still use your own weights. Give the torch "
            "module, and what is done before it as preprocess=."
        )
    if isinstance(inside, nn.Module):
        require_built(inside)


def loss_given(loss: Loss | None) -> Loss | None:
    """The user's loss, checked at each call; raises InputError if it is no function."""
    if loss is None:
        return None
    if not callable(loss):
        raise InputError(
            f"loss: it is of type {type(loss).__name__}. Give a function of outputs and targets that returns the loss "
            "of each image (B,)."
        )
    return OwnLoss(_name(loss), loss, "loss")


def optimiser_given(make: MakesOptimiser | None) -> MakesOptimiser | None:
    """What makes the optimiser, checked when it is called; raises InputError if it is no function."""
    example = "Give a function that makes one: optimiser=lambda parameters: torch.optim.AdamW(parameters, lr=1e-4)."
    if make is None:
        return None
    if not callable(make):
        raise InputError(f"optimiser: it is of type {type(make).__name__}. {example}")

    def made(parameters: Iterable[nn.Parameter]) -> Optimizer:
        try:
            with UserCode():
                found = make(parameters)
        except ModelError as error:
            raise InputError(f"optimiser: {_name(make)} fails with {said(error.cause)}. {example}") from error
        if not isinstance(found, Optimizer):
            raise InputError(f"optimiser: {_name(make)} returned {type(found).__name__}. {example}")
        return found

    return made


def require_threat(eps: Any, threat: Any, limits: Any) -> None:
    """Refuse what is no single budget, no function of it, and no limits; raises InputError."""
    if eps is None:
        raise InputError("eps: it is missing. Give a budget, such as eps=2/255.")
    if isinstance(eps, Sequence) and not isinstance(eps, str):
        raise InputError("eps: there are several, and a training has one budget. Give one number, such as eps=2/255.")
    if threat is not None and (isinstance(threat, type) or not callable(threat)):
        raise InputError(
            "threat: it must be a function of the budget, such as threat=lambda eps: palpate.Confined(eps=eps)."
        )
    if limits is not None and not isinstance(limits, Limits):
        raise InputError(f"limits: it is of type {type(limits).__name__}. Give palpate.Limits(...), or leave it out.")


def require_progress(progress: Any) -> None:
    """Refuse what cannot be told how a training proceeds; raises InputError."""
    missing = [name for name in ("start", "step", "epoch", "message") if not callable(getattr(progress, name, None))]
    if progress is not None and missing:
        raise InputError(
            f"progress: {progress!r} has no method {', '.join(missing)}. Give an object like "
            "palpate.hardening.loop.progress.Silence, or leave it out."
        )


def threat_at(threat: Callable[[float], Threat], eps: float) -> None:
    """Try the user's threat; raises InputError if it fails or is none."""
    try:
        with UserCode():
            found = threat(eps)
    except ModelError as error:
        raise InputError(f"threat: it fails with {said(error.cause)} at eps={eps:g}. Correct the function.") from error
    if not hasattr(found, "around"):
        raise InputError(f"threat: it returned {type(found).__name__}. Return a threat, such as palpate.Linf(eps).")


def validation_given(given: Any, images: Tensor, bounds: tuple[float, float]) -> tuple[Tensor, Tree]:
    """The images and targets that choose the epoch.

    Raises:
        InputError: they are no pair, do not fit the training images, or some of them are training images.
    """
    if not (isinstance(given, Sequence) and len(given) == 2):
        raise InputError("validation: give two things, validation=(images, targets).")
    try:
        others = images_from(given[0])
        check_bounds(others, bounds)
        targets = targets_from(others, given[1])
    except InputError as error:
        raise InputError(f"validation: {error}") from error
    if others.ndim != images.ndim or others.shape[1] != images.shape[1]:
        raise InputError(
            f"validation: its images have shape {list(others.shape[1:])}, and those of the training "
            f"{list(images.shape[1:])}. Give images with the same channels and axes."
        )
    known = {_bytes(image) for image in images} if others.shape[1:] == images.shape[1:] else set()
    if shared := sum(_bytes(image) in known for image in others):
        raise InputError(
            f"validation: {shared} of its {len(others)} images are training images too, so they would choose the epoch "
            "that knows them best. Give images of other patients, or leave validation out."
        )
    return others, targets


def lists_as_tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with their lists as the tuples that `[harden]` has."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def _bytes(image: Tensor) -> bytes:
    return image.detach().to("cpu", torch.float32).contiguous().numpy().tobytes()


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
