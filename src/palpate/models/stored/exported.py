"""Exported programs (`torch.export`) as modules: no pickle, messages for fixed shapes, evaluation mode checked."""

from __future__ import annotations

import io
import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from palpate.errors import InputError
from palpate.models.stored.archives import ALLOW
from palpate.models.stored.files import identify
from palpate.models.stored.programs import checked_program

_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_RANDOM = ("aten.dropout", "aten.feature_dropout", "aten.alpha_dropout", "aten.native_dropout", "aten.scaled_dot")
# Decomposed instance norms look the same, but have no running statistics (`.no_stats`): they are allowed.
_NORMS = (
    "aten.batch_norm",
    "aten.native_batch_norm",
    "aten._native_batch_norm_legit.default",
    "aten._native_batch_norm_legit_functional",
)


class Exported(nn.Module):
    """An exported program as a module that accepts `eval()`; it is always in evaluation mode.

    Args:
        program: takes images first, and was exported in evaluation mode; further inputs are given by name.
        path: its file, for messages.

    Raises:
        InputError: the program does not take images, or was exported in training mode.

    Attributes:
        further: names of the inputs after the images.
    """

    def __init__(self, program: ExportedProgram, path: Path):
        super().__init__()
        self.path = path
        self.fixed, self.further = _inputs(program, path)
        self._positional = program.call_spec.in_spec.child(0).num_children - 1
        _require_evaluation(program, path)
        self.program = program.module()
        self.train(False)

    def forward(self, images: Tensor, **further: Tensor) -> Any:
        """The program's output for images and its further inputs by name.

        Raises:
            InputError: the images do not have the shape that the program was exported for.
        """
        shape = tuple(images.shape)
        same = len(shape) == len(self.fixed)
        if not same or any(want is not None and have != want for have, want in zip(shape, self.fixed, strict=True)):
            raise InputError(self._mismatch(shape))
        # A program takes its inputs in the way in which the example was given at export.
        placed = [further.pop(name) for name in self.further[: self._positional]]
        return self.program(images, *placed, **further)

    def train(self, mode: bool = True) -> Exported:
        """Set only the flags of the module: what it computes was fixed at export."""
        for part in self.modules():
            part.training = False
        return self

    def _mismatch(self, shape: tuple[int, ...]) -> str:
        wanted = ", ".join("any" if size is None else str(size) for size in self.fixed)
        said = f"model.exported: {self.path} was exported for inputs of shape ({wanted}) and got {shape}."
        if self.fixed and self.fixed[0] is not None and shape[1:] == self.fixed[1:]:
            return (
                f"{said} Export it for any batch: torch.export.export(model, (example,), "
                'dynamic_shapes=({0: torch.export.Dim("batch")},)), with an example of two images.'
            )
        return f"{said} Give images of this shape, or set preprocess.size and preprocess.channels."


def load_exported(path: Path, *, allow_pickle: bool = False) -> Exported:
    """Load a file of `torch.export.save`.

    Such files may contain pickles, compiled code and text that torch runs without a question; here they are refused.

    Args:
        path: the file.
        allow_pickle: let torch load everything in the file. It can then run any code on this machine.

    Raises:
        InputError: the file is missing, damaged, of another kind or release, or can do more than compute.
    """
    file = identify(path)
    if file.kind != "exported":
        raise InputError(f"model.exported: {path} is not an exported program. Give a file of torch.export.save.")
    data = io.BytesIO(path.read_bytes()) if allow_pickle else checked_program(path)
    try:
        with _quiet(), nullcontext() if allow_pickle else _no_pickle(path):
            program = torch.export.load(data)
    except InputError:
        raise
    except Exception as error:  # a damaged zip, another release's schema, a pickle that is refused
        if isinstance(error, pickle.UnpicklingError) and not allow_pickle:
            raise InputError(f"model.exported: {path} contains pickled objects. {_AGAIN}") from error
        what = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"model.exported: {path} cannot be loaded ({what}). Export it again with torch {torch.__version__}."
        ) from error
    return Exported(program, path)


_AGAIN = f"They can run code when they are loaded: export the model again, without them. {ALLOW}."


@contextmanager
def _no_pickle(path: Path) -> Iterator[None]:
    # torch.export.load has two ways to a pickle: torch.load, which obeys this variable, and pickle.loads itself.
    def refuse(*_: object, **__: object) -> None:
        raise InputError(f"model.exported: {path} contains pickled objects. {_AGAIN}")

    before, loads = os.environ.get(_FORCE), pickle.loads
    os.environ[_FORCE] = "1"
    pickle.loads = refuse
    try:
        yield
    finally:
        pickle.loads = loads
        if before is None:
            del os.environ[_FORCE]
        else:
            os.environ[_FORCE] = before


@contextmanager
def _quiet() -> Iterator[None]:
    # torch logs a traceback before it raises; the important part is in our sentence.
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _inputs(program: ExportedProgram, path: Path) -> tuple[tuple[int | None, ...], tuple[str, ...]]:
    """Shape of the images, None where it is free, and the names of the inputs after them."""
    names = program.graph_signature.user_inputs
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    if not nodes or not all(isinstance(node.meta.get("val"), Tensor) for node in nodes):
        raise InputError(
            f"model.exported: {path} takes {len(names)} inputs that are not all tensors. Wrap the model, so that it "
            "takes images first."
        )
    # Free dimensions are symbols, fixed ones plain numbers.
    shape = tuple(size if isinstance(size, int) else None for size in nodes[0].meta["val"].shape)
    return shape, tuple(str(node.name) for node in nodes[1:])


def _require_evaluation(program: ExportedProgram, path: Path) -> None:
    graphs = [part.graph for part in program.graph_module.modules() if isinstance(part, GraphModule)]
    for node in (node for graph in graphs for node in graph.nodes if node.op == "call_function"):
        name = str(node.target)
        if name.startswith((*_RANDOM, *_NORMS)) and _is_training(node):
            kind = "dropout stays random" if name.startswith(_RANDOM) else "its normalisation follows the batch"
            raise InputError(
                f"model.exported: {path} was exported in training mode, so that {kind}. Call model.eval() before "
                "torch.export.export."
            )


def _is_training(node: Any) -> bool:
    schema = getattr(node.target, "_schema", None)
    names = [argument.name for argument in schema.arguments] if schema else []
    given = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    return given.get("train") is True or given.get("training") is True or given.get("dropout_p", 0) != 0
