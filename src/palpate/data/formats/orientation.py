"""The orientation tag of photographs: how a viewer turns the stored pixels, 1 to 8 as in EXIF."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from palpate.data.formats.forms import Array
from palpate.data.formats.scan import Header

UPRIGHT = 1
"""Stored in the order in which it is shown."""

TAG = 0x0112
"""Number of the tag, in EXIF and in TIFF."""

_SIDEWAYS = (5, 6, 7, 8)
_INVERSE = {6: 8, 8: 6}


def turned(values: Array, orientation: int) -> Array:
    """Stored values (C, H, W) as a viewer shows them; rows and columns are exchanged for 5 to 8."""
    if orientation == UPRIGHT:
        return values
    if orientation in (5, 7):
        values = values.swapaxes(-1, -2)
    quarters = {3: 2, 6: -1, 7: 2, 8: 1}.get(orientation, 0)
    flipped = {2: -1, 4: -2}.get(orientation)
    values = np.rot90(values, quarters, axes=(-2, -1)) if flipped is None else np.flip(values, flipped)
    return np.ascontiguousarray(values)


def turned_back(values: Array, orientation: int) -> Array:
    """The inverse of `turned`."""
    return turned(values, _INVERSE.get(orientation, orientation))


def turned_header(header: Header) -> Header:
    """The header of an image after it is turned; the orientation stays, for the way back."""
    if header.orientation not in _SIDEWAYS:
        return header
    channels, height, width = header.shape
    spacing = header.spacing[::-1] if header.spacing else None
    return replace(header, shape=(channels, width, height), spacing=spacing)
