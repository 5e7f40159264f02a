"""Metal in the body: beam hardening and photon starvation, through the sinogram."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Needs, Scene
from palpate.artefacts.ct.ellipses import Ellipses
from palpate.artefacts.ct.outline import Outline
from palpate.artefacts.ct.scanner import MU_WATER
from palpate.artefacts.ct.slices import Slices
from palpate.artefacts.ct.spectrum import METALS, Tube, tube
from palpate.artefacts.fields import REALISATION, Noise
from palpate.artefacts.parameter import Parameter
from palpate.errors import InputError
from palpate.streams import Streams

__all__ = ["RESOLUTION", "Metal"]

_ADN = "liaohaofu/adn, get_mar_params.m: 120 kVp, 2e7 photons, titanium, iron, copper of 4.5, 7.8, 8.9 g/cm3"
_PHOTONS = 2e7
"""Photons of one ray in air."""
_FEWEST = 0.5
"""A detector that counted no photon is read as half a one."""
_WATER, _BONE = 100.0, 1500.0
"""All is water below the first and bone above the second, in HU (adn); linear in between."""
RESOLUTION = 3.5
"""How wide the soft kernel of the reconstruction makes a sharp edge, in pixels of the grid: fitted to it."""
_APART = 1.25
"""Half the distance of two pieces is at least this many halves of the long axis."""


@dataclass(frozen=True)
class Metal(Artefact):
    """One or two ellipses of metal in the body: a clip, a screw, a pin; in a volume a pin through all slices.

    The measured signal of a ray is I = N sum_e w_e exp(-water_e - bone_e - metal_e) over a spectrum of 120 kVp, and the
    scanner turns -log I into a line integral p by its correction for water. The image becomes

        image + mu_metal * (share of the pixel that is metal) + FBP(p(with metal) - p(without) - mu_metal * length),

    with mu_metal at 70 keV less that of water. The last term is what a single energy would not give: dark bands
    along the longest paths and between two pieces, bright streaks, and noise where few photons arrive. Only the noise
    *added* by the metal is drawn, since the image has its own. The beam is parallel; scatter and edges inside a bin are
    left out.

    The pieces are inside the outline of the body. Two pieces are mirror images about the middle of the body.
    """

    name: ClassVar[str] = "metal"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("diameter", "mm", "derived: a surgical clip to a thin rod or dental implant",
                  levels=(2.0, 4.0, 6.0, 9.0, 12.0)),
        Parameter("aspect", "short over long axis", "derived: a round pin to a pin cut aslant", 0.33, 1.0),
        Parameter("orientation", "degrees", "derived: any", 0.0, 180.0),
        Parameter("down", "share of the body's height", "derived: anywhere in the body"),
        Parameter("right", "share of the body's width", "derived: anywhere in the body"),
        Parameter("material", "", _ADN, choices=METALS),
        Parameter("pieces", "", "derived: one implant, or one on each side", choices=("one", "two")),
        REALISATION,
    )  # fmt: skip
    needs: ClassVar[Needs] = frozenset({"HU", "spacing"})
    stage: ClassVar[int] = 0

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`. The body's sinograms are made here.

        Raises:
            InputError: later, if a piece is larger than the body.
        """
        slices = Slices.of(image, scene)
        scan = _Scan.of(slices, streams)
        outline = Outline.of(slices)
        spacing = (scene.spacing or (1.0, 1.0))[-2:]
        rows, columns = (
            (torch.arange(size) - (size - 1) / 2) * mm for size, mm in zip(image.shape[-2:], spacing, strict=True)
        )

        def made(theta: Tensor) -> Tensor:
            pieces, material = _pieces(theta.to("cpu", torch.float32), outline)
            mu = scan.tube.metal_reference.to(torch.float32)[material]
            change = slices.reconstructed(scan.hardened(pieces, material, theta[:, 7]))
            edge = RESOLUTION * slices.scanner.pixel
            cover = torch.stack([piece.cover(rows, columns, edge) for piece in pieces]).sum(0)
            metal = cover * (mu * (1000 / MU_WATER))[:, None, None]
            return image + (change + metal.reshape(len(theta), *[1] * (image.ndim - 2), *metal.shape[1:])).to(image)

        return made


