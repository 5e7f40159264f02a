"""Detectors that return `palpate.annotations.Candidates`: a small one of our own, and adapters for those of others.

The adapters live in modules of their own, since each needs a package that palpate does not require.
"""

from __future__ import annotations

from palpate.models.detectors.centre import CentreDetector, centre_loss

__all__ = ["CentreDetector", "centre_loss"]
