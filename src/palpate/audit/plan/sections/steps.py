"""`steps` of `[model.preprocess]`: from the text of a plan to the steps of a chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from palpate.audit.plan.problems import Problem
from palpate.errors import InputError, nearest
from palpate.preprocess import (
    CentreCrop,
    Clip,
    CropToBody,
    Invert,
    Normalise,
    Pad,
    PerImage,
    Reorder,
    Resample,
    Rescale,
    Resize,
    Step,
    ToRGB,
    Window,
)

STEPS: Mapping[str, type] = {
    "rescale": Rescale,
    "window": Window,
    "clip": Clip,
    "invert": Invert,
    "resample": Resample,
    "resize": Resize,
    "pad": Pad,
    "centre_crop": CentreCrop,
    "crop_to_body": CropToBody,
    "rgb": ToRGB,
    "normalise": Normalise,
    "per_image": PerImage,
    "reorder": Reorder,
}
"""Every step by the name that plans use."""
_SHORT = {"resample": "spacing", "resize": "size", "pad": "size", "centre_crop": "size", "rgb": "channels"}
_SHORT |= {"per_image": "how"}
_PAIRS = ("window", "clip", "invert")
_EXAMPLES = {
    "rescale": "rescale = {slope = 2.0, intercept = -1024.0}",
    "window": "window = [-160, 240], or window = {centre = 40, width = 400}",
    "clip": "clip = [-1024, 3071]",
    "invert": "invert = [0, 255]",
    "resample": "resample = [1.0, 1.0, 1.0]",
    "resize": "resize = [224, 224]",
    "pad": "pad = [256, 256]",
    "centre_crop": "centre_crop = [224, 224]",
    "crop_to_body": "crop_to_body = {threshold = -500, margin = 8, size = [256, 256]}",
    "rgb": "rgb = 3",
    "normalise": "normalise = {mean = [0.5], std = [0.25]}",
    "per_image": 'per_image = "zscore"',
    "reorder": "reorder = {axes = [2, 1, 0], flip = [0]}",
}
_WANTED = {float: "a number", int: "a whole number", bool: "true or false", str: "a text in quotes"}
_WANTED |= {tuple[float, ...]: "a list of numbers", tuple[int, ...]: "a list of whole numbers"}


def read_steps(written: tuple[Mapping[str, Any], ...]) -> tuple[tuple[Step, ...], list[Problem]]:
    """The steps of a plan that can be read, and the problems of the others; keys begin with the number of the step."""
    steps: list[Step] = []
    problems: list[Problem] = []
    for number, entry in enumerate(written):
        try:
            steps.append(_step(entry))
        except _RefusedError as refused:
            problems.append(((number, *refused.key), refused.text))
    return tuple(steps), problems


class _RefusedError(Exception):
    def __init__(self, key: tuple[str, ...], text: str):
        super().__init__(text)
        self.key, self.text = key, text


def _step(entry: Mapping[str, Any]) -> Step:
    if len(entry) != 1:
        shown = ", ".join(entry) or "none"
        raise _RefusedError(
            (), f"each step is one key, and this one has {shown}. For example: {{window = [-160, 240]}}."
        )
    ((name, written),) = entry.items()
    if name not in STEPS:
        raise _RefusedError((name,), f"there is no such step. {nearest(name, STEPS)}")
    given = _given(name, written)
    kind = STEPS[name]
    try:
        step: Step = kind(**_checked(name, kind, given))
    except InputError as error:
        place, _, text = str(error).partition(": ")
        field = place.rpartition(".")[2]
        inside = isinstance(written, Mapping) and field in written
        raise _RefusedError((name, field) if inside else (name,), text) from error
    return step


def _given(name: str, written: Any) -> dict[str, Any]:
    """The fields of a step; a short form is written out."""
    if isinstance(written, Mapping):
        if name == "window" and set(written) == {"centre", "width"} and all(map(_is_number, written.values())):
            centre, half = written["centre"], written["width"] / 2
            return {"low": centre - half, "high": centre + half}
        return dict(written)
    if name in _PAIRS and isinstance(written, tuple) and len(written) == 2:
        return {"low": written[0], "high": written[1]}
    if name in _SHORT:
        return {_SHORT[name]: written}
    raise _RefusedError((name,), f"it cannot be written like this. For example: {_EXAMPLES[name]}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _checked(name: str, kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in the types of the step (`240` is 240.0); unknown or missing fields and other types are refused."""
    checked = {}
    hints = get_type_hints(kind)
    known = [field for field in fields(kind) if (name, field.name) != ("resample", "of")]
    names = [field.name for field in known]
    for field, value in given.items():
        if field not in names:
            raise _RefusedError((name, field), f"there is no such field. {nearest(field, names)}")
        try:
            checked[field] = TypeAdapter(hints[field], config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError as error:
            short = _SHORT.get(name) == field or name in _PAIRS
            raise _RefusedError((name,) if short else (name, field), _wanted(name, value, hints[field])) from error
    for missing in known:
        if missing.name not in given and missing.default is MISSING:
            raise _RefusedError((name,), f"its {missing.name} is missing. For example: {_EXAMPLES[name]}.")
    return checked


def _wanted(name: str, value: Any, hint: Any) -> str:
    choices = [choice for choice in get_args(hint) if isinstance(choice, str)]
    if choices and isinstance(value, str):
        return f'"{value}" is not one of its values. {nearest(value, choices)}'
    return f"it must be {_WANTED.get(hint, 'a text in quotes')}. For example: {_EXAMPLES[name]}."
