"""Rows as Parquet, and arrays as an archive: equal contents give equal bytes, and all damage is found.

Parquet has checksums of its pages, which find most damage before anything is decoded. They do not cover the footer,
which describes the pages. So each file also holds a digest of the values that its reader must get.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_DIGEST = b"palpate.digest"
_ARROW_TYPES = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    tuple[float, ...]: pa.list_(pa.float64()),
}
_NUMBERS = {"bool": "u1", "int64": "<i8", "double": "<f8"}
_LIST, _TEXT = pa.list_(pa.float64()).id, pa.string().id


class DamagedError(Exception):
    """A file is damaged; the text is the end of a sentence."""


def schema_of(row: type, mark: str, version: int) -> pa.Schema:
    """The columns of a file of these rows; no value may be missing."""
    columns = [pa.field(name, _ARROW_TYPES[kind], nullable=False) for name, kind in get_type_hints(row).items()]
    return pa.schema(columns, metadata={mark: str(version)})


def parquet(rows: Iterable[Any], schema: pa.Schema) -> bytes:
    """Rows as a Parquet file with checksums."""
    held = list(rows)
    columns = [
        pa.array([getattr(row, name) for row in held], field.type)
        for name, field in zip(schema.names, schema, strict=True)
    ]
    return packed(pa.Table.from_arrays(columns, schema=schema))


def packed(table: pa.Table) -> bytes:
    """A table as a Parquet file with checksums."""
    marked = table.replace_schema_metadata({**table.schema.metadata, _DIGEST: digest(table).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(marked, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def read_parquet(path: Path, schema: pa.Schema, added: Mapping[str, object] | None = None) -> pa.Table | None:
    """The table of a Parquet file; None if it has other columns than `schema`.

    Files of an earlier palpate are read too: without checksums and digest they are not checked, and columns that were
    added since have the values of `added`.

    Raises:
        DamagedError: it cannot be read, or its values differ from those that were written.
    """
    try:
        # The bytes are read here: if a file is mapped into memory and cut off meanwhile, the process would crash.
        # Small files: a scan of a data set, and reading ahead, take several times as long as the reading itself.
        source = pa.BufferReader(path.read_bytes())
        table = pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False).read(use_threads=False)
        if not _readable(table.schema, schema, added or {}):
            return None
        table.validate(full=True)
        stored = (table.schema.metadata or {}).get(_DIGEST)
        if stored is not None and stored != digest(table).encode():
            raise DamagedError("its values differ from those that were written")
        for name in schema.names[len(table.column_names) :]:
            values = pa.array([(added or {})[name]] * len(table), schema.field(name).type)
            table = table.append_column(schema.field(name), values)
    # Arrow raises its own exceptions, and Python's for lengths and texts that make no sense.
    except (OSError, pa.ArrowException, ValueError, OverflowError, MemoryError, TypeError) as error:
        raise DamagedError(str(error)) from error
    return table.replace_schema_metadata(schema.metadata)


def only_text(path: Path, name: str) -> str | None:
    """The text that a column has in all rows, as the footer of a Parquet file says it; None where it does not."""
    try:
        with path.open("rb") as file:
            stored = pq.read_metadata(file)
        parts = [stored.row_group(number) for number in range(stored.num_row_groups)]
        columns = [part.column(place) for part in parts for place in range(part.num_columns)]
        known = [column.statistics for column in columns if column.path_in_schema == name]
        ends = {end for one in known for end in ((one.min, one.max) if one and one.has_min_max else (None,))}
    except (OSError, pa.ArrowException, ValueError):
        return None
    found = ends.pop() if len(ends) == 1 else None
    return found if isinstance(found, str) else None


def _readable(found: pa.Schema, wanted: pa.Schema, added: Mapping[str, object]) -> bool:
    """Whether the columns are the wanted ones, the last of which may be missing if they were added since."""
    if found.equals(wanted):
        return True
    count = len(found.names)
    return set(wanted.names[count:]) <= set(added) and bool(found.equals(pa.schema(list(wanted)[:count])))


def digest(table: pa.Table) -> str:
    """SHA-256 of the names and values of all columns; it does not depend on the release of Arrow."""
    found = hashlib.sha256()
    for name, column in zip(table.column_names, table.itercolumns(), strict=True):
        whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        found.update(f"{name}:{len(whole)}:{whole.null_count};".encode())
        _feed(found, whole)
    return found.hexdigest()


def _feed(found: Any, column: Any) -> None:
    kind = column.type.id
    if kind == _LIST:
        sizes, rest = _parts(column)
        found.update(sizes)
        _feed(found, rest)
    elif kind == _TEXT:
        for part in _letters(column):
            found.update(part)
    else:
        found.update(_plain(column.to_numpy(zero_copy_only=False), _NUMBERS[str(column.type)]))


def _parts(lists: Any) -> tuple[Any, Any]:
    """The lengths of all lists, and their values, one list after the other."""
    if lists.null_count or not isinstance(lists, pa.ListArray):
        return _plain(pc.list_value_length(lists).to_numpy(zero_copy_only=False)), lists.flatten()
    ends = lists.offsets.to_numpy()
    return _plain(ends[1:] - ends[:-1]), lists.values.slice(ends[0], ends[-1] - ends[0])


def _letters(texts: Any) -> tuple[Any, Any]:
    """The lengths of all texts, and their bytes, one after the other."""
    if texts.null_count or not len(texts) or not isinstance(texts, pa.StringArray):
        letters = "".join(text or "" for text in texts.to_pylist()).encode()
        return _plain(pc.binary_length(texts).to_numpy(zero_copy_only=False)), letters
    _, places, letters = texts.buffers()
    ends = np.frombuffer(places, np.int32, len(texts) + 1, 4 * texts.offset)
    return _plain(ends[1:] - ends[:-1]), b"" if letters is None else memoryview(letters)[ends[0] : ends[-1]]


def _plain(values: Any, kind: str = "<i8") -> Any:
    return np.ascontiguousarray(values, dtype=kind)


def archive(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """An archive for `numpy.load`, with equal bytes for equal arrays: its entries have no date."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
            packed.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue(), zipfile.ZIP_DEFLATED)
        # The archive has checksums of its entries, but not of their number, which is in its last bytes.
        packed.comment = _DIGEST + _digest_of_arrays(arrays)
    return sink.getvalue()


