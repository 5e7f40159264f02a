"""A run folder: `plan.toml`, `run.json`, `records/*.parquet`, `images/`, and the report. Whole files or none.

Every file is written under a temporary name, flushed to the disk and renamed, so that a reader, a kill or a full
disk never meets half a file. Finished work is found again by the identity that names its shard.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from palpate.errors import StorageError
from palpate.records import FIELD_NAMES, SCHEMA_VERSION, Record

Frame = dict[str, npt.NDArray[Any]]
"""Records as columns: field name -> array, all of one length. Columns of text and of lists have dtype object."""

_ARROW_TYPES = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    tuple[float, ...]: pa.list_(pa.float64()),
}
_HINTS = get_type_hints(Record)
ARROW_SCHEMA = pa.schema(
    [pa.field(name, _ARROW_TYPES[_HINTS[name]], nullable=False) for name in FIELD_NAMES],
    metadata={"palpate.schema": str(SCHEMA_VERSION)},
)


_DURABLE = ContextVar("durable", default=True)


@contextmanager
def fleeting() -> Iterator[None]:
    """Inside, files are not flushed to the disk: they live no longer than they are looked at."""
    token = _DURABLE.set(False)
    try:
        yield
    finally:
        _DURABLE.reset(token)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` whole or not at all, and wait until the disk has it (but not inside `fleeting`).

    Raises:
        StorageError: the disk is full or refuses; the file that stood there before is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as handle:
            handle.write(data)
            if _DURABLE.get():
                handle.flush()
                os.fsync(handle.fileno())
        os.replace(temporary, path)
        if _DURABLE.get():
            _flush_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno == errno.ENOSPC:
            raise StorageError(
                f"The disk is full: {path} was not written. Everything finished before is kept; free some space "
                "and run the same command again to go on."
            ) from error
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error


def _flush_folder(folder: Path) -> None:
    # Without this a power cut may undo the rename although the file's bytes are on the disk.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class RunFolder:
    """The one place that knows how a run lies on the disk."""

    path: Path

    @property
    def plan(self) -> Path:
        """The plan that the run was started with, byte for byte."""
        return self.path / "plan.toml"

    @property
    def images(self) -> Path:
        """Folder of the gallery's pictures."""
        return self.path / "images"

    @property
    def report(self) -> Path:
        """The one-file report."""
        return self.path / "report.html"

    @property
    def results(self) -> Path:
        """The report's figures as JSON."""
        return self.path / "results.json"

    def exists(self) -> bool:
        """Whether a run was started here."""
        return (self.path / "run.json").is_file()

    def describe(self) -> dict[str, Any]:
        """The contents of `run.json`.

        Raises:
            StorageError: there is no run here, it cannot be read, or a newer palpate wrote it.
        """
        path = self.path / "run.json"
        try:
            described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise StorageError(
                f"{self.path} is not a run folder: it has no run.json. Give the folder that `palpate audit` wrote."
            ) from error
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise StorageError(f"{path} cannot be read ({error}). Restore it, or start a new run folder.") from error
        schema = described.get("schema") if isinstance(described, dict) else None
        if not isinstance(schema, int):
            raise StorageError(f"{path} has no schema number, so it is not a run that palpate wrote.")
        if schema > SCHEMA_VERSION:
            raise StorageError(
                f"{path} was written with schema {schema} and this palpate reads up to {SCHEMA_VERSION}. "
                "Install the newer palpate that wrote it."
            )
        if schema < SCHEMA_VERSION:
            raise StorageError(
                f"{path} was written with schema {schema} by an older palpate, and this one reads {SCHEMA_VERSION}. "
                "Run its plan into a new run folder, or read it with the palpate that wrote it."
            )
        return described

    def save_description(self, description: dict[str, Any]) -> None:
        """Write `run.json` whole."""
        text = json.dumps({"schema": SCHEMA_VERSION, **description}, indent=2, ensure_ascii=False)
        write_atomically(self.path / "run.json", (text + "\n").encode())

    def shard(self, identity: str) -> Path:
        """Where the shard of this identity lies."""
        return self.path / "records" / f"{identity}.parquet"

    def has(self, identity: str) -> bool:
        """Whether this shard was finished."""
        return self.shard(identity).is_file()

    def write_shard(self, identity: str, records: Iterable[Record]) -> None:
        """Write the records of one shard, whole or not at all."""
        rows = [asdict(record) for record in records]
        table = pa.Table.from_pylist(rows, schema=ARROW_SCHEMA)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        write_atomically(self.shard(identity), sink.getvalue().to_pybytes())

    def read_shard(self, identity: str) -> pa.Table:
        """One shard as an Arrow table.

        Raises:
            StorageError: the file is damaged or of a newer schema.
        """
        path = self.shard(identity)
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise StorageError(
                f"{path} is damaged ({error}). Delete this file and run `palpate audit` again: only it is redone."
            ) from error
        if not table.schema.equals(ARROW_SCHEMA):
            raise StorageError(f"{path} does not have the fields of schema {SCHEMA_VERSION}.")
        return table

    def frame(self, keep: Callable[[str], bool] = lambda identity: True) -> Frame:
        """Every finished record of the current plan as columns, in the plan's order.

        Args:
            keep: which shards to read; all of them unless told.

        Raises:
            StorageError: `run.json` or a shard cannot be read.
        """
        wanted = [i for i in self.describe().get("shards", []) if keep(i) and self.has(i)]
        tables = [self.read_shard(identity) for identity in wanted]
        table = pa.concat_tables(tables) if tables else ARROW_SCHEMA.empty_table()
        return {name: _column(table[name].to_pylist(), _HINTS[name]) for name in FIELD_NAMES}

    def sweep(self) -> None:
        """Remove what a killed writer left half-written."""
        for leftover in [*self.path.glob("**/.*.tmp"), *self.path.glob("**/.*.partial")]:
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _column(values: list[Any], kind: Any) -> npt.NDArray[Any]:
    if kind in (int, float, bool):
        return np.asarray(values, dtype=kind)
    # Filled one by one: numpy would make lists of one length into a table.
    column = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        column[place] = value if kind is str else np.asarray(value, dtype=np.float64)
    return column
