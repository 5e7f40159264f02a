"""Remove unfinished files of a killed process from a run folder: only palpate's own temporary names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("records", "artefacts", "certificates", "stability", "images", "exports", "questions", "learned")
"""The folders inside a run folder that palpate writes into."""

_ROOT = re.compile(r"\.(plan\.toml|run\.json|results\.json|report\.html)\.\d+\.tmp|\.saving-[a-z0-9_]+\.tmp")
_INSIDE = {
    "records": re.compile(r"\.[\w-]+\.parquet\.\d+\.tmp"),
    "artefacts": re.compile(r"\.[\w-]+\.parquet\.\d+\.tmp"),
    "certificates": re.compile(r"\.[\w-]+\.parquet\.\d+\.tmp"),
    "stability": re.compile(r"\.[\w-]+\.(parquet|npz)\.\d+\.tmp"),
    "learned": re.compile(r"\.[\w-]+\.npz\.\d+\.tmp"),
    "images": re.compile(r"\.[\w-]+\.png\.\d+\.tmp"),
    "exports": re.compile(r"\..+\.\d+\.(tmp|(new|old)\.partial)"),
}
"""Names of files that are not complete; the number is that of the process."""


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
