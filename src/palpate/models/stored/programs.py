"""What an exported program may contain if only its operators may run: members, names, expressions.

`torch.export.load` does more than read. It opens shared libraries (AOTInductor), unpickles objects, evaluates text as
Python (sizes by sympy, guards and names in generated code), imports modules that a structure names, and calls any
function of torch that a node names. So everything here is an allow-list, and everything else needs the flag.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from palpate.errors import InputError
from palpate.models.stored.archives import ALLOW, members_of, packed

_MEMBERS = re.compile(
    r"archive_format|archive_version|byteorder|version|\.format_version|\.storage_alignment"
    r"|\.data/(version|serialization_id)|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(weight_\d+|model_weights_config\.json|model\.pt)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json|model\.pt)"
    r"|serialized_(exported_program\.json|(state_dict|constants|example_inputs)\.(pt|json))"
)
_TEXTS = ("extra/", "extra_files/")
"""Texts that a program's author added. Torch only reads them; they are left out."""
_PROGRAMS = ("models/model.json", "serialized_exported_program.json")
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")

_OPERATOR = re.compile(r"torch\.ops\.(aten|prims|prim|quantized|quantized_decomposed|torchvision)\.\w+(\.\w+)?")
_UNDER = re.compile(r"__i?(and|or|xor|lshift|rshift|not|getitem|contains|is|isnot|derive_index|range_length)__")
"""Operators whose names begin with two underscores; any other such name belongs to Python."""
_FILES = ("save", "from_file")
"""Operators of `aten` that read or write a file."""
_HIGHER = (
    *("wrap_with_set_grad_enabled", "wrap_with_autocast", "cond", "while_loop", "map_impl", "scan", "associative_scan"),
    *("auto_functionalized", "auto_functionalized_v2"),
)
_PYTHON = re.compile(
    r"_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|not_|xor|lshift"
    r"|rshift)|math\.(ceil|floor|trunc|sqrt|pow)|torch\.(_?sym_(int|float|max|min|not|ite|sqrt|sum))"
)
_NAME = re.compile(r"[A-Za-z0-9_.+@ -]*")
"""Names that remain names in generated code."""
_FREE = ("as_string", "as_strings", "torch_version")
"""Texts that torch quotes before they get into code."""
_SYMBOL = re.compile(r"(s|u|f|i|z|zuf|zf)\d+")
_FUNCTIONS = re.compile(
    "FloorDiv|ModularIndexing|Where|PythonMod|Mod|CleanDiv|CeilToInt|FloorToInt|CeilDiv|LShift|RShift|PowByNatural|"
    "FloatPow|FloatTrueDiv|IntTrueDiv|IsNonOverlappingAndDenseIndicator|TruncToFloat|TruncToInt|RoundToInt|"
    "RoundDecimal|ToFloat|Identity|Max|Min|Add|Mul|Pow|Abs|floor|ceiling|sqrt|Integer|Float|Rational|Symbol|"
    "Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan|And|Or|Not|Piecewise|"
    "ExprCondPair|true|false|True|False|oo"
)
"""Functions of sizes that sympy and torch write."""
_QUOTED = {"Symbol": re.compile(r"[A-Za-z_]\w*", re.ASCII), "Float": re.compile(r"-?[0-9.]+(e[+-]?[0-9]+)?")}
"""Functions that take a text: allowed texts."""
_EXPRESSION = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.Name, ast.Load, ast.Constant),
    ast.keyword,
    *(ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.Tuple),
)
_LONGEST = 10_000


def checked_program(path: Path) -> io.BytesIO:
    """The file packed again with only the parts of a plain exported program, for `torch.export.load`.

    Guards, which are Python text, and the origins of nodes are left out: neither changes what is computed.

    Raises:
        InputError: the file is damaged, or contains something that can do more than compute.
    """
    members = members_of(path, "model.exported")
    kept = {name: data for name, data in members.items() if not name.startswith(_TEXTS)}
    for name in kept:
        if not _MEMBERS.fullmatch(name):
            raise _refused(path, _what(name))
    for name in _PROGRAMS + _CONFIGS:
        if name in kept:
            kept[name] = _checked(path, name, kept[name])
    return packed(kept, "" if "serialized_exported_program.json" in kept else "archive")


def _what(name: str) -> str:
    shown = name if name.isascii() and len(name) <= 80 else ascii(name[:80])
    if name.startswith(("data/aotinductor/", "data/executorch/", "data/mtia")):
        return f"compiled code ({shown}), which runs as soon as it is loaded"
    if "custom_obj_" in name or "opaque_obj_" in name:
        return f"pickled objects ({shown})"
    return f"{shown}, which is not part of a plain exported program"


