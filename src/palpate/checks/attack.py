"""The contracts of an attack."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from palpate.checks import victims
from palpate.checks.violation import require
from palpate.contracts import Attack, AttackResult, Threat
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.ball import BALLS
from palpate.usercode import ModelError
from palpate.victim import Tuning, Victim

_BOUNDS = (0.0, 255.0)
_RADII = {"linf": 4.0, "l2": 30.0, "l1": 300.0}


@dataclass(frozen=True)
class Subject:
    """An attack under check.

    Attributes:
        make: builds the attack from a threat.
        norms: the norms that it claims to search.
        gradient: it follows the model's gradient.
        random: its outcome depends on the seed.
        projected: it stays inside the ball.
        own_threat: it uses the radius for its own threat, in which its distance is measured; closed-form results for
        balls are then not checked.
    """

    make: Callable[[Threat], Attack]
    norms: tuple[str, ...] = ("linf",)
    gradient: bool = True
    random: bool = False
    projected: bool = True
    own_threat: bool = False
    threats: dict[str, type] = field(default_factory=lambda: dict(BALLS))

    def at(self, norm: str, eps: float | tuple[float, ...] | None = None) -> Attack:
        """The attack in this norm, at this radius or a usual one."""
        return self.make(self.threats[norm](_RADII[norm] if eps is None else eps))

    def like_linf(self, images: Tensor, eps: float | tuple[float, ...] | None = None) -> Attack:
        """The attack in its first norm, in the smallest ball that contains the L-inf ball of this radius."""
        norm = self.norms[0]
        radii = _RADII["linf"] if eps is None else eps
        return self.at(norm, scaled_radius(norm, images, radii))


def scaled_radius(norm: str, images: Tensor, eps: float | tuple[float, ...]) -> float | tuple[float, ...]:
    """The length in another norm of a change of `eps` at every value."""
    values = images[0].numel()
    factor = {"linf": 1.0, "l2": values**0.5, "l1": float(values)}[norm]
    return tuple(one * factor for one in eps) if isinstance(eps, tuple) else eps * factor


def _run(attack: Attack, victim: Victim, images: Tensor, labels: Tensor, classes: int, seed: int = 7) -> AttackResult:
    return attack(victim, Classification(classes), images, labels, generator=torch.Generator().manual_seed(seed))


def _decided(victim: Victim, images: Tensor) -> Tensor:
    with victim:
        decided: Tensor = victim.judge(images).argmax(1)
    return decided


def _net(channels: int = 3, spatial: int = 2, bounds: tuple[float, float] = _BOUNDS) -> Victim:
    return Victim(victims.small_net(channels, 4, spatial, bounds), bounds)


def _radius_offset(weights: Tensor, radius: float) -> float:
    return float(weights.abs().sum()) * radius


def budget_and_box(subject: Subject) -> None:
    """Every returned image is in its own ball and in the box, also next to the box's faces."""
    images = victims.images()
    victim = _net()
    for norm in subject.norms:
        radii = tuple(_RADII[norm] * (1 + 0.5 * i) for i in range(len(images)))
        result = _run(subject.at(norm, radii), victim, images, _decided(victim, images), 4)
        low, high = float(result.images.min()), float(result.images.max())
        require(low >= 0 and high <= 255, "budget and box", f"{norm}: values reach {low:g} to {high:g}")
        require(result.distance.any(), "budget and box", f"{norm}: no image was changed at all")
        if subject.projected or subject.own_threat:
            allowed = torch.tensor(radii, dtype=torch.float64) * (1 + 1e-5) + 255e-6
            require(
                (result.distance <= allowed).all(), "budget and box", f"{norm}: {result.distance.tolist()} of {radii}"
            )


def success_is_rescoring(subject: Subject) -> None:
    """Success and margin equal those of the returned images, on a victim where an iterate can win and then lose."""
    images = victims.level_images()
    for rate in (0.6, 1.1, 1.7, 2.9):
        victim = Victim(victims.Wave(rate), _BOUNDS)
        labels = torch.zeros(len(images), dtype=torch.int64)
        for norm in subject.norms:
            result = _run(subject.at(norm), victim, images, labels, 2)
            with victim:
                margin = Classification(2).margin(victim.judge(result.images), labels)
            name = "success is re-scoring"
            require(torch.allclose(margin, result.margin, atol=1e-5), name, f"{norm}: margins differ")
            require(torch.equal(result.success, result.eligible & (result.margin <= 0)), name, f"{norm}: success")
            require((result.margin <= result.clean_margin).all(), name, f"{norm}: worse than the clean image")
            require(torch.equal(result.first_success >= 0, result.success), name, f"{norm}: step of first success")