def _digest_of_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    found = hashlib.sha256()
    for name, array in arrays.items():
        plain = np.ascontiguousarray(array)
        found.update(f"{name}:{plain.dtype.str}:{plain.shape};".encode())
        found.update(plain.tobytes())
    return found.hexdigest().encode()


def read_archive(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an archive by their names; objects are never loaded.

    Raises:
        DamagedError: it cannot be read, or its arrays differ from those that were written.
    """
    try:
        data = path.read_bytes()
        # For a file that is not an archive, numpy explains how to load it unsafely, or returns a bare array.
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise DamagedError("it is not an archive of arrays")
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            # All checksums are tested before any of the contents is used.
            if (wrong := packed.testzip()) is not None:
                raise DamagedError(f"the checksum of {wrong} is wrong")
            mark = packed.comment
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        # Archives of an earlier palpate have no mark; any other one is damage.
        if mark and mark != _DIGEST + _digest_of_arrays(arrays):
            raise DamagedError("its arrays differ from those that were written")
        return arrays
    # `zipfile` and numpy raise different exceptions for lengths, flags and methods that make no sense.
    except (OSError, ValueError, EOFError, MemoryError, OverflowError, RuntimeError, struct.error, KeyError) as error:
        raise DamagedError(str(error)) from error
    except (zipfile.BadZipFile, zlib.error, TypeError, SyntaxError, IndexError, AttributeError) as error:
        raise DamagedError(str(error)) from error
