"""An nnU-Net on patches of its plan's grid, as it is trained; `NnUNet` is how it is deployed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.models.nnunet.normalising import Normalisation
from palpate.models.nnunet.windows import Windows, padded

_AXES = 3
"""Axes of what windows slide over, slices of a 2D network included."""


@dataclass(frozen=True)
class Patch:
    """Patches in stored values, normalised by numbers that are held fixed, surrounded by zeros up to the patch's size.

        out = f( (min(max(x, low), high) - mean) / std )

    Mean, deviation and limits are those of the volume that the patch is cut from, so that a change of eps in stored
    values reaches the network as eps / std, as it does when deployed. One pass; no mirrors, no blending.

    Attributes:
        windows: of the deployed pipeline, for the size of the patch.
        channels: how each channel is normalised; filled in for each batch.
    """

    windows: Windows
    channels: tuple[Normalisation, ...] = ()

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels of a patch along the axes of the grid; one slice for a 2D network."""
        return (*[1] * (_AXES - len(self.windows.patch)), *self.windows.patch)

    def __call__(self, inputs: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        """Logits (B, K, *patch) of patches (B, C, *patch), differentiable in both patches and weights."""
        logits = network(self._seen(inputs))
        logits = logits[:, :, None] if logits.ndim < inputs.ndim else logits
        margins = self.windows.margins(inputs.shape[2:])
        for axis, ((before, _), length) in enumerate(zip(margins, inputs.shape[2:], strict=True), start=2):
            logits = logits.narrow(axis, before, length)
        return logits

    def example(self, inputs: Tensor) -> Tensor:
        """The first patch as the network sees it."""
        return self._seen(inputs[:1])

    def describe(self) -> str:
        """Patches in a phrase."""
        return f"patches of {' x '.join(map(str, self.windows.patch))} on the plan's grid, one pass each"

    def _seen(self, inputs: Tensor) -> Tensor:
        pairs = zip(self.channels, inputs.unbind(1), strict=True)
        data = torch.stack([one.along(channel) for one, channel in pairs], 1)
        data = padded(data, self.windows.margins(inputs.shape[2:]))
        return data.squeeze(2) if len(self.windows.patch) < _AXES else data
