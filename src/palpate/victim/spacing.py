"""An inferer that depends on the spacing of the images."""

from __future__ import annotations

from typing import Any


def placed(inferer: Any, spacing: tuple[float, ...] | None) -> Any:
    """The inferer for images of this spacing (mm per pixel along each spatial axis); itself if it does not matter."""
    at = getattr(inferer, "at", None)
    return inferer if at is None else at(spacing)
