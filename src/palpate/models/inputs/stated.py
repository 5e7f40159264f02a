"""What a model is called with besides images, as its file says it: nothing of it is loaded or run."""

from __future__ import annotations

import ast
import json
import pickletools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from palpate.errors import InputError
from palpate.models.source import ModelSource, factory_file
from palpate.models.stored.archives import members_of

_PROGRAMS = ("models/model.json", "serialized_exported_program.json")


class Stated(NamedTuple):
    """The keywords of a model's `forward` after the images.

    Attributes:
        required: those without a default, in their order.
        optional: those with one.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


def stated_inputs(source: ModelSource, folder: Path) -> Stated | None:
    """The further inputs of a model; None if its files do not say them for certain.

    Read are the code of TorchScript, the signature of an exported program, and the Python file of a factory: a class,
    or a function that returns an object of one class of this file.

    Args:
        source: the model.
        folder: what its paths start from.
    """
    try:
        if source.torchscript:
            return _of_torchscript(members_of(folder / source.torchscript, "model.torchscript"))
        if source.exported:
            return _of_exported(members_of(folder / source.exported, "model.exported"))
        if source.factory and (file := factory_file(source.factory, folder)):
            return _of_factory(ast.parse(file.read_bytes()), source.factory.rpartition(":")[2])
    except (InputError, OSError, SyntaxError, ValueError, KeyError, TypeError, RecursionError):
        pass  # the audit says what is wrong with the file
    return None


def _of_torchscript(members: Mapping[str, bytes]) -> Stated | None:
    """From the code of the class of the whole module, which its pickle names first."""
    named = (argument for opcode, argument, _ in pickletools.genops(members["data.pkl"]) if opcode.name == "GLOBAL")
    module, _, name = str(next(named)).partition(" ")
    tree = ast.parse(members[f"code/{module.replace('.', '/')}.py"])
    return next((_of_class(node) for node in _classes(tree) if node.name == name), None)


def _of_exported(members: Mapping[str, bytes]) -> Stated:
    program: Any = json.loads(next(members[name] for name in _PROGRAMS if name in members))
    specs = program["graph_module"]["signature"]["input_specs"]
    names = [spec["user_input"]["arg"]["as_tensor"]["name"] for spec in specs if "user_input" in spec]
    return Stated(tuple(map(str, names[1:])))


def _of_factory(tree: ast.Module, name: str) -> Stated | None:
    made = next((node for node in tree.body if getattr(node, "name", None) == name), None)
    classes = {node.name: node for node in _classes(tree)}
    if isinstance(made, ast.FunctionDef):
        returned = {_class_of(made, node.value) for node in _returns(made)}
        made = classes.get(returned.pop() or "") if len(returned) == 1 else None
    return _of_class(made) if isinstance(made, ast.ClassDef) else None


def _classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (node for node in tree.body if isinstance(node, ast.ClassDef))


def _returns(function: ast.FunctionDef) -> Iterator[ast.Return]:
    """What a function returns, and not what functions inside it return."""
    places: list[ast.AST] = [*function.body]
    while places:
        node = places.pop()
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            places += ast.iter_child_nodes(node)


def _class_of(function: ast.FunctionDef, value: ast.expr | None) -> str | None:
    """The name that is called to make a value: `Net(3).eval()`, or a variable with one such assignment."""
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        value = value.func.value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id
    if not isinstance(value, ast.Name):
        return None
    given = [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == value.id for target in node.targets)
    ]
    return _class_of(function, given[0]) if len(given) == 1 and isinstance(given[0], ast.Call) else None


def _of_class(made: ast.ClassDef) -> Stated | None:
    forward = next((node for node in made.body if isinstance(node, ast.FunctionDef) and node.name == "forward"), None)
    if forward is None:
        return None
    arguments = forward.args
    placed = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    plain = len(placed) - len(arguments.defaults)
    named = list(zip([argument.arg for argument in arguments.kwonlyargs], arguments.kw_defaults, strict=True))
    return Stated(
        (*placed[2:plain], *(name for name, default in named if default is None)),
        (*placed[max(2, plain) :], *(name for name, default in named if default is not None)),
    )
