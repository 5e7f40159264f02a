"""What an audit does with a file, whatever is in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from palpate.data.formats.registry import format_of, read_scan
from palpate.data.formats.scan import Note
from palpate.data.table import Table
from palpate.errors import InputError

NOTE = Note("pgd", "2/255", "identity")
_LARGEST = 2**18


def exercise(path: Path, target: Path) -> str:
    """Read a file and write a copy of it: the name of its format, or the sentence that refuses it.

    Whatever is not refused keeps its promises: the image is as its header says, and a copy holds the same numbers.

    Raises:
        Exception: anything but InputError is a bug.
    """
    try:
        if path.is_file() and path.read_bytes()[:2] == b"PK":
            table = Table.from_medmnist(path)
            return f"npz {table.image(0).shape} {table.header(0).form}"
        form = format_of(path)
        header = form.header(path)
        scan = read_scan(path)
        assert scan.header == header
        assert (scan.stored.shape, scan.stored.dtype.name) == (header.shape, header.dtype)
        assert (scan.values.shape, scan.values.dtype.name) == (header.form.shape, header.form.dtype)
        assert np.isfinite(scan.values).all()
        if scan.stored.size > _LARGEST:
            return form.name
        form.write(path, scan.stored, target, NOTE)
    except InputError as refused:
        return str(refused)
    again = form.read(target)  # what palpate has written must be readable
    assert again.header.shape == header.shape
    if header.lossless:
        np.testing.assert_array_equal(again.stored, scan.stored)
    (shutil.rmtree if target.is_dir() else Path.unlink)(target)  # type: ignore[operator]
    return form.name
