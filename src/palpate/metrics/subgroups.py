"""Images by site or scanner: which of them count in each row of a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from palpate.metrics.panel import Bools

FEW_IMAGES = 10
"""With fewer images than this, a rate cannot be given."""


@dataclass(frozen=True, eq=False)
class Subgroup:
    """Images of one site or scanner."""

    name: str
    """Its name; empty for images whose site or scanner is not known."""
    mask: Bools
    """(N,) its images."""

    @property
    def small(self) -> bool:
        """Whether there are too few images for a rate."""
        return int(self.mask.sum()) < FEW_IMAGES


def subgroups(names: npt.NDArray[np.object_]) -> tuple[Subgroup, ...]:
    """The images by name, in alphabetical order, those without a name last; empty if all have the same name.

    Args:
        names: (N,) site or scanner of each image.
    """
    found = sorted(set(names.tolist()), key=lambda name: (not name, name))
    if len(found) < 2:
        return ()
    return tuple(Subgroup(name, np.asarray(names == name, dtype=bool)) for name in found)