def _pieces(theta: Tensor, outline: Outline) -> tuple[list[Ellipses], Tensor]:
    """The ellipses of K candidates, the second of size 0 if there is only one, and the place of each metal (K,)."""
    long = theta[:, 0] / 2
    if (largest := float(theta[:, 0].detach().max())) > min(outline.height, outline.width):
        raise InputError(
            f"theta: a piece of metal of {largest:g} mm is larger than the body, which is {outline.height:.3g} mm high "
            f"and {outline.width:.3g} mm wide. Give a smaller diameter, or check data.spacing."
        )
    angle = theta[:, 2] * (math.pi / 180)
    down, right, middle = outline.at(theta[:, 3], theta[:, 4], long)
    two = theta[:, 6].detach() >= 1
    apart = torch.maximum((right - middle).abs(), _APART * long)
    side = torch.where(right >= middle, 1.0, -1.0)
    first = Ellipses(torch.where(two, middle + side * apart, right), down, long, long * theta[:, 1], angle)
    none = two.to(long)
    second = Ellipses(middle - side * apart, down, long * none, long * theta[:, 1] * none, math.pi - angle)
    return [first, second], theta[:, 5].detach().long().clamp(0, len(METALS) - 1)


@dataclass(frozen=True, eq=False)
class _Scan:
    """The body between the tube and the detector.

    Attributes:
        slices: of the image.
        tube: the spectrum.
        water: (S, V, bins) in g/cm2.
        bone: (S, V, bins) in g/cm2.
        noise: (S, V, bins).
    """

    slices: Slices
    tube: Tube
    water: Tensor
    bone: Tensor
    noise: Noise

    @classmethod
    def of(cls, slices: Slices, streams: Streams) -> _Scan:
        share = ((slices.values - _WATER) / (_BONE - _WATER)).clamp(0, 1)
        mu, beam = slices.attenuation, tube()
        both = torch.cat([mu * (1 - share) / MU_WATER, mu * share / beam.bone_reference])
        water, bone = slices.scanner.project(both).chunk(2)
        return cls(slices, beam, water, bone, Noise.drawn(streams, water.shape, water))

    def hardened(self, pieces: list[Ellipses], material: Tensor, realisation: Tensor) -> Tensor:
        """What the metal adds to the line integrals beyond that of one energy (K, S, V, bins)."""
        scanner, beam = self.slices.scanner, self.tube
        length = torch.stack([one.lines(scanner.angles, scanner.places, scanner.pixel) for one in pieces]).sum(0)
        candidate, view, place = (length.detach() > 0).nonzero(as_tuple=True)
        rays = length[candidate, view, place]
        chosen = material[candidate]
        through = torch.exp(-rays[:, None] * beam.metal.to(rays)[chosen])
        water, bone = (one[:, view, place, None] for one in (self.water, self.bone))
        body = water * beam.water.to(rays) + bone * beam.bone.to(rays)
        photons = torch.exp(-body) * beam.weights.to(rays) * _PHOTONS
        before, after = photons.sum(-1), (photons * through).sum(-1)
        spread = torch.sqrt((1 / after - 1 / before).clamp(min=1e-14))
        noise = self.noise.at(realisation.to(torch.float32))[candidate, :, view, place].T
        counted = (after * (1 + spread * noise)).clamp(min=_FEWEST)
        measured = beam.corrected(-torch.log(counted / _PHOTONS)) - beam.corrected(-torch.log(before / _PHOTONS))
        extra = measured - beam.metal_reference.to(rays)[chosen] * rays
        whole = extra.new_zeros(len(length), *self.water.shape[1:], len(extra))
        return whole.index_put((candidate, view, place), extra.T).permute(0, 3, 1, 2)
