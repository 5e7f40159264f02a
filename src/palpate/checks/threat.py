"""The laws of a threat."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from palpate.checks.violation import require
from palpate.contracts import Neighbourhood, Threat
from palpate.streams import Streams
from palpate.tensors import lengths

_DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}


def _around(threat: Threat, images: Tensor, bounds: tuple[float, float]) -> Neighbourhood:
    return threat.around(images, bounds)


def projection_is_feasible(threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]) -> None:
    """What is projected lies in the ball and in the box."""
    space = _around(threat, images, bounds)
    projected = space.project(points)
    size, allowed = space.size(projected), space.radius.double() * (1 + 1e-5) + 1e-6 * (bounds[1] - bounds[0])
    require((size <= allowed).all(), "projection is feasible", f"{size.tolist()} of {space.radius.tolist()}")
    inside = (projected >= bounds[0]).all() and (projected <= bounds[1]).all()
    require(inside, "projection is feasible", "the box was left")


def projection_is_idempotent(threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]) -> None:
    """Projecting twice is projecting once, and an allowed image stays where it is."""
    space = _around(threat, images, bounds)
    once = space.project(points)
    slack = 1e-5 * (bounds[1] - bounds[0])
    require(torch.allclose(space.project(once), once, atol=slack), "projection is idempotent", "it moved again")
    require(torch.allclose(space.project(images), images, atol=slack), "projection is idempotent", "clean image moved")


def projection_is_nearest(threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]) -> None:
    """No allowed image is nearer, by the variational inequality <p - P(p), z - P(p)> <= 0 for allowed z."""
    space = _around(threat, images, bounds)
    projected = space.project(points)
    for seed in range(5):
        allowed = space.sample(Streams([seed * 1000 + i for i in range(len(images))]))
        product = ((points - projected) * (allowed - projected)).flatten(1).sum(1)
        scale = lengths(points - projected, "l2") * lengths(allowed - projected, "l2")
        require((product <= 1e-3 * scale + 1e-6).all(), "projection is nearest", "an allowed image is nearer")


def samples_are_allowed(threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]) -> None:
    """Random images lie in the ball and in the box, differ per seed, and repeat with it."""
    space, seeds = _around(threat, images, bounds), list(range(len(images)))
    drawn = space.sample(Streams(seeds))
    name = "samples are allowed"
    require(torch.equal(drawn, space.sample(Streams(seeds))), name, "one seed gave two samples")
    require(not torch.equal(drawn, space.sample(Streams([s + 1 for s in seeds]))), name, "two seeds gave one sample")
    require((space.size(drawn) <= space.radius.double() * (1 + 1e-5) + 1e-4).all(), name, "outside the ball")
    require((drawn >= bounds[0]).all() and (drawn <= bounds[1]).all(), name, "outside the box")


def steepest_attains_the_dual_norm(threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]) -> None:
    """<g, steepest(g)> is the dual norm of g, with a direction of unit length."""
    space = _around(threat, images, bounds)
    gradient = (points - images).double()
    direction = space.steepest(gradient)
    attained = (gradient * direction).flatten(1).sum(1)
    dual = lengths(gradient, _DUAL[threat.norm])
    name = "steepest attains the dual norm"
    require((lengths(direction, threat.norm) <= 1 + 1e-6).all(), name, "the direction is longer than one")
    require(torch.allclose(attained, dual, rtol=1e-5, atol=1e-9), name, f"{attained.tolist()} of {dual.tolist()}")


THREAT_CONTRACTS: dict[str, Callable[[Threat, Tensor, Tensor, tuple[float, float]], None]] = {
    check.__name__: check
    for check in (
        projection_is_feasible,
        projection_is_idempotent,
        projection_is_nearest,
        samples_are_allowed,
        steepest_attains_the_dual_norm,
    )
}


def check_threat(threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]) -> None:
    """Check a threat's laws around `images`, at `points` anywhere (both (B, C, *spatial)).

    Raises:
        ContractError: a law is not kept; the text names it.
    """
    for law in THREAT_CONTRACTS.values():
        law(threat, images, points, bounds)
