"""Remove unfinished files of a killed process from a run folder: only palpate's own temporary names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from palpate.storage.writing import MARK

FOLDERS = ("records", "artefacts", "certificates", "stability", "images", "exports", "questions", "learned")
"""The folders inside a run folder that palpate writes into."""

_ROOT = re.compile(rf"\.(plan\.toml|run\.json|results\.json|report\.html)\.{MARK}\.tmp|\.saving-[a-z0-9_]+\.tmp")
_INSIDE = {
    "records": re.compile(rf"\.[\w-]+\.parquet\.{MARK}\.tmp"),
    "artefacts": re.compile(rf"\.[\w-]+\.parquet\.{MARK}\.tmp"),
    "certificates": re.compile(rf"\.[\w-]+\.parquet\.{MARK}\.tmp"),
    "stability": re.compile(rf"\.[\w-]+\.(parquet|npz)\.{MARK}\.tmp"),
    "learned": re.compile(rf"\.[\w-]+\.npz\.{MARK}\.tmp"),
    "images": re.compile(rf"\.[\w-]+\.png\.{MARK}\.tmp"),
    "exports": re.compile(rf"\..+\.{MARK}\.(tmp|(new|old)\.partial)"),
}
"""Names of files that are not complete; `MARK` says which process wrote them."""


def sweep(run: Path) -> None:
    """Remove the leftovers of a run folder that belongs to palpate. Links are not followed."""
    for leftover in [*_leftovers(run)]:
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _leftovers(run: Path) -> Iterator[Path]:
    yield from _named(run, _ROOT)
    for name, pattern in _INSIDE.items():
        if not (run / name).is_symlink():
            yield from _named(run / name, pattern)
    # An image whose channels are separate files is exported as a folder of such files.
    exports = run / "exports"
    for folder in [] if exports.is_symlink() else _entries(exports):
        if not folder.name.startswith(".") and not folder.is_symlink():
            yield from _named(folder, _INSIDE["exports"])


def _named(folder: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    return (path for path in _entries(folder) if pattern.fullmatch(path.name))


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
