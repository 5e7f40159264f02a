"""A detector that blurs, has elements of wrong gain, or is too short."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Needs, Scene
from palpate.artefacts.ct.outline import Outline
from palpate.artefacts.ct.scanner import MU_WATER, Scanner
from palpate.artefacts.ct.slices import Slices
from palpate.artefacts.fields import REALISATION, Noise
from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

__all__ = ["DetectorBlur", "Ring", "Truncation"]

_TURNS = 720
"""Views over which the image of a ring is summed."""
_CONTINUED = 1 / 3
"""How far rays are made up, as a share of what is missing."""


@dataclass(frozen=True)
class DetectorBlur(Artefact):
    """A blurring detector: every projection is convolved with a Gaussian along the detector.

    By the projection theorem this is exactly a round Gaussian of the same width on the slice. In a volume every slice
    is blurred in its plane. Line integrals are blurred; a real detector blurs counts, which differs at strong edges.
    """

    name: ClassVar[str] = "detector-blur"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("sigma", "pixels", "yousranb/CT-DEGRADBENCH: sigma .8 to 2.5", levels=(0.8, 1.2, 1.6, 2.0, 2.5)),
    )
    needs: ClassVar[Needs] = frozenset({"HU"})

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`. Values repeat in the mirror beyond the border."""
        height, width = image.shape[-2:]
        pad = min(math.ceil(3 * self.parameters[0].high), height - 1, width - 1)
        flat = F.pad(image.reshape(1, -1, height, width), (pad,) * 4, mode="reflect")
        spectrum = torch.fft.rfft2(flat)
        rows, columns = torch.fft.fftfreq(flat.shape[-2]), torch.fft.rfftfreq(flat.shape[-1])
        squared = ((2 * math.pi) ** 2 * (rows[:, None] ** 2 + columns[None] ** 2)).to(image)

        def made(theta: Tensor) -> Tensor:
            sigma = theta[:, 0].to(image).reshape(-1, 1, 1, 1)
            # The change itself is transformed, so that a small one is not lost in the rounding of the whole image.
            change: Tensor = torch.fft.irfft2(spectrum * torch.expm1(-(sigma**2) * squared / 2), s=flat.shape[-2:])
            inside = change[..., pad : pad + height, pad : pad + width]
            return image + inside.reshape(-1, *image.shape)

        return made


