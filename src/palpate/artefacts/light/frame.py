"""The black frame around the view of an endoscope or a fundus camera: it stays sharp when the view does not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from palpate.artefacts.artefact import Scene

_BLACK, _LEAST = 0.06, 0.003
"""Share of white below which a pixel can be of the frame, and the least share of the pixels that a frame has."""
_SEEN = 0.3
"""The least share of what a pixel sees that must be in the view. At a straight edge it is a half."""


@dataclass(frozen=True, eq=False)
class Framed:
    """An image and its view: the frame is where it is black up to the border of the image.

    Attributes:
        image: (C, H, W).
        inside: (1, H, W), 1 in the view and 0 in the frame.
        dark: the value of black.
    """

    image: Tensor
    inside: Tensor
    dark: float

    @classmethod
    def of(cls, image: Tensor, scene: Scene) -> Framed:
        """Find the frame of an image."""
        black = image.detach().amax(0) < scene.bounds[0] + _BLACK * scene.extent
        labels, _ = ndimage.label(black.cpu().numpy())
        found = torch.from_numpy(labels).to(image.device)
        border = set(torch.cat([found[0], found[-1], found[:, 0], found[:, -1]]).tolist())
        sizes = torch.bincount(found.flatten())
        parts = [part for part in sorted(border) if part and int(sizes[part]) >= _LEAST * found.numel()]
        frame = torch.isin(found, torch.tensor(parts, device=found.device, dtype=found.dtype))
        return cls(image, (~frame).to(image)[None], scene.bounds[0])

    def planes(self) -> Tensor:
        """What a blur acts on (C + 1, H, W): the light of the view, and the view itself."""
        return torch.cat([(self.image - self.dark) * self.inside, self.inside])

    def channel(self, number: int) -> Framed:
        """One channel, in the same frame."""
        return Framed(self.image[number : number + 1], self.inside, self.dark)

    def lamp(self) -> Tensor:
        """Light that arrives around each pixel (1, H, W): at most 1, which is the mean of the view; 0 in the frame.

        What mirrors the lamp, or scatters its light, is as bright as this.
        """
        reach = max(1, min(self.image.shape[-2:]) // 32)
        light = (self.image - self.dark).mean(0, keepdim=True) * self.inside
        near, known = (F.avg_pool2d(part[None], 2 * reach + 1, 1, reach)[0] for part in (light, self.inside))
        mean = light.sum() / self.inside.sum().clamp(min=1)
        return (near / (known * mean).clamp(min=1e-9)).clamp(0, 1) * self.inside

    def joined(self, planes: Tensor) -> Tensor:
        """Images (K, C, H, W) from blurred planes (K, C + 1, H, W): the mean over what the view shows, and the frame.

        Light that would come from behind the frame is not known, so a mean near it is over the rest (normalised
        convolution; Knutsson, Westin, CVPR 1993). Where nothing is known, and in the frame, the image stays.
        """
        light, known = planes[:, :-1], planes[:, -1:]
        blurred = self.dark + light / known.clamp(min=_SEEN)
        return torch.where((self.inside > 0) & (known >= _SEEN), blurred, self.image)
