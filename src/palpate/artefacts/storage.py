"""What storage takes away: JPEG, and fewer pixels."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene
from palpate.artefacts.fields import column
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

_FADE_LOSS, _FADE_FACTOR = 10.0, 0.25
"""Below this loss (quality 90) and this factor above 1 the change is faded in: nothing jumps at the image."""
_WHITE = 255.0


@dataclass(frozen=True)
class Jpeg(Artefact):
    """Saved as JPEG by Pillow (libjpeg), with colour at half the resolution (4:2:0), and read again.

    `loss` is 100 - quality. Whole values from 0 to 255 are saved as they are. Other values are scaled, so that the
    lowest is 0 and the highest 255, and what JPEG changes is scaled back and added to the image. Above a quality of
    90 the change is faded in. A volume is saved slice by slice along its first axis; with one or three channels as a
    picture, otherwise each channel alone.
    """

    name: ClassVar[str] = "jpeg"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("loss", "100 - quality", "MedMNIST-C, registry: quality 50, 30, 15, 10, 7",
                  levels=(50.0, 70.0, 85.0, 90.0, 93.0)),
    )  # fmt: skip
    gradient: ClassVar[bool] = False
    stage: ClassVar[int] = 4

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        low, unit = _scale(image)
        stored = ((image.detach() - low) / unit).round().clamp(0, _WHITE)
        pictures = _pictures(stored)

        def made(theta: Tensor) -> Tensor:
            saved = [_saved(pictures, 100 - round(float(loss)), stored) for loss in theta[:, 0]]
            change = (torch.stack(saved) - stored) * unit
            return image + column((theta[:, 0] / _FADE_LOSS).clamp(max=1), image) * change

        return made


def _scale(image: Tensor) -> tuple[float, float]:
    """The value that is stored as 0, and the value of one stored step."""
    low, high = float(image.min()), float(image.max())
    if low >= 0 and high <= _WHITE and bool((image == image.round()).all()):
        return 0.0, 1.0
    return low, max(high - low, 1e-12) / _WHITE


def _pictures(stored: Tensor) -> np.ndarray:
    """Pictures (N, H, W) or (N, H, W, 3), of 8 bits, of an image (C, *spatial)."""
    channels = stored.shape[0]
    slices = stored.reshape(channels, -1, *stored.shape[-2:]).to("cpu", torch.uint8)
    return slices.permute(1, 2, 3, 0).numpy() if channels == 3 else slices.flatten(0, 1).numpy()


def _saved(pictures: np.ndarray, quality: int, like: Tensor) -> Tensor:
    """The pictures after JPEG, as an image of the form of `like`."""
    read = np.stack([_round_trip(picture, max(quality, 1)) for picture in pictures])
    slices = torch.from_numpy(read).to(like)
    return slices.permute(3, 0, 1, 2).reshape(like.shape) if read.ndim == 4 else slices.reshape(like.shape)


def _round_trip(picture: np.ndarray, quality: int) -> np.ndarray:
    with io.BytesIO() as file:
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        return np.array(Image.open(file))


@dataclass(frozen=True)
class Resolution(Artefact):
    """Fewer pixels: each axis of the plane is made `factor` times smaller, and as large as before again.

    Both steps are linear; on the way down a pixel is the mean over its wider triangle (as Pillow does), so that fine
    stripes do not alias. The size is a whole number of pixels; up to a factor of 1.25 the change is faded in.
    """

    name: ClassVar[str] = "resolution"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("factor", "", "MedMNIST-C, registry (pixelate): sizes of 0.8 to 0.25; 0.2 at the end",
                  levels=(1.25, 1.7, 2.5, 3.5, 5.0), null=1.0),
    )  # fmt: skip
    gradient: ClassVar[bool] = False
    stage: ClassVar[int] = 4

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        size = image.shape[-2:]
        planes = image.reshape(1, -1, *size)

        def made(theta: Tensor) -> Tensor:
            rows = []
            for factor in theta[:, 0].tolist():
                fewer = [max(1, round(pixels / factor)) for pixels in size]
                small = F.interpolate(planes, size=fewer, mode="bilinear", antialias=True)
                rows.append(F.interpolate(small, size=size, mode="bilinear", align_corners=False).reshape(image.shape))
            share = ((theta[:, 0] - 1) / _FADE_FACTOR).clamp(max=1)
            return image + column(share, image) * (torch.stack(rows) - image)

        return made
