"""Artefacts of endoscopy phantoms, after the classes of EAD 2019: what each does to the light, and its box."""

from __future__ import annotations

from dataclasses import dataclass
from math import dist

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, shift, uniform_filter1d

from palpate.data.phantoms.canvas import Array, Canvas

SPECULARITY, SATURATION, BLUR, BUBBLES = ARTEFACTS = ("specularity", "saturation", "blur", "bubbles")

_RADIUS = {SPECULARITY: (0.09, 0.17), SATURATION: (0.20, 0.36), BLUR: (0.30, 0.46), BUBBLES: (0.075, 0.15)}
_WHITE = np.array([1.25, 1.22, 1.15], np.float32)
_MILK = np.array([0.42, 0.26, 0.22], np.float32)
_SEEN = 0.30

Seen = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Artefact:
    """One artefact: its kind, centre and radius, in radii of the field of view."""

    kind: str
    centre: tuple[float, float]
    radius: float


def scatter(rng: np.random.Generator) -> list[Artefact]:
    """No artefact in one of six images; otherwise up to four groups that do not touch; bubbles are in groups."""
    if rng.random() < 1 / 6:
        return []
    placed: list[Artefact] = []
    for _ in range(int(rng.integers(1, 5))):
        kind = ARTEFACTS[int(rng.integers(len(ARTEFACTS)))]
        wanted = int(rng.integers(2, 6)) if kind == BUBBLES else 1
        heart = rng.uniform(-0.6, 0.6, 2)
        for _ in range(30 * wanted):
            spread = 0.28 if kind == BUBBLES else 0.4
            x, y = (heart + rng.normal(0, spread, 2)).tolist()
            radius = float(rng.uniform(*_RADIUS[kind]))
            inside = np.hypot(x, y) + radius < 0.92
            if inside and all(dist((x, y), other.centre) > 1.15 * (radius + other.radius) for other in placed):
                placed.append(Artefact(kind, (x, y), radius))
                wanted -= 1
                if not wanted:
                    break
    return placed


def lay(scene: Array, artefact: Artefact, grid: Canvas, rng: np.random.Generator) -> tuple[Array, Seen]:
    """The scene (size, size, 3) in linear light with one artefact, and where it is seen, (size, size) bool."""
    return _LAYERS[artefact.kind](scene, artefact, grid, rng)


def box(seen: Seen) -> npt.NDArray[np.float32]:
    """The tight box of where an artefact is seen: xmin, ymin, xmax, ymax; pixel i extends from i to i + 1."""
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def _around(artefact: Artefact, grid: Canvas) -> tuple[Array, Array, Array]:
    """Offsets from the centre and the distance, over the radius."""
    u = (grid.x - np.float32(artefact.centre[0])) / np.float32(artefact.radius)
    v = (grid.y - np.float32(artefact.centre[1])) / np.float32(artefact.radius)
    return u, v, np.asarray(np.hypot(u, v), np.float32)


def _glints(scene: Array, artefact: Artefact, grid: Canvas, rng: np.random.Generator) -> tuple[Array, Seen]:
    """Mirror images of the lamp on wet mucosa: a few small white spots with coloured fringes."""
    count = int(rng.integers(4, 8))
    angle, away = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count)) * 0.75
    centres = np.array(artefact.centre) + artefact.radius * np.stack([away * np.cos(angle), away * np.sin(angle)], 1)
    cover = grid.blank()
    rough = rng.uniform((0.15, 0, 0, 0), (0.4, 2 * np.pi, 0.1, 2 * np.pi), (count, 4))
    grid.stamp(cover, centres, rng.uniform(0.016, 0.042, count), "flat", None, rough)
    slip = rng.normal(0, 0.6, 2)
    fringed = np.stack([shift(cover, slip, order=1), cover, shift(cover, -slip, order=1)], -1)
    return np.asarray(scene + fringed * (_WHITE - scene), np.float32), cover > _SEEN


def _glare(scene: Array, artefact: Artefact, grid: Canvas, rng: np.random.Generator) -> tuple[Array, Seen]:
    """Mucosa so near to the lamp that the sensor saturates, with a halo."""
    u, v, _ = _around(artefact, grid)
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.5)
    along, across = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    away = np.hypot(along, across * stretch) + 0.15 * (grid.smooth_noise(rng, 6) + grid.smooth_noise(rng, 14))
    core = np.asarray(1 / (1 + np.exp(np.clip((away - 0.85) * 6, -30, 30))), np.float32)
    halo = 0.35 * np.exp(-np.square(away.clip(0) / 1.25))
    light = scene * (1 + 2.0 * halo[..., None]) + core[..., None] * _WHITE
    return np.asarray(light, np.float32), core > 0.4


def _smear(scene: Array, artefact: Artefact, grid: Canvas, rng: np.random.Generator) -> tuple[Array, Seen]:
    """A film of water on the lens: the view behind it is stretched to one side and looks milky."""
    u, v, _ = _around(artefact, grid)
    away = np.hypot(u, v * rng.uniform(1.0, 1.4)) + 0.08 * grid.smooth_noise(rng, 7)
    share = np.asarray(1 / (1 + np.exp(np.clip((away - 0.9) * 11, -30, 30))), np.float32)[..., None]
    soft = uniform_filter1d(scene, max(int(0.16 * grid.scale), 2), axis=int(rng.integers(2)))
    soft = gaussian_filter(soft, (0.045 * grid.scale, 0.045 * grid.scale, 0))
    film = 0.72 * soft + 0.28 * _MILK * (0.4 + 0.6 * soft.mean() / 0.2)
    return np.asarray(scene + share * (film - scene), np.float32), share[..., 0] > 0.4


def _bubble(scene: Array, artefact: Artefact, grid: Canvas, rng: np.random.Generator) -> tuple[Array, Seen]:
    """A bubble: a dark rim, a bright ring inside it, and the lamp reflected at one side and faintly at the other."""
    u, v, away = _around(artefact, grid)
    pixel = 1 / (artefact.radius * grid.scale)
    inside = np.clip((1 - away) / pixel + 0.5, 0, 1)
    rim = np.exp(-np.square((away - 0.93) / max(0.10, 0.8 * pixel)))
    ring = np.exp(-np.square((away - 0.70) / max(0.14, 0.8 * pixel))) * inside
    lamp = rng.uniform(-2.6, -0.6)
    side = np.stack([np.cos(lamp), np.sin(lamp)])
    spot = np.exp(-(np.square(u - 0.5 * side[0]) + np.square(v - 0.5 * side[1])) / max(0.05, 1.2 * pixel**2))
    echo = np.exp(-(np.square(u + 0.5 * side[0]) + np.square(v + 0.5 * side[1])) / 0.12)
    light = scene * (1 - 0.62 * rim[..., None])
    light = light + ((0.16 * ring + 0.14 * echo * inside)[..., None] + 0.95 * spot[..., None]) * _WHITE
    return np.asarray(light, np.float32), away <= 1


_LAYERS = {SPECULARITY: _glints, SATURATION: _glare, BLUR: _smear, BUBBLES: _bubble}
"""`endoscopy` applies blur first, because a film on the lens is in front of everything."""
