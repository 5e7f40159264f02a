"""The network of this example: palpate's small detector, for three kinds of blood cells at 320 x 240 pixels."""

from __future__ import annotations

from palpate.models.detectors import CentreDetector

CLASSES = ("RBC", "WBC", "Platelets")
"""Names of the classes 0..2, as the annotations have them."""
SIZE = (240, 320)
"""Height and width."""
MEAN, STD = 183.0, 25.0
"""In stored values 0..255; the same numbers are in plan.toml."""


def build() -> CentreDetector:
    """Candidates, one per 8 x 8 pixels, of colour images (B, 3, H, W) normalised with MEAN and STD."""
    return CentreDetector(classes=len(CLASSES), width=24)
