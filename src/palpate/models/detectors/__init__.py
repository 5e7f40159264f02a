"""Detectors that return `palpate.annotations.Candidates`: a small one, and adapters for other libraries.

Each adapter is in a separate module, because it needs a package that palpate does not require.
"""

from __future__ import annotations

from palpate.models.detectors.centre import CentreDetector, centre_loss

__all__ = ["CentreDetector", "centre_loss"]
