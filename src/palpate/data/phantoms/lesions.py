"""Lesions of the phantom: how many of each kind a grade has, where they are and what they do to the light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import dist
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from palpate.data.phantoms.anatomy import Eye
from palpate.data.phantoms.canvas import Array, Canvas, Points, Profile
from palpate.data.phantoms.vessels import frond

MICROANEURYSM, HAEMORRHAGE, EXUDATE, COTTON_WOOL, NEW_VESSELS = KINDS = (
    "microaneurysm",
    "haemorrhage",
    "exudate",
    "cotton wool",
    "new vessels",
)

_NONE = dict.fromkeys(KINDS, (0, 0))
COUNTS: tuple[Mapping[str, tuple[int, int]], ...] = tuple(
    MappingProxyType(_NONE | dict(zip(KINDS, ranges, strict=False)))
    for ranges in (
        (),
        ((3, 6),),
        ((8, 13), (2, 5), (3, 8), (0, 1)),
        ((16, 24), (10, 15), (8, 14), (2, 4)),
        ((19, 28), (22, 28), (12, 22), (3, 6), (1, 3)),
    )
)
"""Least and greatest number of lesions of each kind, by grade 0..4, both included; drawn uniformly."""

SPACE = 1.35
"""Least distance of two lesions over the sum of their radii; ragged outlines reach 1.26 radii."""

_RADIUS = {
    MICROANEURYSM: (0.021, 0.028),
    HAEMORRHAGE: (0.032, 0.056),
    EXUDATE: (0.017, 0.033),
    COTTON_WOOL: (0.050, 0.080),
    NEW_VESSELS: (0.150, 0.150),
}
# Natural-log optical densities of blood outside vessels; linear colours of the bright lesions.
_DOT = np.array([0.62, 1.50, 1.10], np.float32)
_BLOT = np.array([0.72, 1.55, 1.10], np.float32)
_TUFT = np.array([0.34, 1.05, 0.80], np.float32)
_LIPID = np.array([0.98, 0.76, 0.26], np.float32)
_WOOL = np.array([0.90, 0.66, 0.40], np.float32)


Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Lesion:
    """One lesion: its kind, centre and radius, in radii of the field of view."""

    kind: str
    centre: tuple[float, float]
    radius: float


def _candidates(kind: str, eye: Eye, rng: np.random.Generator, count: int) -> Points:
    """Random places for a kind: exudates are in rings and clusters, all others are spread over the posterior pole."""
    angle = rng.uniform(0, 2 * np.pi, count)
    if kind != EXUDATE:
        spread = np.sqrt(rng.uniform(0, 1, count)) * 0.88
        return np.stack([spread * np.cos(angle), spread * np.sin(angle)], 1)
    rings = int(rng.integers(2, 4))
    towards = rng.uniform(0, 2 * np.pi, rings)
    heart = eye.fovea + np.stack([np.cos(towards), np.sin(towards)], 1) * rng.uniform(0.22, 0.5, (rings, 1))
    radius = rng.uniform(0.05, 0.18, rings)
    which = rng.integers(0, rings, count)
    reach = radius[which] + rng.normal(0, 0.05, count)
    return np.asarray(heart[which] + np.stack([np.cos(angle), np.sin(angle)], 1) * reach[:, None])


def scatter(grade: int, eye: Eye, vessels: Array, grid: Canvas, rng: np.random.Generator) -> list[Lesion]:
    """Lesions of a grade; none touches another, the disc, the fovea or (except new vessels) a larger vessel."""
    placed: list[Lesion] = []
    for kind in reversed(KINDS):  # the largest first, while there is room
        low, high = COUNTS[grade][kind]
        wanted = int(rng.integers(low, high + 1))
        while wanted:
            points = _candidates(kind, eye, rng, 24 * wanted)
            radii = rng.uniform(*_RADIUS[kind], len(points))
            free = np.hypot(*points.T) + radii < 0.92
            free &= np.hypot(*(points - eye.disc).T) > eye.disc_radius + radii + 0.04
            free &= np.hypot(*(points - eye.fovea).T) > radii + 0.05
            if kind != NEW_VESSELS:
                free &= grid.at(vessels, points) < 0.25
            for (x, y), radius in zip(points[free].tolist(), radii[free].tolist(), strict=True):
                if all(dist((x, y), other.centre) > SPACE * (radius + other.radius) for other in placed):
                    placed.append(Lesion(kind, (x, y), radius))
                    wanted -= 1
                    if not wanted:
                        break
    return placed


def paint(retina: Array, lesions: list[Lesion], grid: Canvas, rng: np.random.Generator) -> tuple[Array, Labels]:
    """Draw the lesions on a reflectance of (size, size, 3).

    Returns:
        The new reflectance, and a label map of (size, size), uint8: 0 or 1 + index in `KINDS`.
    """
    cover = {kind: grid.blank() for kind in KINDS}
    for kind in KINDS:
        mine = [lesion for lesion in lesions if lesion.kind == kind]
        if not mine:
            continue
        centres = np.array([lesion.centre for lesion in mine])
        radii = np.array([lesion.radius for lesion in mine])
        rough = rng.uniform((0.0, 0.0, 0.0, 0.0), (0.20, 2 * np.pi, 0.06, 2 * np.pi), (len(mine), 4))
        strength = rng.uniform(0.65, 1.0, len(mine))
        if kind == NEW_VESSELS:
            for centre in centres:
                tuft = frond(centre, rng)
                grid.stamp(cover[kind], *tuft.dense(0.9 / grid.scale), "cylinder")
        else:
            profile: Profile = "soft" if kind == COTTON_WOOL else "flat"
            grid.stamp(cover[kind], centres, radii, profile, strength, None if kind == MICROANEURYSM else rough)
    density = sum(
        cover[kind][..., None] * colour
        for kind, colour in ((MICROANEURYSM, _DOT), (HAEMORRHAGE, _BLOT), (NEW_VESSELS, _TUFT))
    )
    retina = retina * np.exp(-np.asarray(density, np.float32))
    retina += cover[COTTON_WOOL][..., None] * 0.72 * (_WOOL - retina)
    retina += cover[EXUDATE][..., None] * 0.90 * (_LIPID - retina)
    stack = np.stack([cover[kind] for kind in KINDS])
    labels = np.where(stack.max(0) > 0.35, stack.argmax(0) + 1, 0).astype(np.uint8)
    return np.asarray(retina, np.float32), labels
