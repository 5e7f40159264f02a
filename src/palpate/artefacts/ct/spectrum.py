"""A tube of 120 kVp, what it sends, and what matter takes from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from palpate.artefacts.ct.scanner import MU_WATER

__all__ = ["DENSITY", "METALS", "Tube", "mass_attenuation", "tube"]

_KEV = (20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
_MASS = {
    "water": (0.8096, 0.3756, 0.2683, 0.2269, 0.2059, 0.1837, 0.1707, 0.1505),
    "bone": (4.001, 1.331, 0.6655, 0.4242, 0.3148, 0.2229, 0.1855, 0.1480),
    "aluminium": (3.441, 1.128, 0.5685, 0.3681, 0.2778, 0.2018, 0.1704, 0.1378),
    "titanium": (15.85, 4.972, 2.214, 1.213, 0.7661, 0.4052, 0.2721, 0.1649),
    "iron": (25.68, 8.176, 3.629, 1.958, 1.205, 0.5952, 0.3717, 0.1964),
    "copper": (33.79, 10.92, 4.862, 2.613, 1.593, 0.7630, 0.4584, 0.2217),
}
"""Mass attenuation in cm2/g at `_KEV`: Hubbell and Seltzer, NISTIR 5632, tables 3 and 4; bone is cortical, ICRU-44."""
METALS = ("titanium", "iron", "copper")
DENSITY = {"titanium": 4.5, "iron": 7.8, "copper": 8.9}
"""In g/cm3 (liaohaofu/adn, `get_mar_params.m`)."""
REFERENCE = 70.0
"""The energy in keV at which attenuation is named."""
_TOP, _FILTER = 120.0, 0.6 * 2.699
"""The tube's voltage in kV; a filter of 6 mm of aluminium in g/cm2."""
_ENERGIES = torch.arange(20.0, 120.0, 5.0, dtype=torch.float64)
_DEEPEST = 80.0
"""Water in cm up to which the scanner's correction of water is tabulated."""


def mass_attenuation(matter: str, energy: Tensor) -> Tensor:
    """Mass attenuation in cm2/g at energies in keV: straight lines between the tabulated ones, in logarithms."""
    points = torch.tensor(_KEV, dtype=torch.float64).log()
    values = torch.tensor(_MASS[matter], dtype=torch.float64).log()
    place = energy.double().log()
    above = torch.searchsorted(points, place.contiguous()).clamp(1, len(points) - 1)
    share = (place - points[above - 1]) / (points[above] - points[above - 1])
    return torch.lerp(values[above - 1], values[above], share).exp()


@dataclass(frozen=True, eq=False)
class Tube:
    """Photons of a spectrum, their attenuation, and the correction for water that every scanner applies.

    Attributes:
        weights: (E,) share of the signal of each energy, in sum 1.
        water: (E,) attenuation in cm2/g.
        bone: (E,) attenuation in cm2/g.
        metal: (materials, E) attenuation of each of `METALS` less that of the water that it replaces, in 1/cm.
        metal_reference: (materials,) the same at 70 keV.
        bone_reference: that of bone at 70 keV, in cm2/g.
        curve: (N,) measured -log of the signal behind `depth` cm of water.
        depth: (N,) in cm.
    """

    weights: Tensor
    water: Tensor
    bone: Tensor
    metal: Tensor
    metal_reference: Tensor
    bone_reference: float
    curve: Tensor
    depth: Tensor

    def corrected(self, measured: Tensor) -> Tensor:
        """The line integral of water at 70 keV that gives a measured -log of the signal."""
        curve, depth = self.curve.to(measured), self.depth.to(measured)
        above = torch.searchsorted(curve, measured.detach().contiguous()).clamp(1, len(curve) - 1)
        share = (measured - curve[above - 1]) / (curve[above] - curve[above - 1])
        return MU_WATER * (depth[above - 1] + share * (depth[above] - depth[above - 1]))


@cache
def tube() -> Tube:
    """120 kVp by Kramers' law, without characteristic lines, behind 6 mm of aluminium; a detector that sums energies.

    The number of photons of energy E is proportional to (120 - E) / E (Kramers, Philosophical Magazine 1923), and each
    counts with its energy, so that a weight is (120 - E) exp(-aluminium). Below 20 keV nothing leaves the patient.
    """
    weights = (_TOP - _ENERGIES) * torch.exp(-_FILTER * mass_attenuation("aluminium", _ENERGIES))
    weights = weights / weights.sum()
    reference = torch.tensor([REFERENCE])
    # Water is scaled to the attenuation that Hounsfield units are defined by here.
    scale = MU_WATER / mass_attenuation("water", reference)
    water = mass_attenuation("water", _ENERGIES) * scale
    metal = torch.stack([DENSITY[name] * mass_attenuation(name, _ENERGIES) - water for name in METALS])
    at_reference = torch.cat([DENSITY[name] * mass_attenuation(name, reference) - MU_WATER for name in METALS])
    depth = torch.linspace(0, _DEEPEST, 321, dtype=torch.float64)
    curve = -torch.log(torch.exp(-depth[:, None] * water) @ weights)
    bone = mass_attenuation("bone", _ENERGIES)
    return Tube(weights, water, bone, metal, at_reference, float(mass_attenuation("bone", reference)), curve, depth)
