"""Motion between views: exact on projections wherever it is affine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Needs, Scene
from palpate.artefacts.ct.outline import Outline
from palpate.artefacts.ct.scanner import Scanner
from palpate.artefacts.ct.slices import Slices
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

__all__ = ["RespiratoryMotion", "RigidMotion", "Sinogram"]

_REACH = 15.0
"""Degrees by which a view may look from elsewhere, at most."""
_FINER_VIEWS, _FINER_BINS = 2, 4
_SUDDEN = 0.01
"""A sudden move takes a few times this share of the scan."""
_TG76 = (
    "derived: the chest wall moves by a few mm in quiet and about 10 mm in deep breathing (Keall et al., AAPM TG-76)"
)


@dataclass(frozen=True, eq=False)
class Sinogram:
    """Line integrals of slices, to be read where the slices moved.

    Attributes:
        scanner: what made them.
        still: (S, V, bins) without motion.
        finer: (S, views, bins) from `_REACH` degrees before the first view to as many after the last one, interpolated
            to 2 V views over half a turn and bins of a quarter of the width, in the domain of frequencies.
        pad: how many of the finer views are before the first one.
    """

    scanner: Scanner
    still: Tensor
    finer: Tensor
    pad: int

    @classmethod
    def of(cls, slices: Slices, part: Tensor | float = 1.0) -> Sinogram:
        """Of the attenuation of slices, or of a part of it: (height, width) of weights from 0 to 1."""
        scanner = slices.scanner
        still = scanner.project(slices.attenuation * part)
        # Half a turn further a view is its mirror image, so the whole turn is periodic.
        whole = _finer(_finer(torch.cat([still, still.flip(-1)], 1), 1, _FINER_VIEWS), 2, _FINER_BINS)
        pad = math.ceil(scanner.views * _FINER_VIEWS * _REACH / 180)
        last = scanner.views * _FINER_VIEWS + pad
        return cls(scanner, still, torch.cat([whole[:, -pad:], whole[:, :last]], 1), pad)

    def moved(self, matrix: Tensor, shift: Tensor) -> Tensor:
        """Line integrals (K, S, V, bins) if, when view v is taken, what was at x is at A x + b.

        With n the direction of a view and m = A^T n, the projection is p'(t) = |det A| / |m| p((t - n.b) / |m|) along
        m: exact for any affine motion.

        Args:
            matrix: A (K, V, 2, 2), on (right, down).
            shift: b (K, V, 2), in mm.
        """
        scanner, (rows, bins) = self.scanner, self.finer.shape[1:]
        to = torch.stack([scanner.angles.cos(), scanner.angles.sin()], 1)
        seen = torch.einsum("kvij,vi->kvj", matrix, to)
        size = torch.linalg.vector_norm(seen, dim=-1)
        turned = torch.atan2(to[:, 0] * seen[..., 1] - to[:, 1] * seen[..., 0], (to * seen).sum(-1))
        row = (torch.arange(scanner.views) + turned * (scanner.views / math.pi)) * _FINER_VIEWS + self.pad
        place = (scanner.places - (shift * to).sum(-1)[..., None]) / size[..., None] / scanner.pixel
        place = (place + (scanner.bins - 1) / 2) * _FINER_BINS
        grid = torch.stack([2 * place / (bins - 1) - 1, (2 * row / (rows - 1) - 1)[..., None].expand_as(place)], -1)
        whole = self.finer.expand(len(matrix), *self.finer.shape)
        read = F.grid_sample(whole, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        density: Tensor = torch.linalg.det(matrix).abs() / size
        return read * density[:, None, :, None]


def _finer(values: Tensor, axis: int, factor: int) -> Tensor:
    """Periodic values with `factor` times as many samples along an axis; the first sample stays."""
    count = values.shape[axis]
    spectrum = torch.fft.rfft(values, dim=axis)
    if count % 2 == 0:
        spectrum.select(axis, -1).mul_(0.5)
    made: Tensor = torch.fft.irfft(spectrum, n=factor * count, dim=axis) * factor
    return made


def _bound(image: Tensor, scene: Scene, motion: Callable[[Tensor, Slices], tuple[Tensor, Tensor]]) -> Bound:
    """The change by a motion, which gives A (K, V, 2, 2) and b (K, V, 2) of theta."""
    slices = Slices.of(image, scene)
    sinogram = Sinogram.of(slices, Outline.of(slices).body)

    def made(theta: Tensor) -> Tensor:
        matrix, shift = motion(theta.to("cpu", torch.float32), slices)
        return image + slices.reconstructed(sinogram.moved(matrix, shift) - sinogram.still).to(image)

    return made


def _time(scanner: Scanner) -> Tensor:
    """When each view is taken (V,), from 0 to 1."""
    return (torch.arange(scanner.views) + 0.5) / scanner.views


@dataclass(frozen=True)
class RespiratoryMotion(Artefact):
    """Breathing between views: the chest expands from the back, which lies still, to the front, which moves most.

    While view v is taken, what was at height y above the back is at y (1 + d_v / H), with H the height of the body and
    d_v = A / 2 (cos(2 pi (n v / V + phase)) - mean) the place of the front: a magnification, for which projections are
    known exactly. The mean place over the scan is that of the image, so that anatomy stays where it is annotated. The
    front is at the top of the image; the table lies still. Organs do not slide against each other, and nothing moves
    through the plane of the slice.
    """

    name: ClassVar[str] = "respiratory-motion"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("amplitude", "mm", _TG76, levels=(1.0, 2.0, 4.0, 7.0, 10.0)),
        Parameter("breaths", "per scan", "derived: a scan of some seconds at 12 to 20 breaths per minute", 0.5, 3.0),
        Parameter("phase", "degrees", "derived: the scan begins at any time", 0.0, 360.0),
    )
    needs: ClassVar[Needs] = frozenset({"HU", "spacing"})
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`. The body's sinogram is made here."""
        outline = Outline.of(Slices.of(image, scene))
        back, height = outline.rows[-1], max(outline.height, 1.0)

        def motion(theta: Tensor, slices: Slices) -> tuple[Tensor, Tensor]:
            turn = theta[:, 1:2] * _time(slices.scanner) + theta[:, 2:3] / 360
            wave = torch.cos(2 * math.pi * turn)
            front = theta[:, 0:1] / 2 * (wave - wave.mean(1, keepdim=True))
            grown = 1 + front / height
            nothing, one = torch.zeros_like(grown), torch.ones_like(grown)
            matrix = torch.stack([torch.stack([one, nothing], -1), torch.stack([nothing, grown], -1)], -2)
            return matrix, torch.stack([nothing, back * (1 - grown)], -1)

        return _bound(image, scene, motion)


