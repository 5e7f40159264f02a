"""The parts of an ONNX file: the file, and the files of weights next to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from palpate.errors import InputError

_OWN = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc")
"""Operator sets whose code comes with onnxruntime."""


def onnx_files(path: Path) -> tuple[Path, ...]:
    """The file and those that hold its weights, in order of their names.

    Raises:
        InputError: it is missing, not ONNX, needs its own operators, or names files outside its folder.
    """
    model = read_onnx(path)
    bodies = (model.graph, *model.functions)
    names = {
        entry.value
        for body in bodies
        for tensor in _tensors(body)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return (path, *(_beside(path, name) for name in sorted(names)))


def read_onnx(path: Path) -> Any:
    """The parsed file, without the weights in other files.

    Raises:
        InputError: as in `onnx_files`; or the `onnx` package is missing.
    """
    try:
        import onnx
    except ImportError as error:
        raise InputError("model.onnx: ONNX files need a package. Install it: pip install 'palpate[onnx]'.") from error
    if not path.is_file():
        raise InputError(f"model.onnx: {path} does not exist. Correct its path.")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own exceptions differ between its releases
        raise InputError(f"model.onnx: {path} is not an ONNX file, or is damaged. Export it again.") from error
    if not model.graph.node or not model.graph.output:
        raise InputError(f"model.onnx: {path} contains no network. Give a file of torch.onnx.export or the like.")
    functions = {function.domain for function in model.functions}
    used = {node.domain for body in (model.graph, *model.functions) for node in _nodes(body)}
    foreign = sorted(used - set(_OWN) - functions)
    if foreign:
        raise InputError(
            f"model.onnx: {path} needs its own operators ({', '.join(foreign)}), whose code it does not contain. "
            "Export it with standard operators, or use a factory."
        )
    return model


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _tensors(graph: Any) -> Iterator[Any]:
    """Of a graph, or of the body of a function, which has only the tensors of its nodes."""
    yield from getattr(graph, "initializer", ())
    for sparse in getattr(graph, "sparse_initializer", ()):
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _beside(path: Path, name: str) -> Path:
    found, folder = (path.parent / name).resolve(), path.parent.resolve()
    if not found.is_relative_to(folder):
        raise InputError(f"model.onnx: {path} names weights outside its folder. Put them next to it and export again.")
    if not found.is_file():
        raise InputError(f"model.onnx: {path} keeps weights in {name}, which does not exist. Copy that file too.")
    return path.parent / name
