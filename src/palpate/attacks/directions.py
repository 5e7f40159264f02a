"""Change the gradient (momentum, translation) or the point where it is taken (Nesterov, input diversity)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.attacks.smoothing import gaussian
from palpate.contracts import Neighbourhood
from palpate.streams import Streams
from palpate.tensors import spread


@dataclass(frozen=True)
class Momentum:
    """g_{t+1} = decay * g_t + grad / ||grad||_1 (MI-FGSM, Dong et al. 2018).

    Attributes:
        decay: share of the past momentum that is kept.
    """

    decay: float = 1.0
    separate_gradient_point: ClassVar[bool] = False

    def init(self, images: Tensor) -> Tensor:
        """No momentum yet."""
        return torch.zeros_like(images)

    def lookahead(self, images: Tensor, state: Any, stride: Tensor, space: Neighbourhood, streams: Streams) -> Tensor:
        """At the iterate."""
        return images

    def transform_gradient(self, gradient: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Accumulate; with a gradient of zero the momentum only decays."""
        length = gradient.flatten(1).abs().sum(1)
        state = self.decay * state + gradient / spread(torch.where(length > 0, length, 1.0), gradient)
        return state, state


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Momentum whose gradient is taken one step ahead, at x_t + step * decay * g_t (NI-FGSM, Lin et al. 2020)."""

    separate_gradient_point: ClassVar[bool] = True

    def lookahead(
        self, images: Tensor, state: Tensor, stride: Tensor, space: Neighbourhood, streams: Streams
    ) -> Tensor:
        """The point ahead along the momentum; not projected, as published."""
        return images + spread(stride * self.decay, images) * state


@dataclass(frozen=True)
class Translation:
    """The gradient smoothed by a Gaussian: an average over translated images (TI-FGSM, Dong et al. 2019).

    Attributes:
        size: side of the Gaussian in pixels, odd.
        sigma: its width in pixels.
    """

    size: int = 7
    sigma: float = 1.5
    separate_gradient_point: ClassVar[bool] = False

    def init(self, images: Tensor) -> None:
        """No state."""

    def lookahead(self, images: Tensor, state: Any, stride: Tensor, space: Neighbourhood, streams: Streams) -> Tensor:
        """At the iterate."""
        return images

    def transform_gradient(self, gradient: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Smooth."""
        return gaussian(gradient, self.size, self.sigma), state


@dataclass(frozen=True)
class Diversity:
    """The gradient of a randomly shrunk and shifted image (DI-FGSM, Xie et al. 2019), drawn per sample.

    The surroundings are filled with the lowest stored value: air in Hounsfield units, black in a photograph.

    Attributes:
        smallest: least side of the shrunk image, as a share of the full side.
        probability: how often an image is changed at all.
    """

    smallest: float = 0.9
    probability: float = 0.5
    separate_gradient_point: ClassVar[bool] = True

    def init(self, images: Tensor) -> None:
        """No state."""

    def lookahead(self, images: Tensor, state: Any, stride: Tensor, space: Neighbourhood, streams: Streams) -> Tensor:
        """Shrink and shift by linear resampling, differentiable in `images`."""
        axes = images.ndim - 2
        draw = streams.uniform((2 + axes,), images)
        share = self.smallest + (1 - self.smallest) * draw[:, 0]
        share = torch.where(draw[:, 1] < self.probability, share, torch.ones_like(share))
        # In grid coordinates (-1 to 1) the shrunk image may be centred anywhere within +-(1 - share).
        centre = (2 * draw[:, 2:] - 1) * (1 - share)[:, None]
        scale = torch.diag_embed((1 / share)[:, None].expand(-1, axes))
        theta = torch.cat([scale, (-centre / share[:, None])[:, :, None]], dim=2)
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        return F.grid_sample(images - space.low, grid, align_corners=False) + space.low

    def transform_gradient(self, gradient: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Unchanged."""
        return gradient, state
