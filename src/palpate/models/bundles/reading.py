"""The files of a bundle's configuration: JSON or YAML, as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from palpate.errors import InputError
from palpate.models.bundles.expressions import CodeError, plain_value

__all__ = ["config_file", "entry_at", "has_config", "plain_entries", "read_config"]

_CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
_LARGEST = 10_000_000
_DEEPEST = 40


def has_config(folder: Path) -> bool:
    """Whether a folder has an inference configuration."""
    return any((folder / "configs" / name).is_file() for name in _CONFIGS)


def config_file(folder: Path) -> Path:
    """The inference configuration; raises InputError if the folder is not a bundle."""
    if not folder.is_dir():
        raise InputError(f"model.bundle: {folder} is not a folder. Give the folder that contains configs/ and models/.")
    found = next((folder / "configs" / name for name in _CONFIGS if (folder / "configs" / name).is_file()), None)
    if found is None:
        raise InputError(f"model.bundle: {folder} has no configs/inference.json or .yaml. Is it a MONAI bundle?")
    return found


def read_config(path: Path) -> dict[str, Any]:
    """A configuration or metadata.json; raises InputError if it is not a table in JSON or YAML."""
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"model.bundle: {path} is larger than {_LARGEST} bytes. Give a configuration.")
        text = path.read_text("utf-8")
        held = json.loads(text) if path.suffix == ".json" else _yaml(path, text)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        what = " ".join(str(error).split())[:200]
        raise InputError(f"model.bundle: {path} is not {path.suffix[1:].upper()}: {what}.") from error
    except OSError as error:
        raise InputError(f"model.bundle: {path} cannot be read: {error.strerror}.") from error
    if not isinstance(held, dict):
        raise InputError(f"model.bundle: {path} contains {type(held).__name__}, and a configuration is a table.")
    return held


def _yaml(path: Path, text: str) -> object:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(f"model.bundle: {path} needs a package. Install it: pip install pyyaml.") from error
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            # A few lines of aliases of aliases can expand to more than any memory.
            raise InputError(f"model.bundle: {path} uses YAML aliases (*name). Write the values out, or use JSON.")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def entry_at(config: Mapping[str, Any], name: str) -> Any:
    """The entry of a reference such as `sizes::window` or `sizes#window`; raises CodeError if it is not there."""
    found: Any = config
    for part in name.replace("#", "::").split("::"):
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            raise CodeError(f'"@{name}" refers to nothing')
    return found


def plain_entries(config: Mapping[str, Any], value: Any, depth: int = 0) -> Any:
    """A value of the configuration with its references and expressions read; what is made keeps its `_target_`.

    Raises:
        CodeError: it needs code, or refers to nothing or to itself.
    """
    if depth > _DEEPEST:
        raise CodeError("its references are nested too deeply")
    if isinstance(value, Mapping):
        return {key: plain_entries(config, entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain_entries(config, entry, depth + 1) for entry in value]
    if not isinstance(value, str) or value[:1] not in ("$", "@", "%"):
        return value
    if value[0] == "%":
        raise CodeError("it is in another file")

    def look_up(name: str) -> Any:
        return plain_entries(config, entry_at(config, name), depth + 1)

    return look_up(value[1:]) if value[0] == "@" else plain_value(value[1:], look_up)


def references(value: Any) -> Iterator[str]:
    """Top-level names of the "@" references in a value."""
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from references(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from references(entry)
    elif isinstance(value, str) and value.startswith("@"):
        yield value[1:].replace("#", "::").split("::")[0]
