"""TorchScript: a program, whose code is checked before any of it runs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from palpate.data.cases import listed
from palpate.errors import InputError
from palpate.models.stored.archives import ALLOW, members_of, packed
from palpate.models.stored.files import identify

_FIELD = "model.torchscript"
_FILES = re.compile(rb"\b(save|from_file)\b")
"""Operators of torch that read or write a file. As single words: what is before one could be torch by another
name."""
_REMOTE = re.compile(rb"\b(rpc_async|rpc_sync|rpc_remote)\b")
_SPACE = re.compile(rb"(?<![\w.])ops\b(?:\s*\.\s*(\w+))?")
_CLASS = re.compile(rb"\bclasses\s*\.\s*(\w+)")
_PICKLED_CLASS = re.compile(rb"\bclasses[.\s]+(\w+)")
"""In a pickle the name of a class may be two parts with a line break between them."""
_KNOWN_SPACES = (b"aten", b"prim", b"prims", b"quantized", b"mkldnn", b"mkldnn_prepacked", b"onednn", b"torchvision")
"""Namespaces of operators that only compute."""
_KNOWN_CLASSES = (b"quantized", b"rnn", b"mkldnn", b"xnnpack")
_HIDDEN = re.compile(rb"\\[x0-7uUN]")
_TEXT = rb'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\''
_TEXT_OR_COMMENT = re.compile(rb"(" + _TEXT + rb")|#[^\n]*|\\\n")
_TEXTS = re.compile(rb"(?:" + _TEXT + rb")((?:\s*(?:" + _TEXT + rb"))*)")
"""A text, and those that follow it directly: torch joins them into one."""
_SHOWS = re.compile(rb"\b(print|warn)\b")
_CHR = re.compile(rb"\bchr\b")
_CONTROLS = re.compile(rb"\\[abfrvx0-7uUN]|[\x00-\x08\x0b-\x1f\x7f-\xff]")
"""How a text of a program can contain control codes for a terminal."""
_EXTRA = "extra/"


def load_torchscript(path: Path, *, allow_code: bool = False) -> nn.Module:
    """The module of a file of `torch.jit.save`, in evaluation mode, on the CPU.

    Args:
        path: the file.
        allow_code: load it even if it has operators that can do more than compute. They can run when it is loaded.

    Raises:
        InputError: the file is missing, damaged, of another kind, was traced in training mode, or uses files.
    """
    kind = identify(path).kind
    if kind == "exported":
        raise InputError(f"{_FIELD}: {path} is an exported program. Give it as exported.")
    if kind != "torchscript":
        raise InputError(f"{_FIELD}: {path} is not TorchScript. Give a file of torch.jit.save.")
    members = {name: data for name, data in members_of(path, _FIELD).items() if not name.startswith(_EXTRA)}
    if not allow_code and (found := reaching_out(members)):
        raise InputError(f"{_FIELD}: {path} is a program that can do more than compute: {listed(found, 4)}. {ALLOW}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            loaded: nn.Module = torch.jit.load(packed(members), map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # a damaged zip, or operators that this release of torch does not have
        what = " ".join(str(error).split())[:200]
        raise InputError(f"{_FIELD}: {path} cannot be loaded ({what}). Save it again.") from error
    if _is_stuck_in_training(loaded):
        raise InputError(
            f"{_FIELD}: {path} was traced in training mode, so that its outputs stay random or depend on "
            "the batch. Call model.eval() before torch.jit.trace."
        )
    return loaded.eval()  # frozen TorchScript has no mode until one is set


def reaching_out(members: Mapping[str, bytes]) -> list[str]:
    """What in a file's code and objects can use files, other machines, or code that is not torch's: in words.

    The code of all methods of all modules is text in the file, `__setstate__` included, which runs while it is loaded.

    Args:
        members: the members of the file, by name.
    """
    found: dict[str, None] = {}
    for name, data in members.items():
        if name.startswith("code/") and name.endswith(".py"):
            data = _TEXT_OR_COMMENT.sub(lambda match: match[1] or b" ", data)
            found |= dict.fromkeys(_in_code(data))
        if name.endswith((".py", ".pkl")):
            pattern = _CLASS if name.endswith(".py") else _PICKLED_CLASS
            others = [match[1].decode() for match in pattern.finditer(data) if match[1] not in _KNOWN_CLASSES]
            found |= dict.fromkeys(f"it contains objects of torch.classes.{other}" for other in others)
    return list(found)


def _in_code(text: bytes) -> Iterator[str]:
    for match in _FILES.finditer(text):
        yield f"torch.{match[1].decode()} {'writes' if match[1] == b'save' else 'opens'} files"
    for match in _REMOTE.finditer(text):
        yield f"{match[1].decode()} calls other machines"
    for match in _SPACE.finditer(text):
        if match[1] not in _KNOWN_SPACES:
            yield f"torch.ops.{match[1].decode()} is not torch's own" if match[1] else "it passes torch.ops on"
    if b"getattr" in text and _HIDDEN.search(text):
        yield "it writes names as numbers, which can hide what it does"
    texts = list(_TEXTS.finditer(text))
    if any(match[1] for match in texts):
        yield "it writes texts in pieces, which can hide what it does"
    if _SHOWS.search(text) and (_CHR.search(text) or any(_CONTROLS.search(match[0]) for match in texts)):
        yield "it prints control codes for a terminal"


def _is_stuck_in_training(module: Any) -> bool:
    # Traced code has the mode as a constant; scripted code reads it, and so obeys eval().
    graph = module.inlined_graph
    modes = {"aten::dropout": 2, "aten::feature_dropout": 2, "aten::batch_norm": 5}
    return any(
        list(node.inputs())[place].toIValue() is True
        for name, place in modes.items()
        for node in graph.findAllNodes(name)
    )
