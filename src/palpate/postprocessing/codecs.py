"""JPEG and JPEG 2000 as they are: encoded and decoded by the libraries that viewers use."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, Jpeg2KImagePlugin, JpegImagePlugin
from torch import Tensor

from palpate.errors import InputError
from palpate.postprocessing.base import levels, span, span_words, through, top_level, values
from palpate.units import Scale

Codec = Callable[[Image.Image], Image.Image]
Planes = npt.NDArray[Any]
"""Numbers (planes, C, rows, columns)."""
_BLOCK = 8
"""Rows that JPEG codes together."""
_TOGETHER = 2**15
"""Values of small images that are coded in one go; with larger ones, the calls themselves cost little."""
_LONGEST = 65500
"""Side of the largest picture that JPEG's headers allow."""


@dataclass(frozen=True)
class Jpeg:
    """Exported to 8 bits as by `8bit`, and through a real JPEG (Pillow with libjpeg, baseline).

    Three channels are one RGB picture with chroma at half resolution (4:2:0, the encoder's default), any other number
    are as many grey pictures. Volumes: every plane of the last two axes is a picture.

    Attributes:
        scale: what the values mean.
        quality: of the encoder, 1 to 100.

    Raises:
        InputError: a quality outside 1 to 100.
    """

    scale: Scale
    quality: int

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise InputError(f"jpeg{self.quality}: a quality must be a whole number from 1 to 100.")

    @property
    def name(self) -> str:
        """`jpeg75`."""
        return f"jpeg{self.quality}"

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return f"JPEG at quality {self.quality}, from 8 bits over {span_words(self.scale)}"

    def __call__(self, images: Tensor) -> Tensor:
        """Values (B, C, *spatial) as they come out of the file.

        Raises:
            InputError: pictures larger than the format allows.
        """
        low, high = span(self.scale)
        return _each(images, lambda x: _recoded(x, low, high, 255, self._planes, self.scale.bounds))

    def soft(self, images: Tensor) -> Tensor:
        """The same, straight through (Shin and Song 2017); no gradient outside the window."""
        return through(self(images), images.clamp(*span(self.scale)))

    def _planes(self, planes: Planes) -> Planes:
        """All planes through the codec. Small grey ones are one tall picture: their blocks are coded separately."""
        height, width = planes.shape[-2:]
        missing = -height % _BLOCK
        tall = min(_LONGEST, _TOGETHER // width) // (height + missing)
        if planes.shape[1] == 3 or tall < 2:
            return np.stack([_picture(plane, self._codec) for plane in planes])
        # The encoder completes the last block with the last row, too.
        grey = np.pad(planes.reshape(-1, height, width), ((0, 0), (0, missing), (0, 0)), mode="edge")
        coded = [
            np.asarray(self._codec(Image.fromarray(grey[start : start + tall].reshape(-1, width))))
            for start in range(0, len(grey), tall)
        ]
        return np.concatenate(coded).reshape(grey.shape)[:, :height].reshape(planes.shape)

    def _codec(self, picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=self.quality)
        # The format is named: a guess at it would also check the size, which is that of the image itself.
        return JpegImagePlugin.JpegImageFile(io.BytesIO(file.getvalue()))


@dataclass(frozen=True)
class Jpeg2000:
    """Through a real JPEG 2000 (OpenJPEG; irreversible 9/7 wavelet, one layer) at 1 / `ratio` of the size.

    The stored numbers are compressed, as in DICOM: 8 bits where the lattice has at most 256 levels, 16 bits up to
    65536; images without such a lattice are exported to 8 bits as by `8bit`. Three channels of 8 bits are one RGB
    picture with the codec's colour transform, all others are grey pictures. Volumes as for JPEG.

    Attributes:
        scale: what the values mean.
        ratio: of the sizes before and after. 10 is usual for radiographs; in abdominal CT readers see the
            effect of 10, and not that of 5 (Lee et al. 2007).

    Raises:
        InputError: a ratio that is not above 1 and at most 1000.
    """

    scale: Scale
    ratio: float = 10.0

    def __post_init__(self) -> None:
        if not 1 < self.ratio <= 1000:
            raise InputError(f"jpeg2000-{self.ratio:g}: a ratio must be above 1 and at most 1000.")

    @property
    def name(self) -> str:
        """`jpeg2000`, or with its ratio `jpeg2000-20`."""
        return "jpeg2000" if self.ratio == 10 else f"jpeg2000-{self.ratio:g}"

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        low, high, top = self._stored
        what = "stored numbers" if (low, high) != span(self.scale) else f"{span_words(self.scale)}"
        return f"JPEG 2000 at ratio {self.ratio:g}, from {16 if top > 255 else 8} bits of {what}"

    def __call__(self, images: Tensor) -> Tensor:
        """Values (B, C, *spatial) as they come out of the file.

        Raises:
            InputError: pictures larger than the format allows.
        """
        low, high, top = self._stored
        return _each(images, lambda x: _recoded(x, low, high, top, self._planes, self.scale.bounds))

    def soft(self, images: Tensor) -> Tensor:
        """The same, straight through; no gradient outside the window where 8 bits are exported."""
        return through(self(images), images.clamp(*self._stored[:2]))

    @property
    def _stored(self) -> tuple[float, float, int]:
        """Lowest and highest value that are encoded, and the highest number."""
        low, top = self.scale.bounds[0], top_level(self.scale)
        if top is None or not 1 <= top < 65536:
            return *span(self.scale), 255
        return low, low + top * (self.scale.step or 1.0), top

    def _planes(self, planes: Planes) -> Planes:
        return np.stack([_picture(plane, self._codec) for plane in planes])

    def _codec(self, picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG2000", quality_mode="rates", quality_layers=[self.ratio], irreversible=True)
        return Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(file.getvalue()))


def _each(images: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """`function` of every sample (C, *spatial); several small ones at once, as the planes of a volume."""
    together = max(1, _TOGETHER // max(1, images[:1].numel()))
    parts = [function(part.movedim(0, 1)).movedim(1, 0) for part in torch.split(images.detach(), together)]
    return torch.cat(parts).contiguous()


def _recoded(
    image: Tensor, low: float, high: float, top: int, codec: Callable[[Planes], Planes], bounds: tuple[float, float]
) -> Tensor:
    """One image (C, *spatial) as numbers from 0 (`low`) to `top` (`high`) through a codec, plane by plane."""
    if max(image.shape[-2:]) > _LONGEST:
        raise InputError(
            f"images: planes of {image.shape[-2]} x {image.shape[-1]} are larger than a JPEG can be. Leave JPEG out "
            "of the post-processing of these images."
        )
    depth = np.uint8 if top < 256 else np.uint16
    numbers = levels(image, low, (high - low) / top, top).cpu().numpy().astype(depth)
    # (planes, C, rows, columns), whatever the number of spatial axes.
    planes = np.moveaxis(numbers.reshape(len(numbers), -1, *numbers.shape[-2:]), 0, 1)
    coded = codec(planes) if planes.size else planes
    numbers = np.moveaxis(coded, 1, 0).reshape(numbers.shape)
    return values(torch.from_numpy(numbers.astype(np.float64)).clamp_(max=top), low, high, top, image, bounds)


def _picture(plane: npt.NDArray[Any], codec: Codec) -> npt.NDArray[Any]:
    """One plane (C, rows, columns) through a codec."""
    if len(plane) == 3 and plane.dtype == np.uint8:
        return np.moveaxis(np.asarray(codec(Image.fromarray(np.ascontiguousarray(np.moveaxis(plane, 0, -1))))), -1, 0)
    return np.stack([np.asarray(codec(Image.fromarray(np.ascontiguousarray(channel)))) for channel in plane])
