"""Defences: what surrounds a model and claims to protect it; each is attacked together with the model."""

from palpate.defences.drawn import Noise, ResizePad
from palpate.defences.filters import Filter, Median, Quantised
from palpate.defences.networks import Denoise, Ensemble
from palpate.defences.reading import Reading, reading_of
from palpate.defences.reject import Reject
from palpate.defences.smoothing import Smoothing

__all__ = ["Denoise", "Ensemble", "Filter", "Median", "Noise", "Quantised", "Reading", "Reject", "ResizePad",
           "Smoothing", "reading_of"]  # fmt: skip
