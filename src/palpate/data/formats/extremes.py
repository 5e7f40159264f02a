"""The lowest and highest value of an image, as `palpate describe` prints them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from palpate.data.formats.registry import format_of


def extremes(path: Path) -> dict[str, object]:
    """`minimum` and `maximum` of the finite values of a file or series, and how many voxels are `NaN` or infinite.

    Raises:
        InputError: the pixels cannot be read.
    """
    values = format_of(path).read(path).values
    finite = values[np.isfinite(values)]
    found: dict[str, object] = {"minimum": None, "maximum": None}
    if finite.size:
        found = {name: float(f"{end:.9g}") for name, end in (("minimum", finite.min()), ("maximum", finite.max()))}
    strange = {"NaN": int(np.isnan(values).sum()), "infinite": int(np.isinf(values).sum())}
    return found | {name: f"{count} of {values.size} voxels" for name, count in strange.items() if count}
