"""What happens to images in a hospital: export to 8 bits, JPEG, resampling, other windows, smoothing.

parse("jpeg75", Scale((0, 255)))(images)
"""

from __future__ import annotations

from palpate.handling.base import Handling
from palpate.handling.names import NAMES, known, parse

__all__ = ["NAMES", "Handling", "known", "parse"]
