"""Numbers of NumPy in a checkpoint, as plain Python numbers. Nothing of the file is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_KINDS = "biuf"
_SIZES = (1, 2, 4, 8)


class Kind:
    """In place of `numpy.dtype`: keeps the code of a number and its order of bytes.

    >>> Kind("f8").code
    'f8'
    """

    def __init__(self, code: object = "", *_: object):
        self.code, self.order = str(code), "<"

    def __setstate__(self, state: object) -> None:
        """Keep the order of bytes; the rest is for kinds that are no numbers."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|"):
            self.order = state[1]


def _number(kind: object = None, data: object = b"", *_: object) -> Any:
    """In place of `numpy.core.multiarray.scalar`; None for what is no number."""
    if not (isinstance(kind, Kind) and isinstance(data, bytes)):
        return None
    code = kind.code
    if code[:1] not in _KINDS or code[1:] not in map(str, _SIZES) or len(data) != int(code[1:]):
        return None
    try:
        return np.frombuffer(data, np.dtype(kind.order + code))[0].item()
    except TypeError:  # no such number, as f1
        return None


def _encoded(text: object = "", coding: object = "latin1", *_: object) -> bytes:
    """In place of `_codecs.encode`, with which pickles of Python 2 hold bytes."""
    return text.encode("latin1") if isinstance(text, str) and coding == "latin1" else b""


STAND_INS: Mapping[str, Callable[..., Any]] = {
    "numpy dtype": Kind,
    "numpy._core.multiarray scalar": _number,
    "numpy.core.multiarray scalar": _number,
    "_codecs encode": _encoded,
}
"""What is called in place of these names when weights are read."""