@dataclass(frozen=True)
class Ring(Artefact):
    """Detector elements of wrong gain: rings about the isocentre.

    An element of gain 1 + g measures line integrals that are wrong by -log(1 + g), about -g, in all views alike. So the
    change is the back-projection of one filtered profile in all directions, a function of the distance from the
    isocentre only, whatever is scanned. Most elements are nearly right and few are far off: g is the cube of a normal
    number, scaled to the standard deviation. In a volume each slice has its own row of elements.
    """

    name: ClassVar[str] = "ring"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("gain error", "percent", "derived: of 5 to 50 HU near the isocentre; calibration leaves some tenths",
                  levels=(0.1, 0.2, 0.4, 0.7, 1.0)),
        Parameter("isocentre down", "share of the height", "derived: near the middle of the image", 0.35, 0.65),
        Parameter("isocentre right", "share of the width", "derived: near the middle of the image", 0.35, 0.65),
        REALISATION,
    )  # fmt: skip
    needs: ClassVar[Needs] = frozenset({"HU", "spacing"})

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`."""
        (height, width), spacing = image.shape[-2:], (scene.spacing or (1.0, 1.0))[-2:]
        pixel = min(spacing)
        # Larger than the image, since the isocentre is not in its middle.
        rows, columns = (math.ceil(1.3 * size * mm / pixel) for size, mm in zip((height, width), spacing, strict=True))
        scanner = Scanner(rows, columns, pixel)
        slices = image[..., 0, 0].numel()
        gains = Noise.drawn(streams, (slices, scanner.bins), torch.zeros(1))
        rings = _rings(scanner)

        def made(theta: Tensor) -> Tensor:
            normal = gains.at(theta[:, 3])
            error = -(theta[:, 0].to(normal) / 100)[:, None, None] * normal**3 / math.sqrt(15)
            profile = scanner.filtered(error) @ rings * (1000 / MU_WATER)
            down, right = (
                ((torch.arange(size) + 0.5) - theta[:, place, None].to(normal) * size) * mm
                for size, mm, place in ((height, spacing[0], 1), (width, spacing[1], 2))
            )
            radius = torch.sqrt(down[:, :, None] ** 2 + right[:, None, :] ** 2 + 1e-6) / pixel
            change = _looked_up(profile, radius)
            return image + change.reshape(len(theta), *image.shape).to(image)

        return made


def _rings(scanner: Scanner) -> Tensor:
    """Back-projection of a profile that all views share (bins, radii), at radii of 0, 1, 2 ... pixels."""
    radii = torch.arange((scanner.bins - 1) // 2, dtype=torch.float32)
    turns = (torch.arange(_TURNS) + 0.5) * (math.pi / _TURNS)
    place = radii[:, None] * turns.cos() + (scanner.bins - 1) / 2
    left, share = place.floor().long(), place - place.floor()
    rings = torch.zeros(len(radii), scanner.bins)
    for index, weight in ((left, 1 - share), (left + 1, share)):
        rings.scatter_add_(1, index.clamp(max=scanner.bins - 1), weight)
    return rings.T * (math.pi / _TURNS)


def _looked_up(profile: Tensor, radius: Tensor) -> Tensor:
    """Profiles (K, S, R) at radii (K, height, width): (K, S, height, width); differentiable in both."""
    count, slices, size = profile.shape
    flat = radius.flatten(1).clamp(max=size - 1.001)
    left = flat.detach().floor()
    share = (flat - left)[:, None]
    index = left.long()[:, None].expand(-1, slices, -1)
    values = torch.lerp(profile.gather(2, index), profile.gather(2, index + 1), share)
    return values.reshape(count, slices, *radius.shape[1:])


@dataclass(frozen=True)
class Truncation(Artefact):
    """A body wider than the field of view: a bright rim at the border of the field, and a wrong picture outside it.

    Rays that pass the isocentre farther than R are not measured; R is `cut` smaller than the reach of the body. As
    scanners do, they are continued: the last measured value falls to 0 as cos^2, within a third of what is missing.
    image + FBP(continued - complete). The isocentre is the middle of the image.
    """

    name: ClassVar[str] = "truncation"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("cut", "share of the body's reach", "derived: from an arm at the border to a body in a small field",
                  levels=(0.03, 0.06, 0.1, 0.15, 0.2)),
    )  # fmt: skip
    needs: ClassVar[Needs] = frozenset({"HU"})
    stage: ClassVar[int] = 2

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`. The body's sinogram is made here."""
        slices = Slices.of(image, scene)
        scanner, body = slices.scanner, Outline.of(slices).body
        down, right = scanner.axes()
        reach = float((torch.hypot(down[:, None], right[None]) * body).max())
        complete = scanner.project(slices.attenuation * body)

        def made(theta: Tensor) -> Tensor:
            radius = reach * (1 - theta[:, 0].to(complete))
            return image + slices.reconstructed(continued(complete, scanner, radius, reach) - complete).to(image)

        return made


def continued(complete: Tensor, scanner: Scanner, radius: Tensor, reach: float) -> Tensor:
    """Line integrals (S, V, bins) of which those farther out than `radius` (K,) are made up: (K, S, V, bins).

    Both `radius` and `reach`, behind which there is no body, are in mm.
    """
    far = scanner.places.abs()
    missing = (reach - radius[:, None]).clamp(min=1e-3)
    beyond = ((far - radius[:, None]) / (_CONTINUED * missing)).clamp(0, 1)
    fall = (torch.cos(math.pi / 2 * beyond) ** 2)[:, None, None]
    measured = ((radius[:, None] - far) / scanner.pixel + 0.5).clamp(0, 1)[:, None, None]
    edges = [
        _looked_up(complete.flatten(0, 1).expand(len(radius), -1, -1), (scanner.bins - 1) / 2 + side[:, None, None])
        for side in (-radius / scanner.pixel, radius / scanner.pixel)
    ]
    low, high = (edge.reshape(len(radius), *complete.shape[:2], 1) for edge in edges)
    last = torch.where(scanner.places < 0, low, high)
    return measured * complete + (1 - measured) * fall * last
