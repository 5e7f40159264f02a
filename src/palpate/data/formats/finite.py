"""NaN and infinity: found before anything is computed with them; NaN is replaced if the plan names a value."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from palpate.data.formats.scan import Header, Scan
from palpate.errors import InputError


def with_finite_values(path: Path, scan: Scan, nan: float | None = None) -> Scan:
    """The image, with a value in place of NaN.

    Args:
        path: its file, for messages.
        scan: what the file stores.
        nan: the value that replaces NaN, in the unit of the values; None: NaN is refused.

    Raises:
        InputError: values are infinite, or NaN without a value that replaces it.
    """
    if _cannot_fail(scan.header):
        return scan
    with np.errstate(over="ignore"):
        values = scan.values
    unknown = np.isnan(values)
    count, infinite = int(unknown.sum()), int(np.isinf(values).sum())
    if infinite:
        raise InputError(f"{path} holds infinity in {infinite} of {values.size} voxels. Repair it, or take it out.")
    if not count:
        return scan
    if nan is None:
        raise InputError(
            f"{path} holds NaN in {count} of {values.size} voxels. Write in [data] which value replaces NaN, such as "
            "nan = 0, or repair the file."
        )
    number = (nan - scan.header.intercept) / scan.header.slope
    return Scan(scan.header, np.where(unknown, np.asarray(number, scan.stored.dtype), scan.stored))


def _cannot_fail(header: Header) -> bool:
    """Whether the file stores whole numbers that single precision can represent."""
    bounds = header.bounds
    return bounds is not None and max(map(abs, bounds)) <= float(np.finfo(np.float32).max)
