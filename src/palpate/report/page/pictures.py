"""Pictures of a run as data URIs, so that the report is one file. Only files in the run's `images/` are read."""

from __future__ import annotations

import base64

from palpate.storage.runs import RunFolder

PNG = b"\x89PNG\r\n\x1a\n"
LARGEST = 16 * 2**20
"""Bytes; a larger picture would make the report too large."""


def embed(run: RunFolder, relative: str) -> str | None:
    """A picture as a `data:` URI.

    Args:
        run: the run folder.
        relative: the picture's path as `run.json` has it.

    Returns:
        None if there is no such PNG in the run's `images/`, or if a path or a link leads out of it.
    """
    try:
        path = (run.path / relative).resolve()
        if not path.is_relative_to(run.images.resolve()) or path.stat().st_size > LARGEST:
            return None
        data = path.read_bytes()
    except (OSError, ValueError):
        return None
    if not data.startswith(PNG):
        return None
    return "data:image/png;base64," + base64.b64encode(data).decode()
