"""`run.json`, and what its log adds to it: what was audited, how far it is, and what was noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from palpate.errors import StorageError
from palpate.storage import log
from palpate.storage.columns import DamagedError
from palpate.storage.records import OLDEST_SCHEMA, SCHEMA_VERSION

NAME = "run.json"


def read_description(folder: Path) -> dict[str, Any]:
    """The contents of `run.json` after the changes of its log.

    Raises:
        StorageError: there is no run here, it cannot be read, or a newer palpate wrote it.
    """
    path = folder / NAME
    described = _checked(path, _parsed(path, folder))
    stored = described.get("digest")
    # A log is of one `run.json` only: beside an edited one, or one of an earlier palpate, it does not count.
    if not isinstance(stored, str) or not (folder / log.NAME).exists() or stored != digest(described):
        return described
    try:
        changes = log.read_changes(folder / log.NAME, stored)
        if not changes:
            return described
        now = log.changed(described, changes)
        return {**now, "digest": digest(now)}
    except DamagedError:
        # The report says so, as it does for an edited `run.json`.
        return {**described, "digest": ""}


def _no_run(folder: Path) -> str:
    """Why there is no `run.json`, and what may be meant."""
    if folder.suffix == ".toml" and folder.is_file():
        return (
            f"{folder} is a plan, not a run folder. Give the folder that `palpate audit` wrote, by default "
            f"{folder.parent / 'runs' / folder.stem}."
        )
    if not folder.exists():
        return f"{folder} does not exist. Give a run folder, as `palpate audit` wrote it."
    if (folder / "harden.json").is_file():
        return (
            f"{folder} is the folder of a training, not a run folder. If the training was proved, its audits are "
            f"{folder / 'before'} and {folder / 'after'}."
        )
    return f"{folder} is not a run folder: it has no run.json. Give the folder that `palpate audit` wrote."


def _parsed(path: Path, folder: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StorageError(_no_run(folder)) from error
    except RecursionError as error:
        raise StorageError(f"{path} is nested too deeply. Restore it, or start a new run folder.") from error
    # Not UTF-8, not JSON, or a number with thousands of digits.
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read ({error}). Restore it, or start a new run folder.") from error


def _checked(path: Path, described: Any) -> dict[str, Any]:
    schema = described.get("schema") if isinstance(described, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool):
        raise StorageError(f"{path} has no schema number, so it is not a run that palpate wrote.")
    if schema > SCHEMA_VERSION:
        raise StorageError(
            f"{path} was written with schema {schema} and this palpate reads up to {SCHEMA_VERSION}. "
            "Install the newer palpate that wrote it."
        )
    if schema < OLDEST_SCHEMA:
        raise StorageError(
            f"{path} was written with schema {schema} by an older palpate, and this one reads {OLDEST_SCHEMA} and "
            "newer. Run its plan into a new run folder, or read it with the palpate that wrote it."
        )
    return dict(described)


def packed(description: Mapping[str, Any]) -> tuple[bytes, str]:
    """The bytes of `run.json` with a digest of its contents, and this digest, with which a log beside it begins."""
    contents: dict[str, Any] = {"schema": SCHEMA_VERSION, **description}
    # The digest is of the contents that a reader gets: JSON turns keys that are numbers into texts.
    contents["digest"] = digest(json.loads(json.dumps(contents)))
    text = json.dumps(contents, indent=2, ensure_ascii=False)
    return (text + "\n").encode(), str(contents["digest"])


def digest(contents: Mapping[str, Any]) -> str:
    """SHA-256 of all of it but the digest itself."""
    rest = {key: value for key, value in contents.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
