"""Put weights into a network: every tensor of both, for any prefix that training added to their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from palpate.data.cases import listed
from palpate.errors import InputError

_FEW = 3
_COUNTER = "num_batches_tracked"
"""Counters that nothing reads; old files do not have them."""
_BESIDE = re.compile(
    r"(criterion|crit|loss\w*|\w*_loss|\w*metrics?|(train|val|valid|test)_\w+)\..*|(.*\.)?total_(ops|params)"
)
"""What trainers store next to a network, and the counts that profilers leave in it."""


def fit(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> list[str]:
    """Load tensors into a module: all of its own must be given.

    If names differ only by a prefix (`module.`, `net.`), and all names and shapes fit without it, the prefix is
    removed. Tensors without the prefix are ignored if they are the smaller part: a loss, metrics, a second head for
    training.

    Returns:
        What else was done, in sentences for the report.

    Raises:
        InputError: names are missing or left over, several prefixes fit, shapes differ, or a weight is NaN or infinite.
    """
    own = {name: tensor for name, tensor in module.state_dict().items() if isinstance(tensor, Tensor)}
    extra = {name: value for name, value in module.state_dict().items() if name not in own}
    found, notes = _named_alike(own, tensors, path)
    _require_fit(own, found, path)
    for name, tensor in found.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"model.weights: {path}: {name} contains NaN or infinity. Use an earlier checkpoint.")
    module.load_state_dict({**extra, **{n: t for n, t in own.items() if n.endswith(_COUNTER)}, **found})
    return notes


def _named_alike(
    own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors by the module's names, and notes for the report."""
    beside = [name for name in tensors if name not in own and _BESIDE.fullmatch(name)]
    plain = {name: tensor for name, tensor in tensors.items() if name not in beside}
    if not _misfits(own, plain):
        return plain, _left(beside)
    ours = _common(own)
    # First the module's names as they are, then without their own prefix; first the whole file, then without extras.
    for lost, held in product(dict.fromkeys(("", ours)), (tensors, plain)):
        bare = {name.removeprefix(lost): tensor for name, tensor in own.items()}
        fitting = [prefix for prefix in _prefixes(bare, held) if not _misfits(bare, _under(prefix, held))]
        if not fitting:
            continue
        _require_one(fitting, tensors, path)
        taken = _under(fitting[0], held)
        left = [name for name in tensors if name.removeprefix(fitting[0]) not in taken]
        return {lost + name: tensor for name, tensor in taken.items()}, [*_renamed(fitting[0], lost), *_left(left)]
    return plain, []


def _require_one(fitting: list[str], tensors: Mapping[str, Tensor], path: Path) -> None:
    """One prefix with most of the file; otherwise it is not clear which network is meant."""
    if len(fitting) > 1:
        shown = ", ".join(f'"{prefix}"' for prefix in fitting[:4])
        raise InputError(
            f"model.weights: {path} has weights for this network under several prefixes: {shown}. Name one: "
            f'weights_entry = "{fitting[0].rstrip(".")}".'
        )
    inside = sum(tensor.numel() for tensor in _under(fitting[0], tensors).values())
    if 2 * inside < sum(tensor.numel() for tensor in tensors.values()):
        part = fitting[0].rstrip(".")
        raise InputError(
            f'model.weights: in {path} only the names under "{part}." fit the network, and they are the smaller part. '
            f'Build the whole network, or choose this part: weights_entry = "{part}".'
        )


def _renamed(theirs: str, ours: str) -> list[str]:
    if theirs and ours:
        return [f'The file calls "{theirs}" what the network calls "{ours}".']
    if theirs:
        return [f'The names in the file begin with "{theirs}", which was left off.']
    return [f'The names in the network begin with "{ours}", which was added to those of the file.'] if ours else []


def _left(names: list[str]) -> list[str]:
    return (
        [f"Tensors of the file that are no part of the network were left out: {listed(names, _FEW)}."] if names else []
    )


def _prefixes(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    """Possible prefixes of the module's names in the file."""
    first = next((name for name in own if not name.endswith(_COUNTER)), None)
    if first is None:
        return []
    ends = [name[: -len(first)] for name in tensors if name.endswith(first)]
    return [prefix for prefix in ends if not prefix or prefix.endswith(".")]


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _misfits(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> bool:
    same = all(name in found and found[name].shape == own[name].shape for name in own if not name.endswith(_COUNTER))
    return not same or any(name not in own for name in found)


def _common(names: Mapping[str, Tensor]) -> str:
    """The prefix that all names share, up to a dot."""
    parts = [name.split(".")[:-1] for name in names]
    shared = []
    for place in zip(*parts, strict=False):
        if len(set(place)) > 1:
            break
        shared.append(place[0])
    return "".join(f"{part}." for part in shared)


def _require_fit(own: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> None:
    missing = [name for name in own if name not in found and not name.endswith(_COUNTER)]
    unexpected = [name for name in found if name not in own]
    reshaped = [
        f"{name} ({_shape(found[name])} in the file, {_shape(own[name])} in the model)"
        for name in own
        if name in found and found[name].shape != own[name].shape
    ]
    problems = [
        f"{what}: {listed(names, _FEW)}"
        for what, names in (
            ("missing in the file", missing),
            ("unknown to the model", unexpected),
            ("of another shape", reshaped),
        )
        if names
    ]
    if problems:
        raise InputError(
            f"model.weights: {path} does not fit the network; {'; '.join(problems)}. Build it with the "
            "arguments (classes, channels, architecture) that these weights were trained with."
        )


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def names_in_file(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> dict[str, str]:
    """The name in the file for each tensor of a module that `fit` finds there.

    Raises:
        InputError: several prefixes fit.
    """
    own = {name: tensor for name, tensor in module.state_dict().items() if isinstance(tensor, Tensor)}
    found, _ = _named_alike(own, tensors, path)
    theirs = {id(tensor): name for name, tensor in tensors.items()}
    return {ours: theirs[id(tensor)] for ours, tensor in found.items()}