def repeatable(subject: Subject) -> None:
    """The same generator gives the same bytes, and the global random state is untouched."""
    images, victim = victims.images(), _net()
    labels = _decided(victim, images)
    before = torch.get_rng_state()
    first, second, other = (_run(subject.like_linf(images), victim, images, labels, 4, seed) for seed in (7, 7, 8))
    require(torch.equal(before, torch.get_rng_state()), "repeatable", "the global random state was changed")
    require(torch.equal(first.images, second.images), "repeatable", "one seed gave two results")
    differs = not torch.equal(first.images, other.images)
    require(differs == subject.random, "repeatable", f"another seed changes the result: {differs}")


def batch_is_one_by_one(subject: Subject) -> None:
    """Each sample gets the same result in a batch as alone, including its random numbers."""
    images, victim = victims.images(12).double(), _net()
    victim.module.double()
    labels, task = _decided(victim, images), Classification(4)
    # Some samples are beaten early and some never, so that the batch shrinks on the way, not only from its end.
    radii = tuple(0.2 + ((5 * i) % len(images)) for i in range(len(images)))
    attack = subject.like_linf(images, radii)
    whole = attack(victim, task, images, labels, generator=Streams(range(len(images))))
    for row in range(len(images)):
        alone = subject.like_linf(images, radii[row])(
            victim, task, images[row : row + 1], labels[row : row + 1], generator=Streams([row])
        )
        same = torch.allclose(whole.images[row], alone.images[0], atol=1e-9)
        counted = whole.forwards[row] == alone.forwards[0] and whole.backwards[row] == alone.backwards[0]
        require(same, "batch is one by one", f"image {row} differs when attacked alone")
        require(counted, "batch is one by one", f"image {row} costs another number of passes when attacked alone")


def linear_oracle(subject: Subject) -> None:
    """On a linear victim nothing wins below the closed-form radius, and L-inf ascent wins just above it."""
    if subject.own_threat:
        return
    images = victims.level_images()
    weights = torch.full_like(images[0], 0.01)
    labels = torch.zeros(len(images), dtype=torch.int64)
    exact = {"linf": 4.0, "l2": 4.0 * images[0].numel() ** 0.5, "l1": 4.0 * images[0].numel()}
    for norm in subject.norms:
        victim = Victim(victims.Linear(weights, _radius_offset(weights, 4.0)), _BOUNDS)
        if subject.projected:
            below = _run(subject.at(norm, exact[norm] * 0.999), victim, images, labels, 2)
            require(not below.success.any(), "linear oracle", f"{norm}: won below the closed-form radius")
            require(below.eligible.all(), "linear oracle", f"{norm}: the clean images are not counted as right")
        if norm == "linf" and subject.gradient:
            above = _run(subject.at(norm, exact[norm] * 1.001), victim, images, labels, 2)
            require(above.success.all(), "linear oracle", f"{norm}: lost at the closed-form radius")


def last_iterate_is_scored(subject: Subject) -> None:
    """A sample that only the very last iterate beats is beaten; so is one that only the first step beats."""
    images = victims.level_images()
    weights = torch.full_like(images[0], 0.01)
    labels = torch.zeros(len(images), dtype=torch.int64)
    victim = Victim(victims.Linear(weights, _radius_offset(weights, 3.9)), _BOUNDS)
    result = _run(subject.like_linf(images, 4.0), victim, images, labels, 2)
    if subject.gradient and not subject.own_threat:
        require(result.success.all(), "last iterate is scored", "lost at 1.03 times the closed-form radius")
        require((result.first_success >= 1).all(), "last iterate is scored", "won before the first step")


