"""Post-processing steps by their names: `jpeg75`, `blur1`, `half`."""

from __future__ import annotations

import re
from collections.abc import Callable

from palpate.errors import InputError, nearest
from palpate.postprocessing.base import PostProcessing
from palpate.postprocessing.codecs import Jpeg, Jpeg2000
from palpate.postprocessing.export import EightBit, Rewindowed, Rounded
from palpate.postprocessing.grids import Blurred, Resampled
from palpate.units import Scale

Maker = Callable[[Scale, str], PostProcessing]
_NUMBER = r"(\d{1,4}(?:\.\d{1,4})?)"

_KNOWN: tuple[tuple[str, str, str, Maker], ...] = (
    ("rounded", "rounded", "rounded to what the file stores, as saving does", lambda scale, _: Rounded(scale)),
    ("8bit", "8bit", "exported to 8 bits over the model's window or the range", lambda scale, _: EightBit(scale)),
    ("jpeg2000", "jpeg2000", "JPEG 2000 at ratio 10, on the stored bits", lambda scale, _: Jpeg2000(scale)),
    (
        "jpeg2000-RATIO",
        rf"jpeg2000-{_NUMBER}",
        "JPEG 2000 at another ratio, such as jpeg2000-20",
        lambda scale, ratio: Jpeg2000(scale, float(ratio)),
    ),
    (
        "jpegQUALITY",
        r"jpeg(\d{1,3})",
        "8-bit JPEG, quality 1 to 100, such as jpeg75",
        lambda scale, quality: Jpeg(scale, int(quality)),
    ),
    ("half", "half", "resampled to half the grid and back", lambda scale, _: Resampled(scale)),
    (
        "resampleFACTOR",
        rf"resample{_NUMBER}",
        "resampled to that fraction of the grid and back, such as resample0.75",
        lambda scale, factor: Resampled(scale, float(factor)),
    ),
    ("rewindow", "rewindow", "8 bits over another reader's window, 0.9 as wide", lambda scale, _: Rewindowed(scale)),
    (
        "rewindowWIDTH",
        rf"rewindow{_NUMBER}",
        "8 bits over a window that many times as wide, such as rewindow1.2",
        lambda scale, width: Rewindowed(scale, float(width)),
    ),
    (
        "blurSIGMA",
        rf"blur{_NUMBER}",
        "smoothed by a Gaussian of that many pixels, such as blur1",
        lambda scale, sigma: Blurred(scale, float(sigma)),
    ),
)
NAMES = ("8bit", "jpeg90", "jpeg75", "jpeg2000", "jpeg2000-20", "half", "resample0.75", "rewindow", "blur1", "rounded")
"""One name of every kind, as examples."""


def known() -> tuple[tuple[str, str], ...]:
    """Every form of name, with what it does in a phrase."""
    return tuple((form, words) for form, _, words, _ in _KNOWN)


def parse(name: str, scale: Scale) -> PostProcessing:
    """The post-processing step of this name for images of this scale.

    Raises:
        InputError: an unknown name, with the nearest; a number out of its range; `rounded` without a lattice.
    """
    for _, form, _, make in _KNOWN:
        if found := re.fullmatch(form, name, flags=re.ASCII):
            return make(scale, found[1] if found.groups() else "")
    raise InputError(f"'{name}' is not a post-processing step. {nearest(name, NAMES)}")
