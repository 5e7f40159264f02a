"""Maps of how a change spreads over an image, as small pictures with one colour bar for all attacks."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image

from palpate.metrics.panel import Floats
from palpate.report.model.words import amount, in_unit

SIDE = 160
"""The most pixels on a map's longer side. Larger images show every k-th pixel: a mean would change the values."""
LEVELS = 32
"""Colours of a map: enough for the eye, and the files stay small."""
_SPREAD = colormaps["cividis"]
# Grey means no change, as in the gallery.
_CHANGE = LinearSegmentedColormap.from_list("change", ["#0072b2", "#8fb8d6", "#8c8c8c", "#efb183", "#d55e00"])


@dataclass(frozen=True)
class ColourBar:
    """A colour scale that several maps share."""

    low: float
    high: float
    signed: bool

    @classmethod
    def of(cls, maps: Sequence[Floats], *, signed: bool) -> ColourBar:
        """From 0 to the largest value, or from minus to plus the largest value."""
        most = max((float(np.nanmax(np.abs(one))) for one in maps if np.isfinite(one).any()), default=0.0) or 1.0
        return cls(-most if signed else 0.0, most, signed)

    def shown(self, unit: str) -> dict[str, str]:
        """Its CSS gradient and the texts at its ends and in its middle."""
        colours = [self._colours(np.array([place]))[0] for place in np.linspace(0, 1, 9)]
        stops = ", ".join("#" + "".join(f"{part:02x}" for part in colour) for colour in colours)
        middle = (self.low + self.high) / 2
        return {
            "gradient": f"linear-gradient(90deg, {stops})",
            "low": amount(_rounded(self.low)),
            "middle": amount(_rounded(middle)),
            "high": in_unit(_rounded(self.high), unit),
        }

    def picture(self, values: Floats) -> str:
        """A map as a PNG in a data URI."""
        places = (thinned(np.asarray(values, np.float64)) - self.low) / (self.high - self.low)
        levels = np.rint(np.clip(np.nan_to_num(places), 0, 1) * (LEVELS - 1)).astype(np.uint8)
        picture = Image.fromarray(levels, mode="P")
        picture.putpalette(self._colours(np.linspace(0, 1, LEVELS)).tobytes())
        return png(picture)

    def _colours(self, places: Floats) -> npt.NDArray[np.uint8]:
        colours = (_CHANGE if self.signed else _SPREAD)(places)
        return np.asarray(np.rint(255 * colours[:, :3]), dtype=np.uint8)


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def thinned(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Every k-th pixel of an image (H, W, ...), so that no side is longer than `SIDE`."""
    every = max(1, -(-max(values.shape[:2]) // SIDE))
    return values[every // 2 :: every, every // 2 :: every]


def png(picture: Image.Image) -> str:
    """A picture as a data URI."""
    sink = io.BytesIO()
    picture.save(sink, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode()


def clean(shown: npt.NDArray[np.uint8]) -> str:
    """The clean image (H, W, 3) as a data URI."""
    return png(Image.fromarray(np.ascontiguousarray(thinned(shown))).quantize(64))
