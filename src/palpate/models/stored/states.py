"""Weights from files, safely: tensors by safetensors or `weights_only`; every other object is skipped."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from palpate.data.cases import listed
from palpate.errors import InputError
from palpate.models.stored.archives import ALLOW
from palpate.models.stored.files import ModelFile, identify
from palpate.models.stored.numbers import STAND_INS

_ENTRIES = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "network_weights",
    "module",
)
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema", "ema_model", "params_ema")
_FEW = 3
_ACTING = re.compile(
    r"(os|posix|nt|subprocess|sys|shutil|socket|ctypes|importlib|runpy|webbrowser|pty|code|commands|marshal|pickle|io"
    r"|_io|multiprocessing|threading|asyncio|http|urllib|requests|tempfile|types|timeit|pdb|bdb|platform|operator)\b.*"
    r"|(builtins|__builtin__) (?!(set|frozenset|complex|range|slice|bytearray|list|dict|tuple|object|int|float|str)$).*"
)
"""What a malicious pickle imports. Nothing is ever called, so the list is not a defence: it is a warning."""


@dataclass(frozen=True)
class Weights:
    """Tensors by name, and where they were.

    Attributes:
        tensors: on the CPU.
        notes: which entry of the file they are, in sentences for the report; none if they are the whole file.
    """

    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


class Passed:
    """Placeholder for an object of a checkpoint that is not a tensor. It does nothing."""

    def __init__(self, *_: object, **__: object):
        pass

    def __new__(cls, *_: object, **__: object) -> Passed:
        """Accept any arguments."""
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Skip the object's contents too."""


class Filled(Passed):
    """Placeholder for an object that the file fills like a dict: it becomes a plain dict."""

    def __new__(cls, *_: object, **__: object) -> Any:
        """A table of the only kind that torch fills and gives attributes to."""
        return OrderedDict()