@dataclass(frozen=True)
class RigidMotion(Artefact):
    """The patient moves and turns while views are taken: at once, or slowly through the whole scan.

    x becomes R_v x + b_v in view v, about the isocentre: exact on projections. The mean place over the scan is that of
    the image, so that anatomy stays where it is annotated; edges become double. The table lies still.
    """

    name: ClassVar[str] = "rigid-motion"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("shift", "mm", "derived: an uneasy patient; up to 10 mm in TorchIO's RandomMotion for MR",
                  levels=(0.5, 1.0, 2.0, 3.5, 5.0)),
        Parameter("rotation", "degrees", "derived: likewise; up to 10 degrees in TorchIO's RandomMotion for MR",
                  levels=(0.5, 1.0, 2.0, 3.5, 5.0), signed=True),
        Parameter("direction", "degrees", "derived: any", 0.0, 360.0),
        Parameter("moment", "share of the scan", "derived: neither at its very beginning nor end", 0.2, 0.8),
        Parameter("course", "", "derived: a jerk, or a slow drift", choices=("sudden", "drifting")),
    )  # fmt: skip
    needs: ClassVar[Needs] = frozenset({"HU", "spacing"})
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`. The body's sinogram is made here."""
        return _bound(image, scene, _rigid)


def _rigid(theta: Tensor, slices: Slices) -> tuple[Tensor, Tensor]:
    time = _time(slices.scanner).expand(len(theta), -1)
    sudden = torch.sigmoid((time - theta[:, 3:4]) / _SUDDEN)
    course = torch.where(theta[:, 4:5].detach() < 1, sudden, time)
    course = course - course.mean(1, keepdim=True)
    turn = course * theta[:, 1:2] * (math.pi / 180)
    direction = theta[:, 2:3] * (math.pi / 180)
    shift = course * theta[:, 0:1]
    cos, sin = turn.cos(), turn.sin()
    matrix = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    return matrix, torch.stack([shift * direction.cos(), shift * direction.sin()], -1)
