"""Defences: what stands around a model and claims to protect it; each is attacked together with the model."""

from palpate.defences.reading import Reading
from palpate.defences.smoothing import Smoothing

__all__ = ["Reading", "Smoothing"]
