"""The shape of images that a model file was made for, as the file says it: nothing of it is loaded or run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from palpate.errors import InputError
from palpate.models.stored.archives import members_of
from palpate.models.stored.onnx_files import read_onnx

_PROGRAMS = ("models/model.json", "serialized_exported_program.json")
_CONFIG = "extra/config.txt"
"""Where Ultralytics writes what a TorchScript was exported for."""
_MOST = 16384


class Fixed(NamedTuple):
    """What a file fixes of the images (C, *spatial) that it takes.

    Attributes:
        channels: C; None if the file leaves it open.
        size: the spatial sides; None if the file leaves one of them open.
    """

    channels: int | None = None
    size: tuple[int, ...] | None = None


def fixed_shape(path: Path) -> Fixed:
    """What an ONNX file, an exported program, or a TorchScript of Ultralytics fixes; nothing for any other file."""
    try:
        if path.suffix.lower() == ".onnx":
            return _of_onnx(read_onnx(path))
        members = members_of(path, "model")
        if program := next((members[name] for name in _PROGRAMS if name in members), None):
            return _of_program(json.loads(program)["graph_module"])
        if _CONFIG in members:
            sides = json.loads(members[_CONFIG])["imgsz"]
            return _fixed([None, None, *(sides if isinstance(sides, list) else [sides, sides])])
    except (InputError, ValueError, KeyError, TypeError, StopIteration, RecursionError):
        pass  # the audit says what is wrong with the file
    return Fixed()


def _of_onnx(model: Any) -> Fixed:
    weights = {tensor.name for tensor in model.graph.initializer}
    images = next(entry for entry in model.graph.input if entry.name not in weights)
    return _fixed([one.dim_value if one.HasField("dim_value") else None for one in images.type.tensor_type.shape.dim])


def _of_program(module: Mapping[str, Any]) -> Fixed:
    given = next(spec["user_input"]["arg"] for spec in module["signature"]["input_specs"] if "user_input" in spec)
    sizes = module["graph"]["tensor_values"][given["as_tensor"]["name"]]["sizes"]
    return _fixed([one.get("as_int") for one in sizes])


def _fixed(sides: list[Any]) -> Fixed:
    """Of a batch (B, C, *spatial); sides that are no sizes count as open."""
    _, channels, *size = [one if isinstance(one, int) and 1 <= one <= _MOST else None for one in sides]
    whole = tuple(one for one in size if one is not None)
    return Fixed(channels, whole if size and len(whole) == len(size) else None)