def victim_untouched(subject: Subject) -> None:
    """Modes, parameters, gradients, buffers and hooks are as before, also after an exception."""
    victim = _net()
    network = victim.module.train()
    network.head.eval()  # type: ignore[union-attr]
    network.head.bias.requires_grad_(False)  # type: ignore[union-attr]
    # A module that uses global random numbers, like dropout that is still on.
    handle = network.register_forward_hook(_draw)
    before = _state(network)
    images = victims.images()
    labels = torch.zeros(len(images), dtype=torch.int64)
    _run(subject.like_linf(images), victim, images, labels, 4)
    require(_state(network) == before, "victim untouched", "the module's state changed")
    breaker = network.register_forward_hook(_break_after(3))
    with contextlib.suppress(RuntimeError, ModelError):
        _run(subject.like_linf(images), victim, images, labels, 4)
    breaker.remove()
    require(_state(network) == before, "victim untouched", "the module's state changed after an exception")
    handle.remove()


def _draw(*_: object) -> None:
    torch.rand(3)


def _break_after(calls: int) -> Callable[..., None]:
    seen: list[int] = []

    def hook(*_: object) -> None:
        seen.append(1)
        if len(seen) >= calls:
            raise RuntimeError("planted")

    return hook


def _state(network: torch.nn.Module) -> list[object]:
    modes: list[object] = [part.training for part in network.modules()]
    frozen = [(p.requires_grad, p.grad is None) for p in network.parameters()]
    values = [tuple(v.flatten().tolist()) for v in network.state_dict().values()]
    hooks = [len(part._forward_hooks) + len(part._backward_hooks) for part in network.modules()]
    return [modes, frozen, values, hooks, torch.get_rng_state().tolist()]


def inputs_untouched(subject: Subject) -> None:
    """Images and labels are not written to, and the result shares no memory with them."""
    images, victim = victims.images(), _net()
    labels = _decided(victim, images)
    kept, kept_labels = images.clone(), labels.clone()
    result = _run(subject.like_linf(images), victim, images, labels, 4)
    result.images.add_(1)
    require(torch.equal(images, kept) and torch.equal(labels, kept_labels), "inputs untouched", "they were changed")


def lost_samples(subject: Subject) -> None:
    """An image that the model gets wrong is returned unchanged and is not a success."""
    images, victim = victims.images(), _net()
    labels = _decided(victim, images)
    labels[::2] = (labels[::2] + 1) % 4
    result = _run(subject.like_linf(images), victim, images, labels, 4)
    require(torch.equal(result.images[::2], images[::2]), "lost samples", "an image that was already wrong was changed")
    require(not result.success[::2].any(), "lost samples", "a clean error counts as a success")
    require(not result.eligible[::2].any(), "lost samples", "a clean error counts as eligible")
    require((result.backwards[::2] == 0).all(), "lost samples", "passes were spent on a clean error")


def shapes_and_types(subject: Subject) -> None:
    """One and three channels, 2D and 3D, float32 and float64, a batch of one, bounds in Hounsfield units."""
    for channels, spatial, kind, bounds in (
        (1, 2, torch.float32, _BOUNDS),
        (3, 2, torch.float64, _BOUNDS),
        (1, 3, torch.float32, (-1024.0, 3071.0)),
    ):
        victim = _net(channels, spatial, bounds)
        victim.module.to(kind)
        images = victims.images(1, channels, spatial, bounds).to(kind)
        eps = 4.0 / 255 * (bounds[1] - bounds[0])
        result = _run(subject.like_linf(images, eps), victim, images, _decided(victim, images), 4)
        name = f"{channels} channels, {spatial}D, {kind}"
        require(result.images.shape == images.shape, "shapes and types", f"{name}: the result has another shape")
        require(result.images.dtype == kind, "shapes and types", f"{name}: the result has another type")
        inside = (result.images >= bounds[0]).all() and (result.images <= bounds[1]).all()
        require(inside, "shapes and types", f"{name}: a value is outside the bounds")
        require(result.distance.any(), "shapes and types", f"{name}: nothing was changed")


