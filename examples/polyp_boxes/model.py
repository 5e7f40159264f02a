"""The network of this example: palpate's small detector, for polyps at 160 x 160 pixels."""

from __future__ import annotations

from palpate.models.detectors import CentreDetector

CLASSES = ("polyp",)
"""Name of the one class, as the annotations have it."""
SIZE = (160, 160)
"""Height and width."""
MEAN, STD = 127.5, 63.0
"""In stored values 0..255; the same numbers are in plan.toml."""


def build() -> CentreDetector:
    """Candidates, one per 8 x 8 pixels, of colour images (B, 3, H, W) normalised with MEAN and STD."""
    return CentreDetector(classes=len(CLASSES), width=32)
