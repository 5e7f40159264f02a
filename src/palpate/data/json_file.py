"""JSON that describes data: limited in size and depth, and each name once."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from palpate.data.places import from_folder
from palpate.data.texts import read_bytes, too_deep
from palpate.errors import InputError, nearest

_HALF_LETTER = re.compile(rb"\\u[dD][89a-fA-F]")
_WORDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: the file is missing, too large, not JSON, nested too deeply, names a key twice, or has a number
            that is not finite or a text that is not valid.
    """
    raw = read_bytes(path, "JSON")
    if too_deep(raw):
        raise InputError(f"{path} is nested too deeply to be a description of data. Give the right file.")
    try:
        document = json.loads(raw, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
        if _HALF_LETTER.search(raw):
            json.dumps(document, ensure_ascii=False).encode()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except UnicodeEncodeError as error:
        raise InputError(f"{path} holds half a letter (a lone surrogate, such as \\ud800). Save it again.") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}). Save it again.") from error
    return document


def entry(path: Path, place: str, holder: Any, key: str, kind: type) -> Any:
    """One value of an object, of the required kind; `place` says where the object is, or is empty.

    Raises:
        InputError: the holder is not an object, the key is missing, or its value is of another kind.
    """
    where = f"{path}, {place}" if place else str(path)
    if not isinstance(holder, dict):
        raise InputError(f"{where} is {_kind(holder)}, and an object with '{key}' is needed. Correct the file.")
    if key not in holder:
        hint = nearest(key, holder) if holder else "It is empty."
        raise InputError(f"{where} has no '{key}'. {hint}")
    value = holder[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"{where}: '{key}' is {_kind(value)}, and must be {_WORDS[kind]}. Correct the file.")
    return value


def path_from(images: Path, text: Any, where: str) -> str:
    """A path in a description as a path from the folder of the images, with forward slashes.

    A path may lead out of the folder: `palpate.data.places` decides whether that is allowed.

    Raises:
        InputError: it is not a text, or not the path of a file.
    """
    if not isinstance(text, str) or not text or "\0" in text:
        raise InputError(f"{where}: a path is {_kind(text)}. Give the path of a file, from {images}.")
    if "\\" in text and not os.path.lexists(images / text):  # written on Windows
        text = text.replace("\\", "/")
    flat = os.path.normpath(from_folder(images, text)).replace(os.sep, "/")
    if flat in ("..", ".") or flat.endswith("/.."):
        raise InputError(f"{where}: '{text}' is a folder. Give the path of a file, from {images}.")
    return flat


def cell(value: Any) -> str:
    """A value as the text of a cell; empty if it is not a single value."""
    if isinstance(value, bool):
        return str(int(value))
    return str(value).strip() if isinstance(value, (str, int, float)) else ""


def unique(path: Path, what: str, names: Iterable[object]) -> None:
    """Refuse names that appear twice; raises InputError."""
    seen: set[object] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{path}: {what} {name!r} appears twice. Keep one of them.")
        seen.add(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        keys = [key for key, _ in pairs]
        doubled = next(key for key, count in Counter(keys).items() if count > 1)
        raise InputError(f"the key '{doubled}' appears twice in one object. Keep one of them.")
    return held


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it holds {text[:40]}, which is too large for a number")
    return number


def _no_number(text: str) -> Any:
    raise ValueError(f"it holds {text}")


def _kind(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    return next((words for kind, words in _WORDS.items() if isinstance(value, kind)), f"{value!r}"[:40])