def passes_are_counted(subject: Subject) -> None:
    """The passes in the result are those that the victim counted, with an exact and with a tuned search."""
    for tuning in (Tuning(), Tuning("channels_last", fold=True), Tuning(search="bfloat16")):
        victim = _net()
        victim.tuning = tuning
        images = victims.images()
        labels = _decided(victim, images)
        labels[0] = (labels[0] + 1) % 4
        forwards, backwards = victim.forwards, victim.backwards
        result = _run(subject.like_linf(images, 1.0), victim, images, labels, 4)
        spent = (victim.forwards - forwards, victim.backwards - backwards)
        reported = (int(result.forwards.sum()), int(result.backwards.sum()))
        require(spent == reported, "passes are counted", f"{tuning}: {reported} in the result, {spent} spent")


def saturation_is_seen(subject: Subject) -> None:
    """If cross-entropy's gradient is exactly zero, the attack reports it and uses the margin instead."""
    if not subject.gradient:
        return
    images = victims.level_images().float()
    weights = torch.full_like(images[0], 0.01)
    network = victims.Linear(weights, _radius_offset(weights, 2.0), scale=1e3)
    labels = torch.zeros(len(images), dtype=torch.int64)
    result = _run(subject.like_linf(images, 4.0), Victim(network, _BOUNDS), images, labels, 2)
    reached = result.success if not subject.own_threat else result.distance > 0
    require(reached.all(), "saturation is seen", "a saturated model was not beaten at twice its radius")
    flat = Victim(victims.Linear(weights * 0, 1.0), _BOUNDS)
    blocked = _run(subject.like_linf(images, 4.0), flat, images, labels, 2)
    require(blocked.blocked_gradient.all(), "saturation is seen", "a gradient of zero everywhere was not reported")


def verdict_by_the_model_as_given(subject: Subject) -> None:
    """With a search in bfloat16 on a folded copy, margins and success are still the given module's own."""
    victim = _net()
    images = victims.images(24, seed=4)
    labels = _decided(victim, images)
    victim.tuning = Tuning("channels_last", fold=True, search="bfloat16", forward_no_grad="bfloat16")
    result = _run(subject.like_linf(images, 2.0), victim, images, labels, 4)
    with victim:
        margin = Classification(4).margin(victim.judge(result.images), labels)
    require(torch.allclose(margin, result.margin, atol=1e-4), "verdict by the model as given", "margins differ")
    require(torch.equal(result.success, margin <= 0), "verdict by the model as given", "success differs")


def beats_noise(subject: Subject) -> None:
    """An attack that follows the gradient beats the model more often than random images of the same ball."""
    if not subject.gradient or subject.own_threat:
        return
    from palpate.attacks.noise import RandomNoise

    images, victim = victims.images(24, seed=5), _net()
    labels = _decided(victim, images)
    eps = 0.8
    found_in = subject.like_linf(images, eps)
    found = _run(found_in, victim, images, labels, 4)
    noise = _run(RandomNoise(found_in.threat), victim, images, labels, 4)
    require(found.margin.mean() < noise.margin.mean(), "beats noise", "its margins are no lower than noise's")


ATTACK_CONTRACTS: dict[str, Callable[[Subject], None]] = {
    check.__name__: check
    for check in (
        budget_and_box,
        success_is_rescoring,
        repeatable,
        batch_is_one_by_one,
        linear_oracle,
        last_iterate_is_scored,
        victim_untouched,
        inputs_untouched,
        lost_samples,
        shapes_and_types,
        passes_are_counted,
        saturation_is_seen,
        verdict_by_the_model_as_given,
        beats_noise,
    )
}


def check_attack(
    make: Callable[[Threat], Attack],
    *,
    norms: tuple[str, ...] = ("linf",),
    gradient: bool = True,
    random: bool = False,
    projected: bool = True,
    own_threat: bool = False,
) -> None:
    """Check an attack against every contract, on the CPU, in seconds.

    Args:
        make: builds the attack from a threat, for example `lambda threat: MyAttack(threat, steps=20)`.
        norms: the norms that it claims to search.
        gradient: it follows the model's gradient.
        random: its outcome depends on the seed.
        projected: it stays inside the ball.
        own_threat: it uses the radius for its own threat.

    Raises:
        ContractError: a contract is broken; the text names it.
    """
    subject = Subject(make, norms, gradient, random, projected, own_threat)
    for contract in ATTACK_CONTRACTS.values():
        contract(subject)
