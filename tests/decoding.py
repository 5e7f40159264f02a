"""From stored identities back to values: what shows that an identity holds all of its value."""

from __future__ import annotations

from typing import Any

from palpate.audit.plan.identity import NAMES
from palpate.errors import InputError


def decode(data: Any) -> Any:
    """The value that `encode` made into JSON; lists come back as tuples.

    Raises:
        InputError: it names a type that is not palpate's, or fields that the type does not have.
    """
    if isinstance(data, list):
        return tuple(decode(entry) for entry in data)
    if not isinstance(data, dict):
        return data
    if set(data) == {"float"}:
        return float(data["float"])
    if set(data) == {"map"}:
        return {key: decode(entry) for key, entry in data["map"].items()}
    if set(data) != {"type", "fields"} or data["type"] not in NAMES:
        raise InputError(f"identity: {str(data.get('type', data))[:80]!r} is no type of palpate's. Nothing was made.")
    kind = NAMES[data["type"]]
    try:
        return kind(**{name: decode(entry) for name, entry in data["fields"].items()})
    except TypeError as error:
        raise InputError(f"identity: {data['type']} has other fields than those that are stored: {error}.") from error
