"""Digital endoscopy phantoms: synthetic views into a gut, with artefacts of the image and their boxes.

The classes of artefacts are four of those of EAD 2019 (Ali et al., arXiv:1905.03209): specularity, saturation, blur
and bubbles. A phantom is a test object with known truth: what a network does on phantoms says nothing about patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from palpate.data.phantoms.camera import develop
from palpate.data.phantoms.canvas import Array, Canvas, canvas
from palpate.data.phantoms.endoscopy_artefacts import ARTEFACTS, BLUR, box, lay, scatter
from palpate.data.phantoms.vessels import grow
from palpate.errors import InputError
from palpate.seeds import derive

# Linear red, green, blue of mucosa, and the optical density of a full vessel's width.
_ROSE = np.array([0.60, 0.21, 0.17], np.float32)
_AMBER = np.array([0.58, 0.27, 0.15], np.float32)
_BLOOD = np.array([0.25, 0.85, 0.65], np.float32)


@dataclass(frozen=True)
class EndoscopyPhantom:
    """A phantom with its ground truth."""

    image: npt.NDArray[np.uint8]
    """(size, size, 3)."""
    boxes: npt.NDArray[np.float32]
    """(n, 4): xmin, ymin, xmax, ymax in pixels, of every artefact."""
    labels: npt.NDArray[np.int64]
    """(n,): index in `ARTEFACTS`."""


def endoscopy(rng: np.random.Generator, size: int = 128) -> EndoscopyPhantom:
    """One view with up to four groups of artefacts; one in six has none.

    Args:
        rng: Source of everything random: the gut, the artefacts, the camera.
        size: Width and height in pixels, at least 96.

    Raises:
        InputError: for a size below 96.
    """
    if size < 96:
        raise InputError(f"An endoscopy phantom of {size} pixels cannot show its artefacts. Use a size of 96 or more.")
    grid = canvas(size)
    scene = _gut(grid, rng)
    found = []
    # A film on the lens blurs the mucosa, and nothing else overlaps it: the order is that of the path of the light.
    for artefact in sorted(scatter(rng), key=lambda one: one.kind != BLUR):
        scene, seen = lay(scene, artefact, grid, rng)
        found.append((box(seen), ARTEFACTS.index(artefact.kind)))
    stop = _field(grid, rng)
    image = develop(np.clip(scene * stop[..., None], 0, 1), stop, rng)
    boxes = np.array([corners for corners, _ in found], np.float32).reshape(-1, 4)
    return EndoscopyPhantom(image, boxes, np.array([label for _, label in found], np.int64))


def endoscopy_set(
    count: int, seed: int, size: int = 128
) -> tuple[npt.NDArray[np.uint8], list[npt.NDArray[np.float32]], list[npt.NDArray[np.int64]]]:
    """`count` views, each from its own generator: a longer set begins with the shorter one.

    Returns:
        Images (count, size, size, 3) uint8; per image boxes (n, 4) in pixels, and labels (n,).

    Raises:
        InputError: for a negative count or too small a size.
    """
    if count < 0:
        raise InputError("A set of phantoms needs a count of 0 or more.")
    made = [endoscopy(np.random.default_rng(derive(seed, "endoscopy", i)), size) for i in range(count)]
    images = np.stack([one.image for one in made]) if made else np.empty((0, size, size, 3), np.uint8)
    return images, [one.boxes for one in made], [one.labels for one in made]


def _gut(grid: Canvas, rng: np.random.Generator) -> Array:
    """Light from the inner wall of a gut, (size, size, 3): a dark lumen, folds around it, vessels, fine texture."""
    centre, turn, stretch = rng.uniform(-0.4, 0.4, 2), rng.uniform(0, np.pi), rng.uniform(1.0, 1.35)
    dx, dy = grid.x - np.float32(centre[0]), grid.y - np.float32(centre[1])
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    away = np.hypot(along, across * stretch) * (1 + 0.05 * grid.smooth_noise(rng, 5))
    angle = np.arctan2(across * stretch, along)

    mix = np.float32(rng.uniform(0, 1))
    colour = (_ROSE * (1 - mix) + _AMBER * mix) * np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
    tone = (
        0.10 * grid.smooth_noise(rng, 6)[..., None] * np.array([0.4, 1, 0.9])
        + 0.05 * grid.smooth_noise(rng, 40)[..., None]
    )
    wall = colour * np.exp(tone)
    veins = grid.blank()
    for start in rng.uniform(-1, 1, (2, 2)):
        tree = grow(start, start + np.array([0.9, 0.0]), float(rng.uniform(0.010, 0.016)), rng)
        grid.stamp(veins, *tree.dense(0.9 / grid.scale), "cylinder")
    wall = wall * np.exp(-veins[..., None] * _BLOOD * rng.uniform(0.25, 0.6))

    depth = np.square(away) / (np.square(away) + rng.uniform(0.16, 0.30) ** 2)
    light = depth * _folds(away, angle, rng) * (1.18 - 0.42 * np.square(grid.distance(*rng.normal(0, 0.15, 2))))
    return np.asarray(wall * light[..., None].clip(0.01) * rng.uniform(0.85, 1.15), np.float32)


def _folds(away: Array, angle: Array, rng: np.random.Generator) -> Array:
    """Light on the folds, (size, size), near 1: a bright crest and a dark cleft behind it, in arcs around the lumen."""
    warp = sum(rng.normal(0, 0.6 / wave) * np.cos(wave * angle + rng.uniform(0, 6.3)) for wave in (1, 2, 3, 5))
    phase = np.log(away.clip(0.03)) * rng.uniform(5.5, 8.5) + warp + rng.uniform(0, 6.3)
    ring = np.floor(phase / (2 * np.pi)).astype(np.intp)
    starts = rng.uniform(0, 2 * np.pi, int(np.ptp(ring)) + 1)[ring - ring.min()]
    strength = (0.55 + 0.45 * np.cos(2 * angle + starts)) * rng.uniform(0.6, 1.0)
    within = phase - ring * 2 * np.pi
    cleft = np.exp(-np.square((within - 2.5) / 0.42))
    crest = np.exp(-np.square((within - 3.6) / 0.75))
    return np.asarray(1 + strength * (0.42 * crest - 0.62 * cleft), np.float32)


def _field(grid: Canvas, rng: np.random.Generator) -> Array:
    """The field of view, (size, size), 0..1: the whole frame with cut corners, in two common forms."""
    cut = rng.random() < 0.6
    edge = np.asarray(1.62 - np.abs(grid.x) - np.abs(grid.y) if cut else 1.16 - grid.distance(0, 0), np.float32)
    return np.asarray(np.clip(edge * grid.scale + 0.5, 0, 1), np.float32)


__all__ = ["ARTEFACTS", "EndoscopyPhantom", "endoscopy", "endoscopy_set"]
