"""The files of images, for workers that may not see them: where they are read from, and their contents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from palpate.data.source import Folder
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.storage.writing import storing

Value = TypeVar("Value")


def absolute(table: Table) -> Table:
    """The table, read from absolute paths: a worker may have another working directory."""
    return _moved(table, Path.absolute)


def below(table: Table, folder: Path) -> Table:
    """The table, read from copies below `folder`, which keep their whole absolute paths there."""
    if table.remote is not None and isinstance(table.source, Folder):
        table = replace(table, source=replace(table.source, remote=None))
    return _moved(table, lambda path: _inside(folder, path.absolute()))


def _inside(folder: Path, path: Path) -> Path:
    """Where the copy of a file is below `folder`, by its absolute path; `..` in it does not lead out."""
    return folder.joinpath(*("up" if part == ".." else part for part in path.relative_to(path.anchor).parts))


def settled(table: Table, folder: Path) -> Table:
    """The table, with copies of files behind a URL below `folder`: each process has its own, and removes them."""
    if table.remote is None:
        return table
    there = table.remote.folder
    return _moved(table, lambda path: folder / path.relative_to(there) if path.is_relative_to(there) else path)


def _moved(value: Value, move: Callable[[Path], Path]) -> Value:
    """A table, or a part of it, with each of its paths moved. Names of images do not change."""
    if isinstance(value, Path):
        return move(value)  # type: ignore[return-value]
    if isinstance(value, Mapping) and isinstance(next(iter(value.values()), None), Path):
        return {key: move(path) for key, path in value.items()}  # type: ignore[return-value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    parts = {part.name: getattr(value, part.name) for part in fields(value) if part.init}
    changed: dict[str, Any] = {name: _moved(part, move) for name, part in parts.items()}
    changed = {name: part for name, part in changed.items() if part is not parts[name]}
    return replace(value, **changed) if changed else value


def unhashed(table: Table) -> Table:
    """The table without digests: they are computed from the files that are here, once for each image."""
    return replace(table, _digests={})


def unseen(table: Table, rows: Sequence[int], own: Table | None = None) -> str:
    """The first file of some rows that is not here, or not the one of the table; empty if all are.

    Args:
        table: the images, with the digests of their contents.
        rows: which ones.
        own: the table `unhashed`, to compare contents too; it remembers what it has hashed.
    """
    for row in rows:
        try:
            table.hold(row)
            for path in table.files(row):
                if not path.exists():
                    return str(path)
            if own is not None and own.fingerprint([row]) != table.fingerprint([row]):
                return table[row].name
        except InputError:
            return table[row].name
    return ""


def contents(table: Table, rows: Sequence[int]) -> dict[str, bytes]:
    """The contents of all files from which some rows are read, by absolute path.

    Raises:
        InputError: a file cannot be read.
    """
    found: dict[str, bytes] = {}
    for row in map(table.hold, rows):
        for place in table.files(row):
            try:
                parts = [part for part in sorted(place.iterdir()) if part.is_file()] if place.is_dir() else [place]
                found |= {str(part.absolute()): part.read_bytes() for part in parts}
            except OSError as error:
                raise InputError(
                    f"{place} cannot be read: {error.strerror}. It was there when the audit began. Put it back and run "
                    "the same command again to continue; finished work is kept."
                ) from error
    return found


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write contents below `folder`, where `below` looks for them.

    Raises:
        StorageError: the disk is full or does not accept a file.
    """
    for name, data in files.items():
        target = _inside(folder, Path(name))
        with storing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
