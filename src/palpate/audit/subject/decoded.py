"""Decoded images that stay in memory, so that images under several attacks are read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from palpate.data.formats.forms import Array

ROOM = 2**27
"""Bytes of decoded images in one process."""


@dataclass
class Decoded:
    """Images by their rows, in stored values; whoever gets one must not change it.

    Every attack asks for all rows in turn. Of more images than there is room for, those that came first stay: if later
    ones took their place, each would be gone before it is asked for again.

    Attributes:
        room: bytes.
    """

    room: int = ROOM
    _held: dict[int, Array] = field(default_factory=dict)

    def of(self, row: int, read: Callable[[int], Array]) -> Array:
        """The image of a row, from memory or from `read`."""
        if (known := self._held.get(row)) is not None:
            return known
        image = read(row)
        if image.nbytes <= self.room:
            self.room -= image.nbytes
            self._held[row] = image
        return image
