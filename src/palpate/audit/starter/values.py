"""The values of the images, for a first plan: bounds, budgets in the images' unit, origins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from palpate.audit.plan.toml_words import CHECK, FILL_IN, text_of, texts
from palpate.data.formats.forms import bit_range
from palpate.data.inspect.annotated import FoundAnnotations
from palpate.data.inspect.folder import FoundClasses
from palpate.data.inspect.seen import Seen
from palpate.errors import InputError

HOUNSFIELD = (-1024.0, 3071.0)
"""Lowest and highest HU of CT in 12 bits with the usual intercept of -1024."""

_SHARES = (0.5, 1, 2, 4)
_IN_255 = tuple(f"{share:g}/255" for share in _SHARES)
_HU = ("2 HU", "5 HU", "10 HU")
_EXACT = 2.0**24
"""Files that can store more numbers than single precision can separate use only a small part of them."""
_SOFT_TISSUE = (-160.0, 240.0)


@dataclass(frozen=True)
class Values:
    """What a plan says about the values.

    Attributes:
        bounds: `model.bounds`, in the values' unit.
        doubt: what to check or fill in, and why; empty if there is nothing.
        eps: budgets as plans write them, the smallest first.
        counted: what the budgets count, for the comment next to them.
        unit: unit of the values; empty if the files do not say it.
        lattice: whether saving keeps changes that are multiples of stored steps.
        window: lowest and highest value of the display window of CT; None for other images.
        asked: whether the window comes from the files.
        used: lowest and highest value that is mapped to 0..1 until the user says how the network was trained; the
            bounds if nothing narrower is known.
        nan: how many of the checked images hold NaN.
    """

    bounds: tuple[float, float]
    doubt: str = ""
    eps: tuple[str, ...] = _IN_255
    counted: str = "fractions of the range; plain numbers are values"
    unit: str = ""
    lattice: bool = False
    window: tuple[float, float] | None = None
    asked: bool = False
    used: tuple[float, float] | None = None
    nan: int = 0


def values_in(layout: FoundClasses | FoundAnnotations) -> Values:
    """The values of the images of a layout; if the headers do not say enough, the first image is read."""
    seen = layout.seen
    if seen is None:
        return _by_type(layout.form.dtype)
    if seen.alike and seen.header.form.dtype == "uint8" and seen.header.bounds == (0, 255):
        return _by_type("uint8")
    reach = _reach(seen)
    if seen.header.unit == "HU":
        return _hounsfield(seen, reach)
    if seen.header.bounds is None or not seen.alike:  # what one file can store says nothing of the others
        return replace(_unknown(_reach(seen, every=True)), nan=seen.holding_nan())
    return _stored(seen, seen.header.bounds, reach)


def _by_type(dtype: str) -> Values:
    try:
        low, high = bit_range(dtype)
    except InputError:
        return _unknown(None)
    doubt = "" if dtype == "uint8" else f"{CHECK}: the range of {dtype}; 12-bit values in it end at 4095"
    return Values((low, high), doubt)


def _unknown(reach: tuple[float, float] | None) -> Values:
    """Floats: the values of the checked images; if these cannot be read, the user is asked."""
    if reach is None or not reach[0] < reach[1]:
        return Values((0, 1), f"{FILL_IN}: lowest and highest value that an image can hold{_first(reach)}")
    return Values(reach, f"{CHECK}: the lowest and highest value of the images that were looked at; all must fit")


def _hounsfield(seen: Seen, reach: tuple[float, float] | None) -> Values:
    """CT: its usual range as far as the files store it, but at least the range of the first image with its padding."""
    header = seen.header
    storable = header.bounds or HOUNSFIELD
    held = reach or HOUNSFIELD
    low = min(max(HOUNSFIELD[0], storable[0]), held[0])
    high = max(min(HOUNSFIELD[1], storable[1]), held[1])
    doubt = f"{CHECK}: HU of CT in 12 bits; the files could store {_pair(storable)}{_first(reach)}"
    counted = 'values in HU; "1 stored step" is a budget too, and "0.5% of window" where steps have a window'
    window = header.window or _SOFT_TISSUE
    return Values((low, high), doubt, _HU, counted, "HU", header.step is not None, window, header.window is not None)


def _stored(seen: Seen, storable: tuple[float, float], reach: tuple[float, float] | None) -> Values:
    """Other integers: the range that the files can store, and budgets as shares of the range of the first image."""
    header = seen.header
    doubt = f"{CHECK}: what the files can store{_first(reach)}"
    lattice = header.lossless and header.step is not None
    if max(map(abs, storable)) > _EXACT and (every := _reach(seen, every=True)) and every[0] < every[1]:
        storable, doubt = (
            every,
            f"{CHECK}: the lowest and highest value of the images that were looked at; all must fit",
        )
    if header.step is None:
        return Values(storable, doubt, unit=header.unit, lattice=lattice)
    used = reach if reach and reach[1] > reach[0] else storable
    steps = dict.fromkeys(max(1, round(share / 255 * (used[1] - used[0]) / header.step)) for share in _SHARES)
    eps = tuple(f"{count} stored step{'' if count == 1 else 's'}" for count in steps)
    counted = f"about {', '.join(f'{share:g}' for share in _SHARES)}/255 of {_pair(used)}"
    return Values(storable, doubt, eps, counted, header.unit, lattice, used=used)


def _reach(seen: Seen, *, every: bool = False) -> tuple[float, float] | None:
    try:
        return seen.reach(every=every)
    except InputError:  # the audit says what is wrong with it
        return None


def _first(reach: tuple[float, float] | None) -> str:
    return "" if reach is None else f"; the first image has {_pair(reach)}"


def _pair(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.8g} to {pair[1]:.8g}"


def nan_lines(values: Values) -> list[str]:
    """The value that replaces NaN, if images hold it."""
    if not values.nan:
        return []
    said = f"{CHECK}: the value for NaN, which {values.nan} of the images that were looked at hold"
    return [f"nan = {numbers(values.bounds[:1])[1:-1]}  # {said}"]


def numbers(values: Sequence[float]) -> str:
    """A list of numbers, whole ones without a point and others in full."""
    return f"[{', '.join(str(int(value)) if value == int(value) else repr(float(value)) for value in values)}]"


def threat_part(values: Values) -> str:
    """`[threat]`: budgets in the images' own unit."""
    lines = [
        "[threat]",
        'norm = "linf"  # every stored value may change by at most eps',
        f"eps = {texts(values.eps)}  # {CHECK}: {values.counted}",
    ]
    if values.lattice:
        lines.append("# lattice = true  # only values that the files can store: saving then changes nothing")
    return "\n".join(lines) + "\n"


