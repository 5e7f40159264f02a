"""The demo's segmenter: a small U-Net that outlines lungs and lesions in slices of thorax phantoms.

It was trained on phantoms alone by `tools/train_demo.py segmentation`, with ordinary augmentation and without any
defence. It says nothing about any patient.
"""

from __future__ import annotations

from torch import nn

from palpate.models.demo.networks import SmallUNet
from palpate.models.demo.shipped import load_shipped

SIZE = 128
"""Width and height of the slices it was trained on, in pixels; other multiples of 8 work too."""

STRUCTURES = ("left lung", "right lung", "lesion")
"""Names of the labels 1, 2 and 3; 0 is everything else. Left and right are the patient's, and without lesions."""

MEAN = (524.0,)
"""Subtracted from stored values, which are Hounsfield units + 1024: the middle of a window at -500 HU."""

STD = (500.0,)
"""Divides the difference."""

WEIGHTS = "weights/thorax_demo.safetensors"


def build() -> nn.Module:
    """The network with fresh weights: four levels of 8, 16, 32 and 64 channels.

    It takes float images (batch, 1, height, width) that are already normalised, (stored - MEAN) / STD, and returns
    logits (batch, 4, height, width) of background, left lung, right lung and lesion.
    """
    return SmallUNet((8, 16, 32, 64), 1 + len(STRUCTURES))


def load() -> nn.Module:
    """The trained network in eval mode, float32, on the CPU. The weights come with the package as float16."""
    return load_shipped(build(), WEIGHTS)
