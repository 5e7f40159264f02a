"""The demo's detector: finds artefacts in endoscopy phantoms.

It was trained on phantoms alone by `tools/train_demo.py detection`, with ordinary augmentation and without any
defence. It says nothing about any patient.
"""

from __future__ import annotations

from palpate.models.demo.shipped import load_shipped
from palpate.models.detectors import CentreDetector

SIZE = 128
"""Width and height of the images it was trained on, in pixels."""

CLASSES = ("specularity", "saturation", "blur", "bubbles")
"""Names of the classes 0..3."""

MEAN = (163.0, 110.0, 93.0)
"""Subtracted from stored values 0..255, per channel (red, green, blue)."""

STD = (58.0, 43.0, 39.0)
"""Divides the difference, per channel."""

CONFIDENCE = 0.3
"""Confidence from which a box counts."""

WEIGHTS = "weights/endoscopy_demo.safetensors"


def build() -> CentreDetector:
    """The network with fresh weights, one cell for every four pixels.

    It takes float images (batch, 3, 128, 128) that are already normalised, (stored - MEAN) / STD, and returns
    `palpate.annotations.Candidates`.
    """
    return CentreDetector(classes=len(CLASSES), width=16, stride=4)


def load() -> CentreDetector:
    """The trained network in eval mode, float32, on the CPU. The weights come with the package as float16."""
    network = build()
    load_shipped(network, WEIGHTS)
    return network
