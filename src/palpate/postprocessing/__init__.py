"""What happens to images in a hospital: export to 8 bits, JPEG, resampling, other windows, smoothing.

parse("jpeg75", Scale((0, 255)))(images)
"""

from __future__ import annotations

from palpate._moved import renamed
from palpate.postprocessing.base import PostProcessing
from palpate.postprocessing.names import NAMES, known, parse

__all__ = ["NAMES", "PostProcessing", "known", "parse"]


__getattr__ = renamed(__name__)
