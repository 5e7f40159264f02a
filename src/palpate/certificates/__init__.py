"""Certified lower bounds of a smoothed model, beside attacked upper bounds of the same one.

A model that is smoothed decides by the vote of its decisions for many noisy copies of an image. How its votes are
shared out says how far in L2 the image may be changed before the vote can change: a certificate. It speaks of the
smoothed model, not of the model as it was given.
"""

from palpate.certificates.bounds import certified_radius, largest_radius, lower_bound
from palpate.certificates.decisions import Bounds, Decisions
from palpate.certificates.image import Certified, Level, certify_image
from palpate.certificates.settings import Settings
from palpate.certificates.votes import Noise, count

__all__ = [
    "Bounds",
    "Certified",
    "Decisions",
    "Level",
    "Noise",
    "Settings",
    "certified_radius",
    "certify_image",
    "count",
    "largest_radius",
    "lower_bound",
]
