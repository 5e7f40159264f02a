"""The laws of an artefact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.annotations import Masks
from palpate.artefacts.artefact import Artefact, Scene, bound_to, rows_of
from palpate.artefacts.moving import moved
from palpate.artefacts.parameter import WORST, free, theta_at
from palpate.checks.violation import require
from palpate.contracts import Limits
from palpate.streams import Streams

_TINY, _JUMP = 0.02, 0.1
"""At this severity the change is at most this share of that at severity 1."""
_SLACK = 0.02
_POINTS = 3


@dataclass(frozen=True, eq=False)
class ArtefactCase:
    """What an artefact is checked on.

    Attributes:
        artefact: the artefact.
        images: (B, C, *spatial) in values on the lattice of `scene.bounds` and `step`.
        scene: what is known of the images.
        step: distance of two values that can be stored; None for floating point.
    """

    artefact: Artefact
    images: Tensor
    scene: Scene
    step: float | None = 1.0

    @property
    def limits(self) -> Limits | None:
        """The stored steps."""
        if self.step is None:
            return None
        like = torch.full((len(self.images),), self.step, dtype=torch.float64)
        return Limits(step=like, origin=torch.full_like(like, self.scene.bounds[0]))

    def points(self, count: int, seed: int = 0) -> Tensor:
        """Points of the unit cube (count, F) of the free parameters."""
        drawn = torch.rand(count, free(self.artefact.parameters), generator=torch.Generator().manual_seed(seed))
        return drawn.double()

    def theta(self, severity: float, count: int | None = None, seed: int = 0) -> Tensor:
        """Parameters (B or count, D) at a severity."""
        return theta_at(
            self.artefact.parameters, self.points(len(self.images) if count is None else count, seed), severity
        )

    def apply(self, theta: Tensor, seed: int = 0, limits: bool = True) -> Tensor:
        """The images with one row of theta each."""
        streams = Streams([seed * 1000 + row for row in range(len(self.images))])
        return self.artefact(self.images, theta, self.scene, streams=streams, limits=self.limits if limits else None)


def is_a_value(case: ArtefactCase) -> None:
    """Equal artefacts are equal and have one hash; they are frozen dataclasses."""
    one = case.artefact
    require(isinstance(one, Artefact), "is a value", f"{one!r} is not an artefact; give an instance, such as Metal()")
    frozen = is_dataclass(one) and one.__dataclass_params__.frozen
    require(frozen, "is a value", "it is not a frozen dataclass")
    twin = type(one)(*(getattr(one, field.name) for field in fields(one)))  # type: ignore[arg-type]
    require(one == twin and hash(one) == hash(twin), "is a value", "an equal artefact is not equal")
    strengths = [parameter for parameter in one.parameters if parameter.levels is not None]
    require(strengths, "is a value", "no parameter grows with severity")
    require(all(parameter.source for parameter in one.parameters), "is a value", "a parameter names no source")


def severity_zero_is_the_image(case: ArtefactCase) -> None:
    """At severity 0 the result is the image, bit for bit, whatever the other parameters are."""
    for seed in range(_POINTS):
        made = case.apply(case.theta(0.0, seed=seed), seed)
        require(torch.equal(made, case.images), "severity zero is the image", "it was changed")


def nothing_jumps(case: ArtefactCase) -> None:
    """A very small severity changes very little: no resampling or reconstruction is hidden in the artefact."""
    raw = ArtefactCase(case.artefact, case.images, case.scene, None)
    for seed in range(_POINTS):
        tiny, one = (_distance(raw, severity, seed).max() for severity in (_TINY, 1.0))
        allowed = _JUMP * float(one) + 1e-6 * case.scene.extent
        require(float(tiny) <= allowed, "nothing jumps", f"{float(tiny):g} at severity {_TINY}, {float(one):g} at 1")


def distance_rises_with_severity(case: ArtefactCase) -> None:
    """The change grows from severity 1 to 5 while the other parameters stay."""
    name = "distance rises with severity"
    for seed in range(_POINTS):
        found = torch.stack([_distance(case, severity, seed) for severity in range(1, WORST + 1)])
        slack = _SLACK * found.amax(0) + 1e-9
        require(bool((found[1:] >= found[:-1] - slack).all()), name, f"{found[:, 0].tolist()}")
        require(bool((found[-1] > 0).any()), name, "nothing changes at severity 5")


def _distance(case: ArtefactCase, severity: float, seed: int) -> Tensor:
    change = (case.apply(case.theta(severity, seed=seed), seed) - case.images).double()
    return change.flatten(1).pow(2).mean(1).sqrt()


def results_are_stored_values(case: ArtefactCase) -> None:
    """Images have the shape and type of the clean ones, are finite, inside the bounds, and on the lattice."""
    name, (low, high) = "results are stored values", case.scene.bounds
    for severity in (1.0, 3.0, 5.0):
        made = case.apply(case.theta(severity))
        require(made.shape == case.images.shape and made.dtype == case.images.dtype, name, f"{made.shape} {made.dtype}")
        require(bool(made.isfinite().all()), name, "NaN or infinity")
        require(bool((made >= low).all() and (made <= high).all()), name, "a value is outside the bounds")
        if case.step is not None:
            steps = (made.double() - low) / case.step
            require(bool(((steps - steps.round()).abs() < 1e-3).all()), name, "a value cannot be stored")


def one_stream_gives_one_image(case: ArtefactCase) -> None:
    """The same stream and parameters give the same bytes; the global random state is not touched."""
    name, before = "one stream gives one image", torch.get_rng_state()
    theta, clean = case.theta(3.0), case.images.clone()
    require(torch.equal(case.apply(theta), case.apply(theta)), name, "two calls gave two images")
    require(torch.equal(before, torch.get_rng_state()), name, "the global random state was used")
    require(torch.equal(clean, case.images), name, "the clean images were written to")


def a_batch_is_one_by_one(case: ArtefactCase) -> None:
    """Many candidates at once are the same as one at a time, and so are many images."""
    name, count = "a batch is one by one", 4
    theta = torch.cat([case.theta(float(severity), 1, severity) for severity in range(1, count + 1)])
    slack = 1e-4 * case.scene.extent + (case.step or 0.0)

    def bound() -> Callable[[Tensor], Tensor]:
        return bound_to(case.artefact, case.images[0], case.scene, Streams([0]), rows_of(case.limits, 0))

    together, made = bound(), bound()
    whole = together(theta)
    for row in range(count):
        apart = made(theta[row : row + 1])[0]
        require(torch.allclose(whole[row], apart, atol=slack), name, f"candidate {row} differs")
    images = case.apply(case.theta(3.0))
    for row in range(len(images)):
        alone = ArtefactCase(case.artefact, case.images[row : row + 1], case.scene, case.step)
        streams = Streams([row])
        one = alone.artefact(alone.images, case.theta(3.0)[row : row + 1], case.scene, streams=streams,
                             limits=alone.limits)  # fmt: skip
        require(torch.allclose(images[row], one[0], atol=slack), name, f"image {row} differs")


def gradients_reach_the_parameters(case: ArtefactCase) -> None:
    """If the artefact says that it has gradients, they are finite, and not zero for all parameters."""
    if not case.artefact.gradient or not free(case.artefact.parameters):
        return
    name = "gradients reach the parameters"
    unit = case.points(len(case.images)).requires_grad_()
    made = case.apply(theta_at(case.artefact.parameters, unit, 3.0), limits=False)
    weights = torch.randn(made.shape, generator=torch.Generator().manual_seed(0)).to(made)
    (gradient,) = torch.autograd.grad((made * weights).sum(), unit, allow_unused=True)
    require(gradient is not None and bool(gradient.isfinite().all()), name, "there is none, or it is not finite")
    require(bool(gradient.any()), name, "it is zero")


def annotations_move_along(case: ArtefactCase) -> None:
    """If anatomy moves, a mask moves as an image of it does; at severity 0 nothing moves."""
    if not case.artefact.moves:
        return
    name, shape = "annotations move along", tuple(case.images.shape[2:])
    inside = torch.zeros(len(case.images), *shape, dtype=torch.int64)
    middle = (slice(None), *(slice(size // 4, 3 * size // 4) for size in shape))
    inside[middle] = 1
    for severity in (0.0, 3.0):
        theta = case.theta(severity)
        grid = case.artefact.grid(shape, theta, case.scene)
        require(grid is not None, name, "there is no grid")
        assert grid is not None
        after = moved(Masks(inside), grid).labels
        picture = F.grid_sample(inside[:, None].double(), grid.double(), padding_mode="zeros", align_corners=False)
        require(torch.equal(after == 1, picture[:, 0] >= 0.5) or severity > 0, name, "severity 0 moves a mask")
        differs = ((after == 1) != (picture[:, 0] >= 0.5)).double().mean()
        require(float(differs) < 0.02, name, f"{float(differs):.1%} of the pixels differ")


ARTEFACT_CONTRACTS: dict[str, Callable[[ArtefactCase], None]] = {
    check.__name__: check
    for check in (
        is_a_value,
        severity_zero_is_the_image,
        nothing_jumps,
        distance_rises_with_severity,
        results_are_stored_values,
        one_stream_gives_one_image,
        a_batch_is_one_by_one,
        gradients_reach_the_parameters,
        annotations_move_along,
    )
}


def check_artefact(artefact: Artefact, images: Tensor, scene: Scene, *, step: float | None = 1.0) -> None:
    """Check an artefact's laws on `images` (B, C, *spatial), whose values are `scene.bounds[0]` plus whole steps.

    Raises:
        ContractError: a law is broken; the text names it.
    """
    case = ArtefactCase(artefact, images, scene, step)
    for law in ARTEFACT_CONTRACTS.values():
        law(case)
