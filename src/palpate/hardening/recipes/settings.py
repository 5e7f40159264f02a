"""Settings of a recipe as a plan has them: known names, and values of the right type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

from palpate.errors import PlanError, nearest


def checked(name: str, settings: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """The settings, with lists as tuples and whole numbers as numbers where these are meant.

    Args:
        name: of the recipe, for messages.
        settings: as the plan has them.
        kind: the recipe's dataclass, whose fields are its settings.

    Raises:
        PlanError: a setting is unknown (the nearest one is proposed), or has the wrong type.
    """
    types, known = get_type_hints(kind), [field.name for field in fields(kind)]
    made = {}
    for key, value in settings.items():
        if key not in known:
            raise PlanError(f"recipe '{name}' has no setting '{key}'. {nearest(key, known)}")
        made[key] = _value(name, key, value, types[key])
    return made


def _value(name: str, key: str, value: Any, wanted: Any) -> Any:
    allowed = _types(wanted)
    if tuple in allowed and isinstance(value, list):
        value = tuple(value)
    inner = get_args(wanted)[0] if get_origin(wanted) is tuple else None
    right = isinstance(value, allowed) and not (isinstance(value, bool) and bool not in allowed)
    if not right or (inner and not all(isinstance(one, _types(inner)) for one in value)):
        what = "true or false" if allowed == (bool,) else _words(allowed, inner)
        raise PlanError(f"recipe '{name}': {key} = {value!r} must be {what}.")
    return value


def _types(wanted: Any) -> tuple[type, ...]:
    """The Python types that a plan may give for an annotation."""
    if get_origin(wanted) is tuple:
        return (tuple,)
    parts = get_args(wanted)
    if parts and all(isinstance(part, str) for part in parts):
        return (str,)
    found = [part for part in (parts or (wanted,)) if part is not type(None)]
    return tuple(found) + ((int,) if float in found and int not in found else ())


def _words(allowed: tuple[type, ...], inner: Any) -> str:
    if inner is not None:
        return "a list of texts" if inner is str else "a list of numbers"
    return {str: "a text", int: "a whole number"}.get(allowed[0], "a number")
