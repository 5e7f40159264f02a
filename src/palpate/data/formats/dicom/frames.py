"""Positions of frames: functional groups of enhanced objects, positions along the normal, even distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from palpate.errors import InputError

TURNED = 1e-3
"""Direction cosines that differ by more are another orientation."""

SAME_PLACE = 0.01
"""Slices nearer than this, in mm, are at one position."""

UNEVEN = 0.05
"""Distances of neighbouring slices may differ from their median by this share of it, because positions are rounded."""

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plane:
    """The position of one frame in the patient.

    Attributes:
        position: (3,) mm of the first pixel's centre.
        orientation: (6,) direction cosines along a row, then along a column.
    """

    position: Vector
    orientation: Vector

    @property
    def normal(self) -> Vector:
        """Unit vector across the frame."""
        across = np.cross(self.orientation[:3], self.orientation[3:])
        return np.asarray(across / np.linalg.norm(across), dtype=np.float64)


def numbers(value: Any, count: int | None = None) -> list[float]:
    """The finite numbers of an attribute; empty if one is not finite, or if there are not `count` of them."""
    try:
        parts = [value] if isinstance(value, str | bytes) else list(value)
    except TypeError:
        parts = [value]
    try:
        found = [float(part) for part in parts]
    except (TypeError, ValueError):
        return []
    return found if np.isfinite(found).all() and count in (None, len(found)) else []


@dataclass(frozen=True, eq=False)
class Groups:
    """Attributes of frames, from any place in the file: of each frame, shared by all, or at the top level."""

    dataset: Any

    @property
    def enhanced(self) -> bool:
        """Whether the file has functional groups."""
        return bool(self.items("Shared") or self.items("PerFrame"))

    def get(self, frame: int, group: str, keyword: str) -> Any:
        """An attribute of one frame, or None."""
        own, shared = self.items("PerFrame"), self.items("Shared")
        holders = [own[frame]] if frame < len(own) else []
        for holder in (*holders, *shared[:1]):
            items = holder.get(group)
            if items and items[0].get(keyword) is not None:
                return items[0].get(keyword)
        return self.dataset.get(keyword)

    def plane(self, frame: int) -> Plane | None:
        """The position of a frame, or None if the file does not say it."""
        position = numbers(self.get(frame, "PlanePositionSequence", "ImagePositionPatient"), 3)
        turned = numbers(self.get(frame, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
        if not position or not turned:
            return None
        plane = Plane(np.array(position), np.array(turned))
        lengths = np.linalg.norm(plane.orientation.reshape(2, 3), axis=1)
        across = abs(float(plane.orientation[:3] @ plane.orientation[3:]))
        return plane if np.allclose(lengths, 1.0, atol=0.01) and across < 0.01 else None

    def items(self, whose: str) -> Any:
        """The functional groups: `Shared`, one item for all frames, or `PerFrame`, one for each."""
        return self.dataset.get(f"{whose}FunctionalGroupsSequence") or []


def stacked(path: Path, planes: Sequence[Plane], names: Sequence[str]) -> tuple[list[int], float | None]:
    """Order of frames along their common normal, and their distance in mm (None for a single one).

    A frame's place is its position projected on the first frame's normal, so the order is right with a tilted gantry
    too, and the distance is the one across the slices.

    Args:
        path: the file or folder, for messages.
        planes: the position of each frame.
        names: what messages call each frame.

    Raises:
        InputError: frames have several directions, two are at one position, or their distances differ by more than
            `UNEVEN` of the median.
    """
    _require_parallel(path, planes, names)
    along = np.array([plane.position @ planes[0].normal for plane in planes])
    order = [int(place) for place in np.argsort(along, kind="stable")]
    if len(order) == 1:
        return order, None
    along, words = along[order], [names[place] for place in order]
    steps = np.diff(along)
    if steps.min() < SAME_PLACE:
        at = int(steps.argmin())
        raise InputError(
            f"{path}: {words[at]} and {words[at + 1]} are at one position ({along[at]:.2f} mm along the normal), as "
            "time points or echoes are. Put one image of each position into a separate folder."
        )
    usual = float(np.median(steps))
    at = int(np.abs(steps - usual).argmax())
    if abs(steps[at] - usual) > UNEVEN * usual:
        between = f"{words[at]} at {along[at]:.2f} mm and {words[at + 1]} at {along[at + 1]:.2f} mm"
        what = "slices are missing between" if steps[at] > 1.5 * usual else "the spacing is uneven between"
        raise InputError(
            f"{path}: {what} {between}: {steps[at]:.2f} mm, where neighbours are {usual:.2f} mm apart "
            f"({UNEVEN:.0%} of difference are allowed). Add what is missing, or resample the volume to even slices."
        )
    return order, float(along[-1] - along[0]) / (len(order) - 1)


def _require_parallel(path: Path, planes: Sequence[Plane], names: Sequence[str]) -> None:
    for plane, name in zip(planes, names, strict=True):
        if np.abs(plane.orientation - planes[0].orientation).max() > TURNED:
            raise InputError(
                f"{path}: {names[0]} and {name} have different directions, and the slices of a volume have one. "
                "Remove localizers, and put each volume into its own folder."
            )
