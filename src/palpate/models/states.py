"""Weights from files, safely: tensors by safetensors or `weights_only`, fitted to a module or refused by name."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from palpate.data.cases import listed
from palpate.errors import InputError
from palpate.models.archives import ALLOW
from palpate.models.files import ModelFile, identify

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
_FEW = 3


def read_weights(path: Path, *, allow_pickle: bool = False) -> dict[str, Tensor] | nn.Module:
    """The tensors of a weights file by name, on the CPU; or the module itself where a pickle held one.

    Checkpoints that hold the tensors under `state_dict`, `model` or the like are opened.

    Args:
        path: safetensors, or a file of `torch.save`.
        allow_pickle: load what `weights_only` refuses. Such a file can run any code on this machine.

    Raises:
        InputError: the file is missing, damaged, of another kind, holds no tensors, or needs pickle.
    """
    file = identify(path)
    if file.kind in ("torchscript", "exported"):
        raise InputError(
            f"model.weights: {path} is a whole model. Give it as {file.kind}, without factory and weights."
        )
    if file.kind == "unknown":
        raise InputError(
            f"model.weights: {path} is neither safetensors nor a whole torch file. Save model.state_dict() again."
        )
    held = _read_safetensors(path) if file.kind == "safetensors" else _read_torch(file, allow_pickle)
    return held if isinstance(held, nn.Module) else _tensors(path, held)


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"model.weights: {path} is damaged ({error}). Copy or save it again.") from error


def _read_torch(file: ModelFile, allow_pickle: bool) -> object:
    path = file.path
    try:
        with warnings.catch_warnings():
            # Torch remarks on pickles of other protocols; what is wrong with a file is said below.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not allow_pickle and file.kind == "pickle":
            raise InputError(
                f"model.weights: {path} holds pickled objects ({listed(file.imports, _FEW)}), which can run code when "
                f"they are loaded. Save model.state_dict() alone. {ALLOW}."
            ) from error
        if not allow_pickle:
            raise InputError(f"model.weights: {path} is damaged. Copy or save it again.") from error
    except Exception as error:
        raise _unreadable(path, error) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # a class that cannot be imported, or anything else that a pickle may do
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    what = " ".join(str(error).split())[:200]
    return InputError(f"model.weights: {path} cannot be loaded ({what}). Copy or save it again.")


def _tensors(path: Path, held: object) -> dict[str, Tensor] | nn.Module:
    for _ in range(3):  # a trainer's checkpoint around a model's around its tensors
        if not isinstance(held, Mapping):
            break
        inner = next((held[name] for name in _WRAPPERS if isinstance(held.get(name), (Mapping, nn.Module))), None)
        if inner is None:
            break
        held = inner
    if isinstance(held, nn.Module):
        return held
    entries = dict(held) if isinstance(held, Mapping) else {}
    tensors = {str(name): value for name, value in entries.items() if isinstance(value, Tensor)}
    if tensors:
        return tensors
    keys = f" with {listed(entries, 5)}" if entries else ""
    raise InputError(
        f"model.weights: {path} holds {type(held).__name__}{keys}, and no tensors by name. Save model.state_dict()."
    )


def fit(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load tensors into a module, every one of both, without prefixes that training wrappers add.

    Raises:
        InputError: names are missing or left over, shapes differ, or a weight is NaN or infinite.
    """
    own = module.state_dict()
    found = dict(_without_prefixes(tensors, own))
    for name, tensor in own.items():
        if name.endswith("num_batches_tracked"):
            found.setdefault(name, tensor)  # counters that no one reads, absent from old files
    missing = [name for name in own if name not in found]
    unexpected = [name for name in found if name not in own]
    reshaped = [
        f"{name} ({_shape(found[name])} in the file, {_shape(own[name])} in the model)"
        for name in own
        if name in found and isinstance(own[name], Tensor) and found[name].shape != own[name].shape
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
    for name, tensor in found.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(
                f"model.weights: {path}: {name} holds NaN or infinity. Take a checkpoint from before that."
            )
    module.load_state_dict(found)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _without_prefixes(tensors: Mapping[str, Tensor], own: Mapping[str, object]) -> Mapping[str, Tensor]:
    while True:
        prefix = next((p for p in _PREFIXES if tensors and all(name.startswith(p) for name in tensors)), None)
        if prefix is None or any(name.startswith(prefix) for name in own):
            return tensors
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
