"""ONNX files of detectors, whose outputs may be several, and may have another number of rows for each image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from palpate.models.stored.onnx_models import OnnxModel


class OnnxDetector(OnnxModel):
    """An ONNX file of a detector: all its outputs, image by image, if the plan names none.

    Args:
        path: the file; weights next to it are read.
        output: which output is read, if one of several is enough.

    Raises:
        InputError: as for `OnnxModel`.
    """

    def choose(self, outputs: dict[str, str], wanted: str | int | None) -> str:
        """Nothing, if there are several outputs and none is named: all are read."""
        return super().choose(outputs, wanted) if wanted is not None or len(outputs) == 1 else ""

    def answer(self, images: Tensor) -> Any:
        """For each image a dict of its outputs; one tensor if there is one output of one shape.

        Rows whose first number is the image (N, 7) get the number of the image in this batch.
        """
        names = [self.output] if self.output else [entry.name for entry in self.session.get_outputs()]
        pixels = self.pixels(images)
        each = [self._of_one(names, pixels[place : place + 1]) for place in range(len(pixels))]
        if len(names) > 1:
            return each
        alone = [found[names[0]] for found in each]
        if alone and all(found.ndim == 2 and found.shape[1] == 7 for found in alone):
            for place, found in enumerate(alone):
                found[:, 0] = place
            return torch.cat(alone)
        joined = all(found.ndim > 2 and found.shape == alone[0].shape for found in alone)
        return torch.cat(alone) if alone and joined else alone

    def _of_one(self, names: list[str], pixels: Any) -> dict[str, Tensor]:
        size = self.shape[0] or 1
        found = self.run(names, np.repeat(pixels, size, axis=0))
        return {name: _first(torch.from_numpy(np.array(part)), size) for name, part in zip(names, found, strict=True)}


def _first(part: Tensor, size: int) -> Tensor:
    """The output of the first of `size` equal images."""
    part = part.float() if part.is_floating_point() else part
    if size > 1 and part.ndim == 2 and part.shape[1] == 7:
        return part[part[:, 0] == 0]
    return part[:1] if size > 1 and part.shape[:1] == (size,) else part
