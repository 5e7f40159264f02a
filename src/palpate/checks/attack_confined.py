"""The contracts of an attack whose changes are confined: to a region, to stored steps, tied, smooth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.checks import victims
from palpate.checks.attack import Subject, scaled_radius
from palpate.checks.violation import require
from palpate.contracts import Attack, AttackResult, Limits, Threat
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.confined import Confined
from palpate.victim import Victim

_BOUNDS = (0.0, 255.0)
_RADII = {"linf": 6.5, "l2": 40.0, "l1": 400.0}
_STEP, _ORIGIN = 1.25, -3.75


@dataclass(frozen=True)
class Variant:
    """One way to confine changes.

    Attributes:
        lattice: in stored steps.
        region: inside a rectangle.
        channels: share of the radius by channel.
        tied: the same in all channels.
        smooth: width of the Gaussian.
    """

    lattice: bool = False
    region: bool = False
    channels: tuple[float, ...] = ()
    tied: bool = False
    smooth: float = 0.0

    def threat(self, norm: str, eps: float | tuple[float, ...] | None = None) -> Confined:
        """The threat, at this radius or a usual one."""
        region = "inside the rectangle" if self.region else ""
        radius = _RADII[norm] if eps is None else eps
        return Confined(radius, norm, self.lattice, region, self.channels, self.tied, self.smooth)


VARIANTS = {
    "lattice, region, tied": Variant(lattice=True, region=True, tied=True),
    "smooth": Variant(smooth=1.0),
    "all at once": Variant(lattice=True, region=True, channels=(1.0, 0.5, 0.0), smooth=0.7),
}
"""The confinements that attacks are checked under."""


def images(count: int = 6) -> Tensor:
    """Float64 images (count, 3, 8, 8) of stored steps of 1.25, some at the faces of the box."""
    whole = ((victims.images(count).double() - _ORIGIN) / _STEP).floor() * _STEP + _ORIGIN
    return whole.clamp(min=0.0)


def limits(images: Tensor) -> Limits:
    """A rectangle, and the stored steps of `images`."""
    region = torch.zeros(len(images), 1, *images.shape[2:], dtype=torch.bool)
    region[..., 2:7, 1:6] = True
    steps = torch.full((len(images),), _STEP, dtype=torch.float64)
    return Limits(region, steps, torch.full_like(steps, _ORIGIN))


def _victim() -> Victim:
    network = victims.small_net().double()
    return Victim(network, _BOUNDS)


def _run(
    subject: Subject, threat: Confined, images: Tensor, *, seeds: list[int] | None = None, **more: Tensor
) -> tuple[AttackResult, Victim, Tensor]:
    victim = _victim()
    with victim:
        labels: Tensor = victim.judge(images).argmax(1)
    streams = Streams(range(len(images)) if seeds is None else seeds)
    found = subject.make(threat)(
        victim, Classification(4), images, labels, generator=streams, limits=limits(images), **more
    )
    return found, victim, labels


def confined_images(subject: Subject, variant: Variant) -> None:
    """Every returned image is in the ball and the box, in the region, in stored steps, tied, and changed."""
    clean = images()
    name = "confined images"
    for norm in subject.norms:
        radii = tuple(_RADII[norm] * (1 + 0.3 * i) for i in range(len(clean)))
        found, _, _ = _run(subject, variant.threat(norm, radii), clean)
        allowed = torch.tensor(radii, dtype=torch.float64) * (1 + 1e-9)
        change = found.images - clean
        require(change.any(), name, f"{norm}: no image was changed at all")
        require((found.distance <= allowed).all(), name, f"{norm}: {found.distance.tolist()} of {radii}")
        require(found.images.min() >= 0 and found.images.max() <= 255, name, f"{norm}: a value is outside the box")
        require_confined(name, variant, change, limits(clean))
        if variant.channels and norm == "linf":
            reach = torch.tensor(radii).reshape(-1, 1, 1, 1) * torch.tensor(variant.channels).reshape(1, -1, 1, 1)
            require((change.abs() <= reach + 1e-9).all(), name, "a channel had more than its share")


def require_confined(name: str, variant: Variant, change: Tensor, limits: Limits) -> None:
    """Raise unless a change is confined as the variant says."""
    assert limits.region is not None
    if variant.region:
        outside = ~limits.region.expand_as(change)
        require(not change[outside].any(), name, "something was changed outside the region")
    if variant.lattice:
        steps = change / _STEP
        require((steps - steps.round()).abs().max() < 1e-9, name, "a change is not a whole number of stored steps")
    if variant.tied:
        require(torch.allclose(change, change[:, :1].expand_as(change), atol=1e-9), name, "channels differ")


def verdict_is_of_the_delivered(subject: Subject, variant: Variant) -> None:
    """Margin and success are those of the returned images, which are the delivered ones."""
    clean = images(12)
    name = "verdict is of the delivered"
    for norm in subject.norms:
        found, victim, labels = _run(subject, variant.threat(norm, 3 * _RADII[norm]), clean)
        with victim:
            margin = Classification(4).margin(victim.judge(found.images), labels)
        require(torch.allclose(margin, found.margin, atol=1e-8), name, f"{norm}: margins differ")
        require(torch.equal(found.success, found.eligible & (margin <= 0)), name, f"{norm}: success differs")


def start_is_delivered(subject: Subject, variant: Variant) -> None:
    """Images to start from are confined before they are scored."""
    clean = images(12)
    norm = subject.norms[0]
    # Far outside of region and ball, so that only the delivered image can be valid.
    found, _, _ = _run(subject, variant.threat(norm), clean, start=255 - clean)
    require_confined("start is delivered", variant, found.images - clean, limits(clean))
    inside = found.distance <= _RADII[norm] * (1 + 1e-9)
    require(inside.all(), "start is delivered", "the image is outside the ball")


def confined_batch_is_one_by_one(subject: Subject, variant: Variant) -> None:
    """Each sample of a batch gets its own limits, also when others have left the batch."""
    clean = images(5)
    norm = subject.norms[0]
    radii = [scaled_radius(norm, clean, 1.3 + (3 * i) % 8) for i in range(len(clean))]
    whole, _, _ = _run(subject, variant.threat(norm, tuple(radii)), clean)  # type: ignore[arg-type]
    for row in range(len(clean)):
        alone, _, _ = _run(subject, variant.threat(norm, radii[row]), clean[row : row + 1], seeds=[row])
        same = torch.allclose(whole.images[row], alone.images[0], atol=1e-9)
        require(same, "confined batch is one by one", f"image {row} differs when attacked alone")


def lattice_oracle(subject: Subject, variant: Variant) -> None:
    """On a linear victim nothing wins below the closed-form radius in whole steps, and L-inf ascent wins at it."""
    if not (variant.lattice and variant.region and variant.tied and "linf" in subject.norms):
        return
    clean = victims.level_images()
    # The values of these images are not multiples of the step: the lattice is counted from each of them.
    own = limits(clean)._replace(origin=None)
    inside = int(limits(clean[:1]).region.sum()) * clean.shape[1]  # type: ignore[union-attr]
    weights = torch.full_like(clean[0], 0.01)
    labels = torch.zeros(len(clean), dtype=torch.int64)
    # Five whole steps of 1.25 fit into a radius of 6.5, and every value inside the rectangle may move so far.
    reach = 5 * _STEP * 0.01 * inside
    for share in (0.99, 1.01):
        victim = Victim(victims.Linear(weights, share * reach), _BOUNDS)
        found = subject.make(variant.threat("linf"))(
            victim, Classification(2), clean, labels, generator=Streams(range(len(clean))), limits=own
        )
        if share > 1:
            require(not found.success.any(), "lattice oracle", "won below the closed-form radius")
        elif subject.gradient:
            require(found.success.all(), "lattice oracle", f"lost above it: {found.margin.tolist()}")


def balls_ignore_limits(subject: Subject, variant: Variant) -> None:
    """An attack in a plain ball finds the same bytes with limits as without."""
    if variant != VARIANTS["smooth"]:
        return
    clean, victim = images(), _victim()
    with victim:
        labels = victim.judge(clean).argmax(1)
    attack, task = subject.like_linf(clean, 2.0), Classification(4)
    with_limits, without = (
        attack(victim, task, clean, labels, generator=Streams(range(len(clean))), limits=given)
        for given in (limits(clean), None)
    )
    require(torch.equal(with_limits.images, without.images), "balls ignore limits", "limits changed what was found")


ATTACK_CONFINED_CONTRACTS: dict[str, Callable[[Subject, Variant], None]] = {
    check.__name__: check
    for check in (
        confined_images,
        verdict_is_of_the_delivered,
        start_is_delivered,
        confined_batch_is_one_by_one,
        lattice_oracle,
        balls_ignore_limits,
    )
}


def check_attack_confined(
    make: Callable[[Threat], Attack], *, norms: tuple[str, ...] = ("linf",), gradient: bool = True
) -> None:
    """Check that an attack keeps what confines its changes, on the CPU, in seconds.

    Args:
        make: builds the attack from a threat.
        norms: the norms that it claims to search.
        gradient: it follows the model's gradient.

    Raises:
        ContractError: a contract is broken; the text names it.
    """
    subject = Subject(make, norms, gradient)
    for contract in ATTACK_CONFINED_CONTRACTS.values():
        for variant in VARIANTS.values():
            contract(subject, variant)
