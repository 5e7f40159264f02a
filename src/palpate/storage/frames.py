"""Rows of many files as columns of numpy, read file by file: no row becomes an object of Python."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa

from palpate.storage.lists import Lists

Frame = dict[str, Any]
"""Rows as columns: field name -> array, all of one length. Texts are arrays of objects, equal texts the same object;
lists are `Lists`."""

_TOGETHER = 64
"""Tables that are joined at once: each column of a small file takes more memory than its values."""


def frame_of(tables: Iterable[pa.Table], row: type, schema: pa.Schema, fields: Collection[str] | None = None) -> Frame:
    """The rows of some tables as columns.

    Args:
        tables: one per file; each is dropped before the next is asked for.
        row: type of the rows.
        schema: columns of a table.
        fields: columns that are wanted; all of them by default.
    """
    names = [name for name in schema.names if fields is None or name in fields]
    parts, some = [schema.empty_table().select(names)], []
    for table in tables:
        some.append(table.select(names))
        if len(some) == _TOGETHER:
            parts.append(pa.concat_tables(some).combine_chunks())
            some = []
    table = pa.concat_tables([*parts, *some])
    del parts, some
    kinds, frame = get_type_hints(row), {}
    for name in names:
        # A column is let go when it is converted, so that the rows are never held twice.
        frame[name] = _column(table[name], kinds[name])
        table = table.drop_columns([name])
        pa.default_memory_pool().release_unused()
    return frame


def _column(column: pa.ChunkedArray, kind: Any) -> Any:
    if kind in (int, float, bool):
        return np.asarray(column.to_numpy(), dtype=kind)
    if kind is str:
        return texts(column)
    whole = column.combine_chunks()
    whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    # Copies: a view would keep the buffers of Arrow.
    ends = whole.offsets.to_numpy()
    values = np.array(whole.flatten().to_numpy(zero_copy_only=False), dtype=np.float64)
    return Lists(values, ends[:-1] - ends[:1], np.diff(ends))


def texts(column: pa.ChunkedArray) -> Any:
    """A column of texts as an array of objects; equal texts are one object."""
    coded = column.dictionary_encode().combine_chunks()
    coded = coded.unify_dictionaries().combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    names = np.empty(len(coded.dictionary), dtype=object)
    names[:] = coded.dictionary.to_pylist()
    return names[coded.indices.to_numpy()] if len(names) else np.empty(0, dtype=object)