def step_lines(values: Values) -> list[str]:
    """The line of a window, for CT."""
    if values.window is None:
        return []
    whose = "the files' own" if values.asked else "soft tissue"
    return [f"# steps = [{{window = {numbers(values.window)}}}]  # {whose}; for a window, instead of mean and std"]


def origin_lines(layout: FoundClasses | FoundAnnotations) -> list[str]:
    """Patients, sites and scanners of `[data]`."""
    if layout.group:
        lines = [f"group = {text_of(layout.group)}  # images of one patient belong together"]
    elif layout.seen is not None and layout.seen.dicom:
        lines = ['group = "dicom"  # images of one patient belong together; identifiers are not kept']
    else:
        lines = ['# group = "patient"  # column of the patient, where one has several images']
    if layout.site:
        lines.append(f"site = {text_of(layout.site)}  # {CHECK}: where an image was taken")
    if layout.scanner:
        lines.append(f"scanner = {text_of(layout.scanner)}  # {CHECK}")
    return lines


def turned_lines(layout: FoundClasses | FoundAnnotations) -> list[str]:
    """The line for images whose EXIF tag asks to turn them."""
    if layout.seen is None or not layout.seen.turned:
        return []
    why = 'images have an EXIF tag by which viewers turn them. "exif" turns them, as cv2.imread does; Pillow does not'
    return [f'orientation = "stored"  # {CHECK}: {why}']