def _refused(path: Path, what: str) -> InputError:
    return InputError(f"model.exported: {path} contains {what}. Export the model again, without it. {ALLOW}.")


def _checked(path: Path, name: str, data: bytes) -> bytes:
    try:
        held = json.loads(data)
        _strip(held)
        for what in _wrong(held, ""):
            raise _refused(path, what)
        return json.dumps(held).encode()
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"model.exported: {path}: {name} is not JSON. Copy or export it again.") from error


def _strip(held: Any) -> None:
    """Remove what describes and does not compute."""
    if isinstance(held, dict):
        if isinstance(held.get("metadata"), dict) and "target" in held:
            held["metadata"] = {}
        if "guards_code" in held:
            held["guards_code"] = []
        for value in held.values():
            _strip(value)
    elif isinstance(held, list):
        for value in held:
            _strip(value)


def _wrong(held: Any, key: str) -> Iterator[str]:
    """What is not allowed, in words."""
    if isinstance(held, dict):
        for name, value in held.items():
            if not _NAME.fullmatch(name):
                yield f"the name {name[:60]!a}, which torch would run as code"
            elif key == "range_constraints" and not _is_expression(name):
                yield f"the size {name[:60]!a}, which torch would run as code"
            yield from _wrong(value, name)
    elif isinstance(held, list):
        for value in held:
            yield from _wrong(value, key)
    elif isinstance(held, str):
        yield from _wrong_text(held, key)


def _wrong_text(text: str, key: str) -> Iterator[str]:
    shown = ascii(text[:60])
    if key in ("target", "as_operator"):
        if not _is_operator(text):
            yield f"the operator {shown}, which may do more than compute"
    elif key == "expr_str":
        if not _is_expression(text):
            yield f"the size {shown}, which torch would run as code"
    elif key in ("in_spec", "out_spec"):
        if not _is_structure(text):
            yield f"the structure {shown}, which makes torch import code"
    elif key == "class_fqn":
        yield f"an object of the class {shown}"
    elif key not in _FREE and not _NAME.fullmatch(text):
        yield f"the name {shown}, which torch would run as code"


def _is_operator(target: str) -> bool:
    if _OPERATOR.fullmatch(target):
        name, *overload = target.split(".")[3:]
        return (
            name not in _FILES
            and (not name.startswith("__") or _UNDER.fullmatch(name) is not None)
            and not any(part.startswith("__") for part in overload)
        )
    higher = target.removeprefix("torch.ops.higher_order.")
    return higher in _HIGHER or _PYTHON.fullmatch(target) is not None


def _is_expression(text: str) -> bool:
    """Whether sympy may evaluate it: it consists of numbers, symbols and functions of sizes."""
    if len(text) > _LONGEST:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    quoted = {id(text) for node in nodes if isinstance(node, ast.Call) for text in _texts_of(node)}
    return all(isinstance(node, _EXPRESSION) and (id(node) in quoted or _is_part(node)) for node in nodes)


def _is_part(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (int, float))
    if isinstance(node, ast.keyword):  # assumptions about a symbol, the precision of a number
        return node.arg is not None and isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Name):
        return (_FUNCTIONS.fullmatch(node.id) or _SYMBOL.fullmatch(node.id)) is not None
    return not isinstance(node, ast.Call) or isinstance(node.func, ast.Name)


def _texts_of(call: ast.Call) -> Iterator[ast.Constant]:
    """The allowed texts of a call: sympy runs any other as code."""
    allowed = _QUOTED.get(call.func.id) if isinstance(call.func, ast.Name) else None
    for node in call.args[:1] if allowed else []:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and allowed and allowed.fullmatch(node.value):
            yield node


def _is_structure(text: str) -> bool:
    """Whether it is the structure of arguments or results: lists, tuples and dicts with plain names."""
    try:
        held = json.loads(text) if text else None
        return _is_plain(held)
    except (ValueError, RecursionError):
        return False


def _is_plain(held: Any) -> bool:
    if isinstance(held, dict):
        odd = held.get("type") == "collections.defaultdict" or any(name.startswith("__") for name in held)
        context = held.get("context")
        inside = isinstance(context, str) and context[:1] in ("[", "{", '"')
        rest = [value for name, value in held.items() if not (inside and name == "context")]
        return not odd and all(map(_is_plain, rest)) and (not inside or _is_structure(str(context)))
    if isinstance(held, list):
        return all(map(_is_plain, held))
    return not isinstance(held, str) or _NAME.fullmatch(held) is not None
