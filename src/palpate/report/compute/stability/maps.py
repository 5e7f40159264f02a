"""The maps that a run stores with a trace, read back and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from palpate.metrics.panel import Floats
from palpate.storage.runs import RunFolder

_STORED = ("rows", "sizes", "shown", "spread_starts", "change")


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of one attack: n images."""

    rows: tuple[int, ...]
    """(n,) positions in the audited table."""
    shown: list[npt.NDArray[np.uint8]]
    """(H, W, 3) each: the clean images; for a volume the plane that the gallery shows."""
    spread_starts: list[Floats]
    """(H, W) each: standard deviation of the final change over starts, in values; NaN where there is none."""
    change: list[Floats]
    """(H, W) each: the final change of the first start, mean over channels."""
    spread_images: Floats | None
    """(H, W) standard deviation of the final change over images; None where they differ in shape, or there is one."""


def read_maps(run: RunFolder, identity: str) -> Maps:
    """The maps of a trace.

    Raises:
        StorageError: the file is damaged, or its arrays do not belong together.
    """
    stored = run.trace_maps(identity)
    try:
        rows, sizes, shown, *both = (stored[name] for name in _STORED)
    except KeyError as error:
        raise run.foreign_maps(identity) from error
    planes, over_images = both[0].shape, stored.get("spread_images")
    fits = len(planes) == 3 and all(one.shape == planes for one in both) and shown.shape == (*planes, 3)
    if not fits or sizes.shape != (len(rows), 2) or len(rows) != len(shown) or shown.dtype != np.uint8:
        raise run.foreign_maps(identity)
    if over_images is not None and over_images.shape != planes[1:]:
        raise run.foreign_maps(identity)
    spread, change = (
        [_cut(np.asarray(one, np.float64), size) for one, size in zip(kind, sizes, strict=True)] for kind in both
    )
    return Maps(
        rows=tuple(int(row) for row in rows),
        shown=[_cut(one, size) for one, size in zip(shown, sizes, strict=True)],
        spread_starts=spread,
        change=change,
        spread_images=None if over_images is None else np.asarray(over_images, np.float64),
    )


def _cut(values: npt.NDArray[Any], size: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    # Smaller images are in the upper left corner.
    return values[: size[0], : size[1]]