def read_weights(path: Path, *, allow_pickle: bool = False, entry: str | None = None) -> Weights | nn.Module:
    """The tensors of a weights file by name, on the CPU; or the module itself if it was pickled.

    Checkpoints with the tensors under `state_dict`, `model` or a similar name are opened. Settings and other objects
    next to them are skipped; they are never created.

    Args:
        path: safetensors, or a file of `torch.save`.
        allow_pickle: load whole pickled modules. Such a file can run any code on this machine.
        entry: which entry of a checkpoint is used, if it has several; a prefix of names works too.

    Raises:
        InputError: the file is missing, damaged, of another kind, has no tensors, or needs pickle.
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
    if file.kind == "safetensors":
        return _tensors(file, _read_safetensors(path), entry)
    try:
        return _tensors(file, _read_torch(file), entry)
    except InputError:
        # What can be read without running code is read in this way, even if more is allowed.
        if not allow_pickle or file.kind != "pickle":
            raise
    held = _unpickled(path)
    return held if isinstance(held, nn.Module) else _tensors(file, held, entry)


def read_checkpoint(path: Path, *, allow_pickle: bool = False, mapped: bool = False) -> object:
    """All that a checkpoint holds, on the CPU; objects that are neither tensors nor plain values are placeholders.

    Args:
        path: a file of `torch.save`.
        allow_pickle: load it whole if it cannot be read otherwise. Such a file can run any code on this machine.
        mapped: leave large tensors on the disk.

    Raises:
        InputError: the file is missing, damaged, of another kind, or needs pickle.
    """
    file = identify(path)
    if file.kind not in ("pickle", "weights"):
        raise InputError(f"model.weights: {path} is not a checkpoint of torch.save. Give the file that training wrote.")
    try:
        return _read_torch(file, mapped=mapped)
    except InputError:
        if not allow_pickle:
            raise
    return _unpickled(path)


def holds_weights(path: Path) -> bool:
    """Whether tensors can be read from a torch file without a flag; large data stay on the disk."""
    try:
        held = _read_torch(identify(path), mapped=True)
        return not isinstance(_tensors(identify(path), held, None), nn.Module)
    except InputError as error:
        return "weights_entry" in str(error)


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        what = " ".join(str(error).split())[:200]
        raise InputError(f"model.weights: {path} is damaged ({what}). Copy or save it again.") from error


def _unpickled(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # a class that cannot be imported, or any other failure of a pickle
        raise _unreadable(path, error) from error


def _read_torch(file: ModelFile, *, mapped: bool = False) -> object:
    path = file.path
    if any(map(_ACTING.fullmatch, file.imports)):
        raise _needs_pickle(file)
    tables: set[str] = set()
    try:
        while True:
            try:
                with warnings.catch_warnings(), _passed_over(file.imports, tables):
                    # Torch warns about pickles of other protocols; the errors of a file are reported below.
                    warnings.simplefilter("ignore")
                    mapping = mapped and zipfile.is_zipfile(path)
                    return torch.load(path, map_location="cpu", weights_only=True, mmap=mapping)
            except pickle.UnpicklingError as error:
                # Settings are often a dict of another class, and torch fills only its own kinds.
                filled = {name for name in file.imports if f"{name}'" in str(error) and "SETITEM" in str(error)}
                if filled <= tables:
                    raise
                tables |= filled
    except pickle.UnpicklingError as error:
        if file.kind == "pickle":
            raise _needs_pickle(file) from error
        raise InputError(f"model.weights: {path} is damaged. Copy or save it again.") from error
    except Exception as error:
        raise _unreadable(path, error) from error


@contextmanager
def _passed_over(imports: tuple[str, ...], tables: Collection[str]) -> Iterator[None]:
    """Let `weights_only` read these names as placeholders; those of `tables` as plain tables."""
    allowing = getattr(torch.serialization, "safe_globals", None)
    if allowing is None or not imports:  # torch before 2.5 refuses such files
        yield
        return
    names: list[Any] = []
    for name in imports:
        module, _, item = name.partition(" ")
        # Pickles name builtins as Python 2 did.
        stand_in = _stand_in(name, name in tables)
        names += [(stand_in, f"{place}.{item}") for place in {module, IMPORT_MAPPING.get(module, module)}]
    with allowing(names):
        yield


def _stand_in(name: str, table: bool) -> Any:
    if name == "collections defaultdict":
        return _empty
    if name in STAND_INS:
        return STAND_INS[name]
    # It has the name of the original, so that torch says which one it cannot fill.
    return type(name, (Filled if table else Passed,), {})


def _empty(*_: object) -> dict[Any, Any]:
    return {}


def _needs_pickle(file: ModelFile) -> InputError:
    return InputError(
        f"model.weights: {file.path} contains pickled objects ({listed(file.imports, _FEW)}), which can run code when "
        f"they are loaded. Save only model.state_dict(). {ALLOW}."
    )


def _unreadable(path: Path, error: Exception) -> InputError:
    what = " ".join(str(error).split())[:200]
    return InputError(f"model.weights: {path} cannot be loaded ({what}). Copy or save it again.")


def _tensors(file: ModelFile, held: object, wanted: str | None) -> Weights | nn.Module:
    names: list[str] = []
    others: list[str] = []
    for _ in range(3):  # a trainer's checkpoint around a model's around its tensors
        if not isinstance(held, Mapping):
            break
        holding = [name for name, value in held.items() if isinstance(value, nn.Module) or _holds_tensors(value)]
        name = wanted if wanted in holding else _entry(file.path, held, holding, wanted)
        if name is None:
            break
        others += [str(other) for other in holding if other != name]
        names.append(str(name))
        held = held[name]
    if isinstance(held, nn.Module):
        return held
    entries = dict(held) if isinstance(held, Mapping) else {}
    tensors = {str(name): value for name, value in entries.items() if isinstance(value, Tensor)}
    if wanted is not None and wanted not in names:
        tensors = _part(file.path, tensors, wanted)
    if tensors:
        also = f" It also has {listed(others, _FEW)}: weights_entry names another one." if others else ""
        note = f'The weights are the entry "{".".join(names)}" of {file.path.name}.{also}'
        return Weights(tensors, (note,) if names else ())
    if isinstance(held, Passed) or any(isinstance(value, Passed) for value in entries.values()):
        raise _needs_pickle(file)
    keys = f" with {listed(list(map(str, entries)), 5)}" if entries else ""
    raise InputError(
        f"model.weights: {file.path} contains {type(held).__name__}{keys}, and no tensors by name. Save "
        "model.state_dict()."
    )


def _part(path: Path, tensors: Mapping[str, Tensor], wanted: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix that the plan names."""
    prefix = f"{wanted.rstrip('.')}."
    found = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not found:
        has = f" It has {listed(list(tensors), 5)}." if tensors else ""
        raise InputError(f"model.weights_entry: {path} has no entry '{wanted}'.{has}")
    return found


def _entry(path: Path, held: Mapping[Any, Any], holding: list[Any], wanted: str | None) -> Any:
    """The entry of a checkpoint with the weights; None if they are the entries themselves."""
    known = next((name for name in (*_ENTRIES, *_AVERAGED) if name in holding), None)
    if known is not None or any(isinstance(value, Tensor) for value in held.values()) or not holding:
        return known
    if len(holding) > 1:
        missing = f"has no entry '{wanted}'" if wanted else "has weights in several entries"
        raise InputError(
            f"model.weights_entry: {path} {missing}: {listed(list(map(str, holding)), 8)}. Name one of them: "
            f'weights_entry = "{holding[0]}".'
        )
    return holding[0]


def _holds_tensors(value: object, depth: int = 2) -> bool:
    """Whether it is a table of tensors by name, or contains such a table."""
    if not isinstance(value, Mapping):
        return False
    texts = {name: inner for name, inner in value.items() if isinstance(name, str)}
    if any(isinstance(inner, Tensor) for inner in texts.values()):
        return True
    known = (*_ENTRIES, *_AVERAGED)
    return depth > 0 and any(_holds_tensors(inner, depth - 1) for name, inner in texts.items() if name in known)
