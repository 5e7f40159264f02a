"""Retinal vessel trees: arcades around the macula and nasal trunks that branch, get thinner and wind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palpate.data.phantoms.canvas import Points

STEP = 0.014
"""Length of one step of a vessel, in radii of the field of view."""

_KNOT = 6
"""Steps from one random turn of a vessel to the next."""


@dataclass(frozen=True)
class Tree:
    """A tree of vessels as steps along their centre lines; lengths in radii of the field of view."""

    points: Points
    """Start of each step, (n, 2)."""
    steps: Points
    """Displacement of each step, (n, 2)."""
    radii: Points
    """Radius of the lumen at each step, (n,)."""

    def dense(self, spacing: float) -> tuple[Points, Points]:
        """Points at most `spacing` apart and their radii, so that a finer grid does not show separate discs."""
        parts = int(np.ceil(STEP / spacing))
        shares = np.arange(parts) / parts
        points = self.points[:, None] + self.steps[:, None] * shares[:, None]
        return points.reshape(-1, 2), np.repeat(self.radii, parts)


@dataclass(frozen=True)
class _Sprout:
    start: Points
    heading: float
    bend: float
    length: float
    radius: float
    order: int


def _walk(sprout: _Sprout, rng: np.random.Generator, winding: float) -> tuple[Points, Points]:
    """Positions and headings along a vessel: a bend that fades, plus smooth random turns that average out."""
    count = max(int(sprout.length / STEP), 3)
    along = np.arange(count)
    knots = rng.standard_normal(count // _KNOT + 2) * winding
    knots[0] = 0
    turns = np.interp(along / _KNOT, np.arange(len(knots)), knots)
    headings = sprout.heading + sprout.bend * STEP * (along - 0.35 * along**2 / count) + turns
    steps = np.stack([np.cos(headings), np.sin(headings)], 1) * STEP
    return sprout.start + np.cumsum(steps, 0) - steps[0], headings


def _split(sprout: _Sprout, path: Points, headings: Points, rng: np.random.Generator) -> list[_Sprout]:
    """Branches along a vessel, on alternating sides, thinner than it."""
    children = []
    side = 1.0 if rng.random() < 0.5 else -1.0
    count = (7, 2, 0)[sprout.order]
    places = (np.arange(count) + rng.uniform(0.15, 0.85, count)) / max(count, 1)
    for share in 0.12 + 0.8 * places:
        index = int(share * sprout.length / STEP)
        side = -side
        if index >= len(path):
            continue
        children.append(
            _Sprout(
                start=path[index],
                heading=float(headings[index] + side * rng.uniform(0.5, 0.95)),
                bend=float(-side * rng.uniform(-0.3, 0.9)),
                length=sprout.length * float(rng.uniform(0.28, 0.5)),
                radius=sprout.radius * (1 - 0.4 * share) * float(rng.uniform(0.45, 0.65)),
                order=sprout.order + 1,
            )
        )
    return children


def _trunks(disc: Points, width: float, rng: np.random.Generator) -> list[_Sprout]:
    """The vessels that leave a disc on the right: two temporal arcades, two nasal trunks, one macular twig."""
    twig = np.pi + rng.choice([-1, 1]) * rng.uniform(0.2, 0.5)
    trunks = [(twig, rng.uniform(-0.5, 0.5), rng.uniform(0.3, 0.5), 0.45, 1)]
    for half in (-1.0, 1.0):  # above, below
        arcade = half * (np.pi / 2 + rng.uniform(-0.10, 0.25))
        trunks.append((arcade, half * rng.uniform(1.15, 1.55), rng.uniform(1.6, 1.9), 1.0, 0))
        nasal = half * rng.uniform(0.55, 1.05)
        trunks.append((nasal, -half * rng.uniform(-0.2, 0.5), rng.uniform(0.5, 0.7), 0.62, 1))
    return [
        _Sprout(
            start=disc + rng.normal(0, 0.014, 2),
            heading=float(heading),
            bend=float(bend),
            length=float(length),
            radius=width * share * float(rng.uniform(0.9, 1.1)),
            order=order,
        )
        for heading, bend, length, share, order in trunks
    ]


def grow(disc: Points, fovea: Points, width: float, rng: np.random.Generator) -> Tree:
    """A tree of arteries or of veins for an eye with the disc on the right of its fovea.

    Args:
        disc: Centre of the optic disc, (2,).
        fovea: Centre of the macula, (2,); vessels end before it (the foveal avascular zone).
        width: Radius of the arcades where they leave the disc.
        rng: Source of the tree.
    """
    winding = float(rng.uniform(0.10, 0.22))
    pieces: list[tuple[Points, Points, Points]] = []
    queue = _trunks(disc, width, rng)
    while queue:
        sprout = queue.pop()
        path, headings = _walk(sprout, rng, winding * (1 + 0.4 * sprout.order))
        ends = (np.hypot(*path.T) > 1.06) | (np.hypot(*(path - fovea).T) < 0.16)
        stop = int(ends.argmax()) if ends.any() else len(path)
        path, headings = path[:stop], headings[:stop]
        taper = np.asarray(1 - 0.5 * np.arange(stop) * STEP / sprout.length)
        pieces.append((path, headings, sprout.radius * taper))
        queue += _split(sprout, path, headings, rng)
    return _tree(pieces)


def frond(centre: Points, rng: np.random.Generator) -> Tree:
    """New vessels: a small wheel of thin, winding vessels around a point."""
    spokes = int(rng.integers(8, 12))
    pieces: list[tuple[Points, Points, Points]] = []
    for heading in np.linspace(0, 2 * np.pi, spokes, endpoint=False) + rng.uniform(0, 6):
        length, bend = float(rng.uniform(0.09, 0.16)), float(rng.uniform(-16, 16))
        path, headings = _walk(_Sprout(centre, float(heading), bend, length, 0.0, 2), rng, 0.3)
        pieces.append((path, headings, np.asarray(0.012 - 0.004 * np.arange(len(path)) / len(path))))
    return _tree(pieces)


def _tree(pieces: list[tuple[Points, Points, Points]]) -> Tree:
    points, headings, radii = (np.concatenate(part) for part in zip(*pieces, strict=True))
    return Tree(points, np.stack([np.cos(headings), np.sin(headings)], 1) * STEP, radii)
