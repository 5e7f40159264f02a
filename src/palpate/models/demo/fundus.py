"""The demo's classifier: a small, ordinary residual network that grades digital fundus phantoms.

It was trained on phantoms alone by `tools/train_demo.py classification`, with ordinary augmentation
(mirrored, turned, noise) and without any defence. It says nothing about any patient.
"""

from __future__ import annotations

from torch import nn

from palpate.models.demo.networks import ResidualNetwork
from palpate.models.demo.shipped import load_shipped

SIZE = 128
"""Width and height of the images it was trained on, in pixels; it grades smaller ones too."""

CLASSES = ("no DR", "mild", "moderate", "severe", "proliferative")
"""Names of the grades 0..4."""

DISEASE = (2, 3, 4)
"""Grades that are referable: moderate and worse."""

MEAN = (124.0, 67.0, 40.0)
"""Subtracted from stored values 0..255, per channel (red, green, blue)."""

STD = (74.0, 42.0, 25.0)
"""Divides the difference, per channel."""

WEIGHTS = "weights/fundus_demo.safetensors"


def build() -> nn.Module:
    """The network with fresh weights: a residual network of four stages with 5 logits.

    It takes float images of (batch, 3, 128, 128) that are already normalised, (stored - MEAN) / STD.
    """
    return ResidualNetwork((12, 24, 32, 48), len(CLASSES))


def load() -> nn.Module:
    """The trained network in eval mode, float32, on the CPU. The weights come with the package as float16."""
    return load_shipped(build(), WEIGHTS)
