"""Whether pictures and exported images of a run are unchanged: the digest of each file is in `run.json`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

PICTURES, EXPORTS = "images", "exports"

_INSIDE = re.compile(r"(images|exports)/[^/\\\0]+")
_PART = re.compile(r"\d{4,}\..+")
"""A file of an export that is a folder: a slice of a series, or one of several channels."""


def digests(run: Path, names: Iterable[str]) -> dict[str, str]:
    """The digest of each of these files that exists, by its name relative to the run folder."""
    found = {name: digest(run / name) for name in dict.fromkeys(names)}
    return {name: value for name, value in found.items() if value is not None}


def lost(run: Path, files: Mapping[str, str], *, exports: bool = True) -> list[str]:
    """Names of files that are missing or changed.

    Args:
        run: the run folder.
        files: digest by name, from `digests`.
        exports: read the exported images too. They may be large; if False, they must only exist.
    """
    return [name for name, value in files.items() if not _whole(run, name, value, exports)]


def _whole(run: Path, name: str, value: str, exports: bool) -> bool:
    if not _INSIDE.fullmatch(name) or name.endswith("/.."):
        return True
    if not exports and name.startswith(EXPORTS):
        return (run / name).exists()
    return digest(run / name) == value


def digest(path: Path) -> str | None:
    """SHA-256 of a file, or of the files of an exported folder; None if it is missing, a link, or unreadable."""
    if path.is_symlink():
        return None
    found = hashlib.sha256()
    try:
        if not path.is_dir():
            return _of_file(path)
        for part in sorted(part for part in path.iterdir() if _PART.fullmatch(part.name)):
            found.update(f"{part.name} {_of_file(part)}\n".encode())
    except OSError:
        return None
    return found.hexdigest()


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sentence(names: list[str]) -> str:
    """A sentence about lost files for the user; empty if there are none."""
    if not names:
        return ""
    several = len(names) > 1
    which = f"{len(names)} pictures or exported images of this run ({names[0]} is one)" if several else names[0]
    return (
        f"{which} {'are' if several else 'is'} missing or damaged. Run `palpate audit` with the same plan again: it "
        f"writes {'them' if several else 'it'} again."
    )
