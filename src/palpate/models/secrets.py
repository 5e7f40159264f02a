"""What a service gets in addition to an image: plain texts of the plan, and keys, of which the plan has only the place.

A plan is stored in its run folder and shown in reports, so a key must not be in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote_plus

from palpate.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN = ("host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding", "expect")
_KEY_NAME = re.compile(
    r"key|token|secret|passw|pwd|auth|cookie|credential|signature|session|bearer|^(sig|code|sv|jwt)$", re.IGNORECASE
)
_RUN = re.compile(r"[A-Za-z0-9+=~]{20,}")
_FEWEST_TURNS = 5
"""A key changes between letters and digits this often; a name such as `resnet50chestxraymodelversion2` does not."""
_PREFIX = re.compile(r"[A-Za-z-]{1,20} ?")
_LARGEST = 10_000
_WAYS = '{env = "MY_KEY"} or {file = "key.txt"}, with prefix = "Bearer " if the service needs one'

Place = tuple[tuple[str, str], ...]
"""Where a value comes from, as in the plan: `env`, `file` and `prefix`, or `text`; in order of the names."""


def places(field: str, written: Mapping[str, object]) -> dict[str, Place]:
    """Where the values of `headers` or `query` come from, checked; nothing is read yet.

    No message shows a value: it may be a key.

    Raises:
        InputError: a name cannot be sent, a value is neither a text nor a place, or it is a key itself.
    """
    found = {}
    for name, value in written.items():
        if not _NAME.fullmatch(name) or (field == "headers" and name.casefold() in _OWN):
            raise InputError(f"model.endpoint.{field}: {name[:40]!a} cannot be set. Remove it.")
        found[name] = _place(f"model.endpoint.{field}: {name}", name, value)
    return found


def looks_like_key(text: str) -> bool:
    """Whether a text looks like a secret: twenty characters or more, letters and digits in turn."""
    return any(len(re.findall(r"[0-9]+|[A-Za-z]+", run)) >= _FEWEST_TURNS for run in _RUN.findall(text))


def values(field: str, written: Mapping[str, object], root: Path) -> dict[str, str]:
    """The values of `headers` or `query` by name, read now.

    Args:
        field: `headers` or `query`.
        written: the entries of the plan.
        root: folder that paths of files start from.

    Raises:
        InputError: as in `places`; a variable is not set, a file cannot be read, or a value cannot be sent.
    """
    return {name: _read(f"model.endpoint.{field}: {name}", place, root) for name, place in _each(field, written)}


def secrets(field: str, written: Mapping[str, object], root: Path) -> tuple[str, ...]:
    """The values that are secrets."""
    hidden = [(name, place) for name, place in _each(field, written) if "text" not in dict(place)]
    return tuple(_held(f"model.endpoint.{field}: {name}", dict(place), root) for name, place in hidden)


def open_values(field: str, written: Mapping[str, object]) -> dict[str, str]:
    """The values that are in the plan itself."""
    return {name: text for name, place in _each(field, written) if (text := dict(place).get("text")) is not None}


def _each(field: str, written: Mapping[str, object]) -> list[tuple[str, Place]]:
    return list(places(field, written).items())


def _place(where: str, name: str, value: object) -> Place:
    if isinstance(value, str):
        if _KEY_NAME.search(name) or looks_like_key(value):
            raise InputError(f"{where}: a key must not be in a plan, which the run folder keeps. Write {_WAYS}.")
        return (("text", value),)
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for part in value.values()):
        raise InputError(f"{where}: it must be a text, or the place of a key: {_WAYS}.")
    given = [way for way in ("env", "file") if way in value]
    if len(given) != 1 or set(value) - {"env", "file", "prefix"}:
        raise InputError(f"{where}: it must be a text, or the place of a key: {_WAYS}.")
    place = str(value[given[0]])
    if looks_like_key(place) or (given == ["env"] and not _VARIABLE.fullmatch(place)):
        raise InputError(f"{where}: {given[0]} must be the place of a key, not the key itself. Write {_WAYS}.")
    if "prefix" in value and not _PREFIX.fullmatch(str(value["prefix"])):
        raise InputError(f'{where}: its prefix must be one word, such as "Bearer ".')
    return tuple(sorted((way, str(part)) for way, part in value.items()))


def _read(where: str, place: Place, root: Path) -> str:
    given = dict(place)
    value = given["text"] if "text" in given else given.get("prefix", "") + _held(where, given, root)
    if not value or not value.isascii() or not value.isprintable():
        raise InputError(f"{where}: its value is empty, or has characters that cannot be sent. Correct it.")
    return value


def _held(where: str, given: Mapping[str, str], root: Path) -> str:
    if "env" in given:
        held = os.environ.get(given["env"], "").strip()
        if not held:
            raise InputError(f"{where}: the environment variable {given['env']} is not set. Set it, then start again.")
        return held
    path = root / given["file"]
    try:
        with open(path, "rb") as handle:
            held = handle.read(_LARGEST + 1).decode().strip()
    except (OSError, ValueError) as error:
        raise InputError(f"{where}: the file {given['file']} cannot be read as text. Correct its path.") from error
    if not held or len(held) > _LARGEST:
        raise InputError(f"{where}: the file {given['file']} is empty or too long for a key. Write the key into it.")
    return held


def hidden(text: str, secret: tuple[str, ...]) -> str:
    """A text without the secrets in it."""
    for value in sorted({*secret, *map(quote_plus, secret)}, key=len, reverse=True):
        text = text.replace(value, "[hidden]")
    return text
