"""What a training is: a checkpoint of another one is refused, and the difference is named."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from palpate.errors import StorageError
from palpate.hardening.contracts import Course
from palpate.hardening.loop.weights import digest, live
from palpate.tensors import leaves

_ELSEWHERE = {"data", "validation", "proof_limit"}
"""Parts of `[harden]` that name places on a disk, whose images are compared instead, or come after the training."""
_LATER = {"batch_norm": "train", "operating_point": "keep"}
"""Fields that older checkpoints lack, with the value that those had."""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def identity_of(course: Course, optimiser: Optimizer, given: Mapping[str, str]) -> dict[str, str]:
    """What decides a training, by the name that a sentence can use.

    Args:
        course: the training.
        optimiser: a fresh one.
        given: more of it that the caller knows, such as a digest of the plan or of the training table.
    """
    settings = course.settings.model_dump(mode="json", exclude=_ELSEWHERE)
    settings = {name: value for name, value in settings.items() if name not in _LATER or value != _LATER[name]}
    first = next(iter(course.lessons.epoch(1)))
    tensors = {str(place): tensor for place, tensor in enumerate(leaves((first.images, first.targets)))}
    return {
        **{f"harden.{name}": _plain(value) for name, value in settings.items()},
        "weights": digest(live(course.victim.module)),
        "training images": digest(tensors),
        "batches of an epoch": str(len(course.lessons)),
        "recipe": _plain(course.recipe),
        "fallback": _plain(course.fallback),
        "eps": repr(course.eps),
        "threat": course.threat(course.eps).describe(),
        "optimiser": _optimiser(optimiser),
        "seed": str(course.seed),
        **given,
    }


def environment(device: torch.device, processes: int) -> dict[str, str]:
    """What may change the last digits."""
    found = {"device": device.type, "processes": str(processes), "threads": str(torch.get_num_threads())}
    for package in ("palpate", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def require_same(stored: Mapping[str, str], own: Mapping[str, str], place: str) -> None:
    """Refuse a checkpoint of another training.

    Raises:
        StorageError: it names what differs.
    """
    if differing := _differing(stored, own):
        raise StorageError(
            f"{place} is the checkpoint of another training: {differing}. Restore what was changed, choose another "
            "folder, or delete this one to begin again."
        )


def other_versions(stored: Mapping[str, str], own: Mapping[str, str]) -> str:
    """A sentence on what may change the last digits; empty if nothing differs."""
    differing = _differing(stored, own)
    return f"The training goes on, but its weights may differ in the last digits: {differing}." if differing else ""


def _differing(stored: Mapping[str, str], own: Mapping[str, str]) -> str:
    names = [name for name in {**stored, **own} if stored.get(name) != own.get(name)]
    return "; ".join(_changed(name, stored.get(name), own.get(name)) for name in names)


def _changed(name: str, before: str | None, now: str | None) -> str:
    if before is None or now is None:
        return f"{name} {'is new' if before is None else 'is missing'}"
    if max(len(before), len(now)) > 40 or name == "seed":  # it is derived from that of the plan
        verb = "differ" if name.endswith("s") else "differs"
        return f"{name} {verb}"
    return f"{name} was {before or 'not given'} and is {now or 'not given'}"


def _optimiser(optimiser: Optimizer) -> str:
    groups = [{key: value for key, value in group.items() if key != "params"} for group in optimiser.param_groups]
    return f"{type(optimiser).__name__} {_plain(groups)}"


def _plain(value: Any) -> str:
    text = _ADDRESS.sub("", str(value) if isinstance(value, (str, int, float, bool)) else repr(value))
    if isinstance(value, nn.Module) or len(text) > 2000:
        return hashlib.sha256(text.encode()).hexdigest()
    return text
