"""A model from the user's own code: found, called and checked, with errors that name the line in that code."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from palpate.errors import InputError, nearest
from palpate.models.source import factory_file
from palpate.usercode import UserCode

_brought: set[str] = set()
"""Modules imported from an earlier factory's folder: a later factory may have others of the same name."""


def build(factory: str, arguments: Mapping[str, object], root: Path) -> nn.Module:
    """Call a factory and return its module.

    Random initial weights are the same at every call, and the global random state is as before.

    Args:
        factory: `file.py:function` relative to `root`, or `package.module:function`.
        arguments: keyword arguments.
        root: folder of the plan.

    Raises:
        InputError: as in `call`, or it does not return a module.
    """
    made = call(factory, arguments, root)
    if not isinstance(made, nn.Module):
        raise InputError(f"model.factory: {factory} returned {type(made).__name__}. Return one torch.nn.Module.")
    return made


def call(factory: str, arguments: Mapping[str, object], root: Path, *, by_place: bool = False) -> object:
    """What a function of the user returns: `file.py:function` relative to `root`, or `package.module:function`.

    Random numbers are the same at every call, and the global random state is as before.

    Args:
        factory: where the function is.
        arguments: what it is called with, by name.
        root: folder of the plan.
        by_place: give the arguments in their order to a function that has other names for them.

    Raises:
        InputError: the code does not exist, does not take these arguments, or fails. The sentence names the line of
            the user's file.
    """
    place, colon, name = factory.rpartition(":")
    if not colon or not place or not name:
        raise InputError(
            f'model.factory: "{factory}" is not of the form "file.py:function" or "package.module:function".'
        )
    path = factory_file(factory, root)
    # UserCode restores what scripts change for the whole process: gradients off, another number format, the folder.
    with importable(path.parent if path else root), _drawn_alike(), UserCode():
        module = _run_file(path) if path else _import(place, factory)
        function = _function(module, name, factory)
        placed = by_place and not _takes(function, **arguments) and _takes(function, *arguments.values())
        if not placed:
            _check_arguments(function, arguments, factory)
        with _named_place(path, factory, "Correct the code, or model.arguments"):
            return function(*arguments.values()) if placed else function(**arguments)


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """As if a file of this folder were run as a script: modules next to it can be imported."""
    for name in _brought:
        sys.modules.pop(name, None)
    _brought.clear()
    known, entry = set(sys.modules), str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)
        _brought.update(name for name in set(sys.modules) - known if _lies_in(entry, name))


def _lies_in(folder: str, name: str) -> bool:
    top = name.partition(".")[0]
    file = getattr(sys.modules[name], "__file__", None)
    return top != __name__.partition(".")[0] and str(file).startswith(f"{folder}{os.sep}{top}")


@contextmanager
def _drawn_alike() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@contextmanager
def _named_place(path: Path | None, factory: str, fix: str) -> Iterator[None]:
    # User code may fail in any way, `sys.exit` at the end of a script included.
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        what = " ".join(str(error).split())[:200]
        said = f"{type(error).__name__}: {what}" if what else type(error).__name__
        raise InputError(f"model.factory: {_place(error, path) or factory} failed with {said}. {fix}.") from error


def _place(error: BaseException, path: Path | None) -> str | None:
    if path is None:
        return None
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if not frames:
        return str(path)
    within = f", in {frames[-1].name}" if frames[-1].name != "<module>" else ""
    return f"{path}, line {frames[-1].lineno}{within}"


def _run_file(path: Path) -> ModuleType:
    if not path.is_file():
        others = sorted(other.name for other in path.parent.glob("*.py")) if path.parent.is_dir() else []
        hint = nearest(path.name, others) if others else "Correct its path."
        raise InputError(f"model.factory: {path} does not exist. {hint}")
    # Two files of one name are two modules. They are registered, because dataclasses and torch find modules by name.
    name = f"palpate_factory_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"model.factory: {path} is not a Python file. Give a file that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _named_place(path, str(path), "Correct the file"):
        spec.loader.exec_module(module)
    return module


def _import(name: str, factory: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"model.factory: {factory}: there is no module '{error.name}'. Install it, or correct its name."
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        what = " ".join(str(error).split())[:200]
        raise InputError(
            f"model.factory: importing {name} failed with {type(error).__name__}: {what}. Correct that module."
        ) from error


def _function(module: ModuleType, name: str, factory: str) -> Callable[..., object]:
    found: Any = getattr(module, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    public = [other for other, value in vars(module).items() if callable(value) and not other.startswith("_")]
    hint = nearest(name, public) if public else "Define it there."
    raise InputError(f"model.factory: {factory}: there is no function '{name}'. {hint}")


def _takes(function: Callable[..., object], *values: object, **named: object) -> bool:
    try:
        inspect.signature(function).bind(*values, **named)
    except (TypeError, ValueError):
        return False
    return True


def _check_arguments(function: Callable[..., object], arguments: Mapping[str, object], factory: str) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # built-in code has no signature; the call itself will raise
    try:
        signature.bind(**arguments)
    except TypeError as error:
        unknown = [name for name in arguments if name not in signature.parameters]
        hint = nearest(unknown[0], signature.parameters) if unknown and signature.parameters else ""
        raise InputError(f"model.arguments: {factory}{signature}: {error}. {hint}".rstrip()) from error
