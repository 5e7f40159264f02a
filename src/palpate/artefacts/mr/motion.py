"""A patient who moves during the scan: lines of k-space before and after a move show another pose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Needs, Scene
from palpate.artefacts.mr.signal import PHASE_AXIS, Signal, along, along_axis
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

__all__ = ["Motion", "posed"]

_TORCHIO = "TorchIO, RandomMotion: two moves of up to 10 degrees and 10 mm"
_LEVELS = (2.0, 4.0, 6.0, 8.0, 10.0)
_SHARE = "derived: at most 60 % of the lines, so that the centre of k-space always shows the pose of the image"


def _pose(name: str) -> tuple[Parameter, Parameter, Parameter]:
    return (
        Parameter(f"rotation {name}", "degrees", _TORCHIO, levels=_LEVELS, signed=True),
        Parameter(f"shift down {name}", "mm", _TORCHIO, levels=_LEVELS, signed=True),
        Parameter(f"shift right {name}", "mm", _TORCHIO, levels=_LEVELS, signed=True),
    )


@dataclass(frozen=True)
class Motion(Artefact):
    """The patient moves twice: into the pose of the image, and out of it again.

    Lines are acquired in order, from one edge of k-space to the other, in a time of 1. With `moved share` m and `split`
    s, the first pose lasts from 0 to t1 = m s, the third from t2 = 1 - m (1 - s) to 1. In between, and so at the centre
    of k-space, the patient lies as in the image: anatomy stays where it is, and masks stay valid. With F the Fourier
    transform along the phase axis and M1, M3 the lines of these times:

        y = |x + F^-1 (M1 (F x1 - F x) + M3 (F x3 - F x))|

    Poses are turned about the centre, in the plane of the last two axes, and shifted in it; volumes move as a whole.
    Source: Zaitsev, Maclaren, Herbst, Motion artifacts in MRI, JMRI 42 (2015) 887.
    """

    name: ClassVar[str] = "mr-motion"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("moved share", "share of the scan", _SHARE, levels=(0.12, 0.24, 0.36, 0.48, 0.6)),
        Parameter("split", "share before the centre", _SHARE, 0.25, 0.75),
        *_pose("before"),
        *_pose("after"),
        PHASE_AXIS,
    )
    needs: ClassVar[Needs] = frozenset({"spacing"})
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        signal = Signal.of(image)
        assert scene.spacing is not None
        pixel = scene.spacing[-2:]

        def moved(theta: Tensor) -> Tensor:
            return along_axis(theta[:, 8], (-2, -1), lambda rows, axis: self._made(theta[rows], axis, signal, pixel))

        return moved

    def _made(self, theta: Tensor, axis: int, signal: Signal, pixel: tuple[float, ...]) -> Tensor:
        size = signal.values.shape[axis]
        before, after = (theta[:, 0] * theta[:, 1], theta[:, 0] * (1 - theta[:, 1]))
        # A line during which the patient moves belongs to both poses, by shares.
        line = torch.arange(size, dtype=theta.dtype, device=theta.device)
        first = (before[:, None] * size - line).clamp(0, 1)
        last = (after[:, None] * size - line.flip(0)).clamp(0, 1)
        change = torch.zeros((), dtype=torch.complex64)
        for taken, pose in ((first, theta[:, 2:5]), (last, theta[:, 5:8])):
            other = torch.fft.fft(posed(signal.values, pose, pixel) - signal.values, dim=axis)
            weights = torch.fft.ifftshift(taken, 1).to(signal.values)
            change = change.to(other) + along(weights, axis, other.ndim) * other
        return signal.magnitude(torch.fft.ifft(change, dim=axis))


def posed(values: Tensor, pose: Tensor, pixel: tuple[float, ...]) -> Tensor:
    """Values (C, *spatial) in K other poses (K, C, *spatial), turned and shifted in the plane of the last two axes.

    A rotation is three shears, each a shift of lines by the Fourier shift theorem. Every step only changes phases, so
    the energy stays the same, and no sharpness is lost. What leaves one side comes back on the other. Source: Larkin,
    Oldenburg, Klemm, Fast Fourier method for the accurate rotation of sampled images, Optics Communications 139 (1997)
    99.

    Args:
        values: float.
        pose: (K, 3): degrees from down to right, mm down, mm right.
        pixel: mm of a pixel along the last two axes.
    """
    tall, wide = pixel
    angle = pose[:, 0] * (math.pi / 180)
    down, right = pose[:, 1] / tall, pose[:, 2] / wide
    lean = torch.tan(angle / 2) * tall / wide
    climb = -torch.sin(angle) * wide / tall
    turned = _sheared(values.expand(len(pose), *values.shape), lean, torch.zeros_like(lean), -1)
    turned = _sheared(turned, climb, down, -2)
    # The last shear acts on lines that are already shifted down.
    return _sheared(turned, lean, right - lean * down, -1)


def _sheared(values: Tensor, slope: Tensor, offset: Tensor, axis: int) -> Tensor:
    """Each line along `axis`, -1 or -2, shifted by slope * (place on the other axis) + offset, in pixels."""
    other = -3 - axis
    count, size = values.shape[other], values.shape[axis]
    place = torch.arange(count, dtype=slope.dtype, device=slope.device) - (count - 1) / 2
    shift = slope[:, None] * place + offset[:, None]
    frequency = torch.fft.rfftfreq(size, dtype=slope.dtype, device=slope.device)
    if size % 2 == 0:
        # The highest frequency has no partner, and a shift would take energy from it.
        frequency[-1] = 0
    phase = (-2 * math.pi) * shift[:, :, None] * frequency
    phase = phase if axis == -1 else phase.transpose(1, 2)
    phase = phase.to(values).reshape(len(slope), *([1] * (values.ndim - 3)), *phase.shape[1:])
    spectrum = torch.fft.rfft(values, dim=axis) * torch.polar(torch.ones_like(phase), phase)
    shifted: Tensor = torch.fft.irfft(spectrum, n=size, dim=axis)
    return shifted
