"""Expressions of a bundle's configuration that are plain values: numbers, texts, lists, references, calls by name.

MONAI evaluates them as Python. Here their syntax tree is read, and whatever could be code is refused: attributes,
functions other than a few of numbers and lists, loops, names. A call of a named function is not made: it becomes an
entry `_target_` with its arguments, which the reader of networks then allows or refuses.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["POSITIONAL", "CodeError", "plain_value"]

POSITIONAL = "_positional_"
"""Key of the positional arguments of a call that became an entry."""
_REFERENCE = re.compile(r"@([A-Za-z_]\w*(?:(?:#|::)\w+)*)")
_NAME = re.compile(r"_reference_(\d+)_")
_LARGEST, _LONGEST = 10**9, 10_000
_NUMBERS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_CONSTANTS = {"monai.utils.CommonKeys.IMAGE": "image", "monai.utils.CommonKeys.LABEL": "label"}
_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {"len": len, "list": list, "tuple": list, "int": int, "float": float}


class CodeError(Exception):
    """An expression is more than a plain value."""


def plain_value(text: str, look_up: Callable[[str], Any]) -> Any:
    """The value of an expression, without its `$`.

    A reference to an entry that is made (`_target_`) stays a reference, as the text `@name`.

    Args:
        text: such as `len(@labels) + 1`, or `monai.networks.nets.resnet18(spatial_dims=2)`.
        look_up: the value of an entry by its name, such as `labels` or `sizes::window`, with plain values only.

    Raises:
        CodeError: it is more than that.
    """
    names: list[str] = []

    def named(found: re.Match[str]) -> str:
        names.append(found[1])
        return f"_reference_{len(names) - 1}_"

    try:
        tree = ast.parse(_REFERENCE.sub(named, text).strip(), mode="eval")
        return _Reader(names, look_up).value(tree.body)
    except (SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
        raise CodeError(str(error)) from error


class _Reader:
    def __init__(self, names: Sequence[str], look_up: Callable[[str], Any]):
        self.names, self.look_up = names, look_up

    def value(self, node: ast.expr) -> Any:  # noqa: PLR0911 - one line for each form
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None):
                return node.value
            case ast.Name(id=name) if found := _NAME.fullmatch(name):
                return self._reference(self.names[int(found[1])])
            case ast.List(elts=entries) | ast.Tuple(elts=entries):
                return [self.value(entry) for entry in entries]
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return not self._known(inner)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -_number(self._known(inner))
            case ast.BinOp(left=left, op=how, right=right) if type(how) in _NUMBERS:
                return _combined(type(how), self._known(left), self._known(right))
            case ast.IfExp(test=test, body=body, orelse=other):
                return self.value(body if self._known(test) else other)
            case ast.Subscript(value=held, slice=ast.Constant(value=int() | str() as key)):
                return self._known(held)[key]
            case ast.Call():
                return self._call(node)
            case ast.Attribute() if (constant := str(_dotted(node))) in _CONSTANTS:
                return _CONSTANTS[constant]
        raise CodeError(f"{type(node).__name__} is code")

    def _reference(self, name: str) -> Any:
        found = self.look_up(name)
        return f"@{name}" if _is_made(found) else found

    def _known(self, node: ast.expr) -> Any:
        """A value to compute with."""
        found = self.value(node)
        if _is_made(found) or (isinstance(found, str) and found.startswith("@")):
            raise CodeError("it computes with an entry that is made")
        return found

    def _call(self, node: ast.Call) -> Any:
        match node.func:
            case ast.Name(id=name) if name in _FUNCTIONS and len(node.args) == 1 and not node.keywords:
                return _FUNCTIONS[name](self._known(node.args[0]))
            case ast.Attribute(value=ast.Name(id=name) as held, attr="to") if _NAME.fullmatch(name):
                return self.value(held)  # the device is palpate's choice
        target = _dotted(node.func)
        if target is None or any(word.arg is None for word in node.keywords):
            raise CodeError("a call that is not of a named function")
        given = {str(word.arg): self.value(word.value) for word in node.keywords}
        return {"_target_": target, POSITIONAL: [self.value(entry) for entry in node.args], **given}


def _combined(how: type, left: Any, right: Any) -> Any:
    together = isinstance(left, (str, list)) and type(left) is type(right) and how is ast.Add
    result = left + right if together else _NUMBERS[how](_number(left), _number(right))
    if (together and len(result) > _LONGEST) or (not together and abs(result) > _LARGEST):
        raise CodeError("its value is too large")
    return result


def _number(value: Any) -> Any:
    if not isinstance(value, (int, float)):
        raise CodeError("it computes with something that is not a number")
    return value


def _is_made(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_is_made, value.values()))
    return isinstance(value, list) and any(map(_is_made, value))


def _dotted(node: ast.expr) -> str | None:
    """`a.b.c` as a text, if it is one."""
    if isinstance(node, ast.Attribute):
        home = _dotted(node.value)
        return f"{home}.{node.attr}" if home else None
    return node.id if isinstance(node, ast.Name) and not _NAME.fullmatch(node.id) else None
