"""From values to the network's input: differentiable, identified, part of the victim, usable in training.

`Preprocess` is the short form (size, channels, mean, std), `Chain` any steps in any order, `MonaiChain` the user's own
MONAI transforms. All of them are callable, (B, C, *spatial) values -> the network's input, and have no state.
"""

from palpate.preprocess.blocking import Blocked, blocked, findings, partly_blocked, where_blocked
from palpate.preprocess.body import CropToBody
from palpate.preprocess.chain import Chain
from palpate.preprocess.geometry import CentreCrop, Pad, Reorder, Resample, Resize
from palpate.preprocess.monai_chain import MonaiChain
from palpate.preprocess.simple import Preprocess
from palpate.preprocess.statistics import PerImage
from palpate.preprocess.step import Preprocessing, Step
from palpate.preprocess.values import Clip, Invert, Normalise, Rescale, ToRGB, Window

__all__ = [
    "Blocked",
    "CentreCrop",
    "Chain",
    "Clip",
    "CropToBody",
    "Invert",
    "MonaiChain",
    "Normalise",
    "Pad",
    "PerImage",
    "Preprocess",
    "Preprocessing",
    "Reorder",
    "Resample",
    "Rescale",
    "Resize",
    "Step",
    "ToRGB",
    "Window",
    "blocked",
    "findings",
    "partly_blocked",
    "where_blocked",
]
