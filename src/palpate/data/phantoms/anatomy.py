"""The healthy eye: pigment, choroid, nerve fibres, macula, optic disc and vessels, as linear reflectance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palpate.data.phantoms.canvas import Array, Canvas, Points
from palpate.data.phantoms.vessels import Tree, grow

# Linear red, green, blue. Reflectances are near those of fundus photographs after undoing a gamma of 2.2;
# absorbances are natural-log optical densities of a full vessel's width. Blood absorbs green most and red least.
PALE_FUNDUS = np.array([0.70, 0.205, 0.062], np.float32)
DARK_FUNDUS = np.array([0.46, 0.105, 0.026], np.float32)
DISC_RIM = np.array([0.90, 0.50, 0.20], np.float32)
DISC_CUP = np.array([0.98, 0.78, 0.46], np.float32)
CHOROID = np.array([0.55, 1.0, 0.8], np.float32)
MACULAR_PIGMENT = np.array([0.42, 0.62, 0.85], np.float32)
ARTERY = np.array([0.20, 0.72, 0.62], np.float32)
VEIN = np.array([0.46, 1.00, 0.80], np.float32)


@dataclass(frozen=True)
class Eye:
    """One eye with its disc on the right of the fovea (mirrored later for a left eye). Lengths: radii of the field."""

    disc: Points
    fovea: Points
    disc_radius: float
    cup_share: float
    pigment: float
    arteries: Tree
    veins: Tree

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Eye:
        """A random eye in a field of about 45 degrees centred near the fovea."""
        fovea = np.array([-0.06, 0.02]) + rng.normal(0, 0.035, 2)
        disc = fovea + np.array([rng.uniform(0.62, 0.70), rng.uniform(-0.12, 0.0)])
        width = rng.uniform(0.019, 0.022)
        return cls(
            disc=disc,
            fovea=fovea,
            disc_radius=float(rng.uniform(0.130, 0.155)),
            cup_share=float(rng.uniform(0.28, 0.60)),
            pigment=float(rng.uniform(0, 1)),
            arteries=grow(disc, fovea, width, rng),
            veins=grow(disc, fovea, width * 1.3, rng),
        )


def _disc_distance(eye: Eye, grid: Canvas) -> Array:
    """Distance from the disc's centre over the disc's radius; the disc is a tenth taller than wide."""
    x, y = (grid.x - np.float32(eye.disc[0])) * 1.06, (grid.y - np.float32(eye.disc[1])) * 0.95
    return np.asarray(np.hypot(x, y) / eye.disc_radius, np.float32)


def _step(distance: Array, edge: float, softness: float) -> Array:
    """1 inside `edge`, 0 outside, a smooth fall between."""
    return np.asarray(1 / (1 + np.exp(np.clip((distance - edge) / softness, -30, 30))), np.float32)


def _nerve_fibres(eye: Eye, grid: Canvas, rng: np.random.Generator) -> Array:
    """The striped sheen of the nerve fibre layer, strongest above and below the disc."""
    dx, dy = grid.x - np.float32(eye.disc[0]), grid.y - np.float32(eye.disc[1])
    angle, distance = np.arctan2(dy, dx), np.hypot(dx, dy)
    waves = rng.integers(18, 46, 3)
    phases = rng.uniform(0, 6.3, 3)
    stripes = sum(np.sin(wave * angle + phase) for wave, phase in zip(waves, phases, strict=True))
    sheen = np.exp(-np.square((distance - 0.24) / 0.16)) * np.square(np.sin(angle))
    return np.asarray(sheen * (0.10 + 0.022 * stripes), np.float32)


def reflectance(eye: Eye, grid: Canvas, rng: np.random.Generator) -> tuple[Array, Array]:
    """Linear reflectance of the healthy retina and a map of its vessels.

    Returns:
        Reflectance of (size, size, 3) and vessel coverage of (size, size), 0..1.
    """
    base = PALE_FUNDUS + (DARK_FUNDUS - PALE_FUNDUS) * np.float32(eye.pigment)
    base = base * np.exp(rng.normal(0, (0.03, 0.09, 0.16))).astype(np.float32)
    # Choroidal vessels are visible where there is little pigment; coarse clouds vary the pigment itself.
    clouds = 0.08 * grid.smooth_noise(rng, 5)
    tessellation = (0.13 - 0.06 * eye.pigment) * (0.8 - np.abs(grid.smooth_noise(rng, 20)))
    grain = 0.035 * grid.smooth_noise(rng, 48)
    retina = base * np.exp((clouds + tessellation + grain)[..., None] * CHOROID)
    retina *= (1 + _nerve_fibres(eye, grid, rng))[..., None]

    macula = grid.distance(*eye.fovea)
    pigment = np.exp(-np.square(macula / 0.25)) * 0.75 + np.exp(-np.square(macula / 0.09)) * 0.55
    retina *= np.exp(-pigment[..., None] * MACULAR_PIGMENT)
    reflex = np.exp(-np.square(grid.distance(*(eye.fovea + rng.normal(0, 0.008, 2))) / 0.02)) * rng.uniform(0, 0.25)
    retina += (reflex[..., None] * base * 1.5).astype(np.float32)

    near = _disc_distance(eye, grid)
    crescent = _step(near + 0.22 * (grid.x - np.float32(eye.disc[0])) / eye.disc_radius, 1.1, 0.07)
    retina *= 1 + (crescent * rng.uniform(0.0, 0.55))[..., None]
    rim, cup = _step(near, 1.0, 0.06), _step(near, eye.cup_share, 0.07)
    retina += rim[..., None] * 0.94 * (DISC_RIM * rng.uniform(0.92, 1.10) - retina)
    retina += cup[..., None] * 0.80 * (DISC_CUP * rng.uniform(0.90, 1.06) - retina)

    veins, arteries = grid.blank(), grid.blank()
    for target, tree in ((veins, eye.veins), (arteries, eye.arteries)):
        points, radii = tree.dense(0.9 / grid.scale)
        for wide in (False, True):  # thin vessels need small patches only
            mine = (radii * grid.scale > 1) == wide
            grid.stamp(target, points[mine], radii[mine], "cylinder")
    # Veins pass under arteries; both fade where they go down into the cup.
    dive = 1 - 0.45 * cup
    density = (veins * dive)[..., None] * VEIN + (arteries * dive)[..., None] * ARTERY
    return np.asarray(retina * np.exp(-density), np.float32), np.maximum(veins, arteries)
