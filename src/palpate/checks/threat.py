"""The laws of a threat."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from palpate.checks.renamed import require_new_names
from palpate.checks.violation import require
from palpate.contracts import Limits, Neighbourhood, Threat
from palpate.streams import Streams
from palpate.tensors import lengths

_DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}


def _around(threat: Threat, images: Tensor, bounds: tuple[float, float]) -> Neighbourhood:
    """The neighbourhood; if it obeys limits, in every other column and in steps of a thousandth of the range."""
    region = torch.zeros(len(images), 1, *images.shape[2:], dtype=torch.bool)
    region[..., ::2] = True
    step = torch.full((len(images),), (bounds[1] - bounds[0]) / 1000, dtype=torch.float64)
    return threat.around(images, bounds, Limits(region, step))


def projection_is_feasible(threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]) -> None:
    """Projected images are in the ball and in the box."""
    space = _around(threat, images, bounds)
    projected = space.project(points)
    size, allowed = space.size(projected), space.radius.double() * (1 + 1e-5) + 1e-6 * (bounds[1] - bounds[0])
    require((size <= allowed).all(), "projection is feasible", f"{size.tolist()} of {space.radius.tolist()}")
    inside = (projected >= bounds[0]).all() and (projected <= bounds[1]).all()
    require(inside, "projection is feasible", "a value is outside the box")


def projection_is_idempotent(threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]) -> None:
    """Projecting twice gives the same as once, and an allowed image does not move."""
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
    """Random images are in the ball and in the box, differ between seeds, and repeat for the same seed."""
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


def delivery_is_allowed(threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]) -> None:
    """The image delivered for an iterate is in the ball and in the box, and the clean image is unchanged."""
    space, name = _around(threat, images, bounds), "delivery is allowed"
    for iterates in (space.project(points), space.sample(Streams(range(len(images))))):
        delivered = space.to_image(iterates)
        size, allowed = space.size(delivered), space.radius.double() * (1 + 1e-5) + 1e-6 * (bounds[1] - bounds[0])
        require((size <= allowed).all(), name, f"{size.tolist()} of {space.radius.tolist()}")
        require((delivered >= bounds[0]).all() and (delivered <= bounds[1]).all(), name, "a value is outside the box")
    require(torch.equal(space.to_image(images), images), name, "a clean image was changed")


def delivery_lets_gradients_through(
    threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]
) -> None:
    """A finite gradient flows from the delivered image to the iterate, and does not change the delivered image."""
    space = _around(threat, images, bounds)
    iterate = space.project(points).requires_grad_()
    delivered = space.to_image(iterate)
    (gradient,) = torch.autograd.grad((delivered * (points - images)).sum(), iterate)
    name = "delivery lets gradients through"
    require(bool(gradient.isfinite().all()) and bool(gradient.any()), name, "it is zero or not finite")
    require(torch.equal(delivered.detach(), space.to_image(iterate.detach())), name, "a gradient changes the image")


def smaller_radius_is_inside(threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]) -> None:
    """At a smaller radius iterates and images are inside it, and the radius given for them allows the same images.

    A neighbourhood without `at_radius` passes: only attacks that search the smallest change need it.
    """
    space, name = _around(threat, images, bounds), "smaller radius is inside"
    if not callable(getattr(space, "at_radius", None)):
        return
    shrink: Callable[[Tensor], Neighbourhood] = space.at_radius  # type: ignore[attr-defined]
    wanted = space.radius.double() * torch.linspace(0.3, 1.5, len(images), dtype=torch.float64)
    smaller, slack = shrink(wanted), 1e-6 * (bounds[1] - bounds[0])
    allowed = torch.minimum(wanted, space.radius.double()) * (1 + 1e-5) + slack
    require((smaller.radius <= allowed).all(), name, f"{smaller.radius.tolist()} of {wanted.tolist()}")
    iterates = smaller.project(points)
    shown = smaller.to_image(iterates)
    require((smaller.size(iterates) <= allowed).all(), name, "an iterate is outside")
    require((smaller.size(shown) <= allowed).all(), name, "an image is outside")
    radius = smaller.radius_of(iterates)  # type: ignore[attr-defined]
    require((radius <= allowed).all() and (radius >= smaller.size(shown) - slack).all(), name, "its radius is wrong")
    again = shrink(radius)
    same = again.to_image(again.project(shown if _is_own_iterate(smaller, shown) else iterates))
    require(torch.allclose(same, shown, atol=100 * slack), name, "other images at the radius given for them")


def _is_own_iterate(space: Neighbourhood, shown: Tensor) -> bool:
    """Whether the delivered images, as iterates, are delivered as they are."""
    return torch.allclose(space.to_image(shown), shown, atol=1e-9)


THREAT_CONTRACTS: dict[str, Callable[[Threat, Tensor, Tensor, tuple[float, float]], None]] = {
    check.__name__: check
    for check in (
        projection_is_feasible,
        projection_is_idempotent,
        projection_is_nearest,
        samples_are_allowed,
        steepest_attains_the_dual_norm,
        delivery_is_allowed,
        delivery_lets_gradients_through,
        smaller_radius_is_inside,
    )
}


def check_threat(threat: Threat, images: Tensor, points: Tensor, bounds: tuple[float, float]) -> None:
    """Check a threat's laws around `images`, at `points` anywhere (both (B, C, *spatial)).

    Raises:
        ContractError: a law is broken; the text names it.
    """
    require_new_names(threat)
    require_new_names(threat.around(images, bounds))
    for law in THREAT_CONTRACTS.values():
        law(threat, images, points, bounds)
