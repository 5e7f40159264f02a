"""The pixels that are shown, by image and slice: of files as values, of the gallery as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from palpate.audit.work.outlines import Mark, outlines
from palpate.audit.work.shading import window
from palpate.data.formats.orientation import turned
from palpate.data.formats.registry import read_scan
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.storage import kept as digests
from palpate.storage.runs import RunFolder
from palpate.view.cache import Cache

Array = npt.NDArray[Any]
_VALUES = 1 << 29
"""Bytes of decoded images that stay in memory; the last two always do."""
_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST = 64 << 20


@dataclass(frozen=True)
class Grid:
    """How an image is cut into planes.

    Attributes:
        axis: spatial axis of the slices; None in 2D.
        count: number of slices.
        aspect: width divided by height in mm.
    """

    axis: int | None
    count: int
    aspect: float

    @classmethod
    def of(cls, spatial: Sequence[int], spacing: Sequence[float]) -> Grid:
        """Slices along the coarsest axis, the last one if several are equal, as in the report."""
        steps = tuple(spacing) if len(spacing) == len(spatial) else (1.0,) * len(spatial)
        axis = max(range(len(spatial)), key=lambda one: (steps[one], one)) if len(spatial) > 2 else None
        height, width = (one for one in range(len(spatial)) if one != axis)
        aspect = spatial[width] * steps[width] / (spatial[height] * steps[height])
        return cls(axis, 1 if axis is None else spatial[axis], round(float(aspect), 4))

    def plane(self, values: Array, index: int) -> Array:
        """The plane (C, H, W) of an image (C, *spatial)."""
        return values if self.axis is None else np.take(values, index, axis=self.axis + 1)


@dataclass(frozen=True, eq=False)
class Pixels:
    """Reads what is shown.

    Attributes:
        run: the run folder.
        table: the images as stored; None if they are not at hand.
        bounds: lowest and highest stored value.
        files: digest of each picture and exported file of the run.
    """

    run: RunFolder
    table: Table | None
    bounds: tuple[float, float]
    files: dict[str, str]
    _values: Cache[Array] = field(default_factory=lambda: Cache(_VALUES, lambda one: int(one.nbytes)), repr=False)

    def clean(self, row: int) -> Array:
        """The image as stored (C, *spatial).

        Raises:
            InputError: it cannot be read.
        """
        if self.table is None or not 0 <= row < len(self.table):
            raise InputError("It is not at hand.")
        table = self.table
        return self._values.get(("clean", row), lambda: table.image(row))

    def spacing(self, row: int) -> tuple[float, ...]:
        """Size of a pixel in mm; empty if it is not known, or the image is not at hand."""
        return () if self.table is None else (self.table.spacing(row) or ())

    def attacked(self, row: int, name: str) -> Array:
        """An exported image (C, *spatial) of the run folder.

        Raises:
            InputError: it is missing, changed, or cannot be read.
        """
        return self._values.get(name, lambda: self._exported(row, name))

    def _exported(self, row: int, name: str) -> Array:
        path = self.inside(name)
        if path is None or (name in self.files and digests.digest(path) != self.files[name]):
            raise InputError("It is missing or damaged.")
        channels = self.table is not None and len(self.table.paths(row)) > 1
        if channels and path.is_dir():
            return np.concatenate([read_scan(part).values for part in sorted(path.iterdir())])
        values = read_scan(path).values
        return values if self.table is None else turned(values, self.table.turn(row))

    def window(self, row: int, values: Array) -> tuple[float, float]:
        """Stored values that are shown black and white, as in the report."""
        inverted = self.table is not None and self.table.header(row).inverted
        return window(values, self.bounds, inverted=inverted)

    def picture(self, name: str) -> bytes:
        """A picture of the run's `images/`, as it is.

        Raises:
            InputError: there is no such PNG, it was changed, or it is too large.
        """
        path = self.inside(name)
        if path is None or not path.is_file() or path.stat().st_size > _LARGEST:
            raise InputError("The picture is missing.")
        if name in self.files and digests.digest(path) != self.files[name]:
            raise InputError("The picture was changed since the audit.")
        data = path.read_bytes()
        if not data.startswith(_PNG):
            raise InputError("The picture is not a PNG.")
        return data

    def inside(self, name: str) -> Path | None:
        """A file of the run's `images/` or `exports/`; None if it leads elsewhere."""
        root = self.run.path.resolve()
        try:
            path = (root / name).resolve()
        except (OSError, ValueError):
            return None
        homes = (root / "images", root / "exports")
        return path if any(path.is_relative_to(home) and path != home for home in homes) else None

    def outlines(self, row: int, index: int, structures: int) -> list[Mark]:
        """The outlines of the annotated masks on one plane; empty without masks."""
        if self.table is None:
            return []
        annotation = self.table.annotation(row)
        labels = annotation.labels
        if labels is None:
            return []
        parts = labels == 1 if annotation.overlapping else np.stack([labels == one + 1 for one in range(structures)])
        grid = Grid.of(parts.shape[1:], self.spacing(row))
        return outlines(grid.plane(parts, index)) if index < grid.count else []
