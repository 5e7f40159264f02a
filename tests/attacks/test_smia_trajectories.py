"""Whole attacks of the SMIA family beside BIM, step by step; and its gradient on the image by finite differences."""

from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F

from palpate.attacks import recipes
from palpate.attacks.objectives import Stabilised
from palpate.attacks.smoothing import gaussian
from palpate.checks import victims
from palpate.checks.scenarios import LOST, SCENARIOS
from palpate.contracts import ObjectiveInputs
from palpate.tasks.classification import Classification
from palpate.threats.ball import L1, L2, Linf
from palpate.victim import Victim

COUNT, STEPS = 12, 8
THREATS = {"linf": Linf(6.0), "l2": L2(60.0), "l1": L1(600.0)}
VARIANTS = ["step", "perturbation", "image"]


@dataclass
class Recorder:
    """Every iterate of every image, and whether its smoothed decision is the label."""

    smooth: str
    iterates: list = field(default_factory=list)
    right: list = field(default_factory=list)

    def watch(self, event):
        inputs = ObjectiveInputs(
            event.images, event.previous, event.clean, None, None, event.targets, event.task, 0.0, None, None
        )
        smoothed = Stabilised(smooth=self.smooth).smoothed(inputs)
        self.iterates.append(event.images.clone())
        self.right.append(event.task.right(event.forward_no_grad(smoothed), event.targets))


def net(classes=4, double=True):
    network = victims.small_net(classes=classes)
    victim = Victim(network.double() if double else network, (0, 255))
    images = victims.images(COUNT, seed=4).to(torch.float64 if double else torch.float32)
    with victim:
        return victim, Classification(classes), images, victim.judge(images).argmax(1)


def trajectory(recipe, threat, world, **settings):
    """Iterates (T + 1, B, ...) and whether each smoothed decision is right (T + 1, B)."""
    recorder = Recorder(settings.get("smooth", "step"))
    result = recipe(threat, STEPS, run_to_end=True, **settings)(*world, watcher=recorder)
    assert not result.zero_gradient.any()
    return torch.stack(recorder.iterates), torch.stack(recorder.right)


def until_flip(right):
    """(T + 1, B): iterates up to which every step was taken on a smoothed decision that was right."""
    before = torch.cat([torch.ones_like(right[:1]), right[:-1]])
    return before.long().cumprod(0).bool()


@pytest.mark.parametrize("smooth", VARIANTS)
@pytest.mark.parametrize("weight", [0.2, 0.5, 0.95])
@pytest.mark.parametrize("norm", list(THREATS))
def test_trajectories_are_bims_until_the_smoothed_decision_flips(norm, weight, smooth):
    world = net()
    ours, right = trajectory(recipes.smia, THREATS[norm], world, weight=weight, smooth=smooth, agreement="label")
    bim, _ = trajectory(recipes.bim, THREATS[norm], world)
    same = until_flip(right)
    assert not same.all() and (same.sum(0) > 2).any(), "some flip, and not at once"
    if norm == "l2":  # its steps have the gradient's own length divided out, which rounds
        torch.testing.assert_close(ours[same], bim[same], rtol=1e-9, atol=1e-9)
    else:
        assert torch.equal(ours[same], bim[same])
    assert not torch.equal(ours, bim), "what has flipped goes another way"


@pytest.mark.parametrize("weight", [0.3, 0.9])
def test_float32_trajectories_are_bims_too(weight):
    world = net(double=False)
    ours, right = trajectory(recipes.smia, THREATS["linf"], world, weight=weight, agreement="label")
    bim, _ = trajectory(recipes.bim, THREATS["linf"], world)
    # Where a gradient cancels to the last bit its sign is that of rounding, so that a value or two may part.
    same = until_flip(right)
    assert (ours[same] != bim[same]).double().mean() < 1e-3


@pytest.mark.parametrize("smooth", VARIANTS)
@pytest.mark.parametrize(("agreement", "weight"), [("label", 0.5), ("label", 0.95), ("distribution", 1.0)])
def test_with_two_classes_whole_trajectories_are_bims_flipped_or_not(agreement, weight, smooth):
    world = net(classes=2)
    ours, right = trajectory(recipes.smia, Linf(30.0), world, weight=weight, smooth=smooth, agreement=agreement)
    bim, _ = trajectory(recipes.bim, Linf(30.0), world)
    assert not right.all(), "some have flipped"
    assert torch.equal(ours, bim)


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("weight", [0.5, 3.0])
@pytest.mark.parametrize("smooth", VARIANTS)
def test_the_first_step_of_soft_agreement_is_bims_where_step_or_perturbation_is_smoothed(smooth, weight, through):
    """At the image itself nothing has changed yet: xs_0 = x_0, and KL has no gradient where its arguments are equal."""
    world = net()
    ours, _ = trajectory(
        recipes.smia,
        THREATS["linf"],
        world,
        weight=weight,
        smooth=smooth,
        agreement="distribution",
        through=through,
    )
    bim, _ = trajectory(recipes.bim, THREATS["linf"], world)
    assert torch.equal(ours[1], bim[1]) == (smooth != "image")
    assert not torch.equal(ours[-1], bim[-1])


@pytest.mark.parametrize("build", [pytest.param(build, id=name) for name, build in SCENARIOS.items()])
def test_on_every_task_weight_zero_is_bim_and_any_other_is_not(build):
    world = build()
    arguments = (world.victim, world.task, world.images, world.targets)
    bim = recipes.bim(Linf(8.0), run_to_end=True)(*arguments)
    off = recipes.smia(Linf(8.0), weight=0.0, run_to_end=True)(*arguments)
    assert bim.distance.any() and torch.equal(off.images, bim.images) and torch.equal(off.forwards, bim.forwards)
    soft = recipes.smia(Linf(8.0), weight=0.9, agreement="distribution", smooth="image", run_to_end=True)(*arguments)
    right = [row for row in range(len(world.images)) if row != LOST]
    assert not torch.equal(soft.images[right], bim.images[right])


@pytest.mark.parametrize("through", [True, False])
@pytest.mark.parametrize("smooth", VARIANTS)
def test_soft_agreement_has_the_gradient_of_finite_differences_through_one_or_both_branches(smooth, through):
    """Through: d/dx of CE(f(x), y) - alpha KL(f(S x) || f(x)). Detached: the same with S x held where it is."""
    victim, task, clean, labels = net()
    drawn = torch.randn(3, *clean.shape, generator=torch.Generator().manual_seed(9), dtype=clean.dtype)
    previous, place, aim = clean + 20 * drawn[0], clean + 40 * drawn[1], drawn[2]
    alpha = 1.7
    objective = Stabilised(alpha, smooth, "distribution", through, size=3, sigma=1.0)

    def smoothed(images):
        origin = {"step": previous, "perturbation": clean, "image": torch.zeros_like(clean)}[smooth]
        return origin + gaussian(images - origin, 3, 1.0)

    def by_hand(images, held):
        p, q = victim.judge(images).log_softmax(1), victim.judge(held).log_softmax(1)
        return F.nll_loss(p, labels, reduction="none") - alpha * (q.exp() * (q - p)).sum(1)

    with victim:
        leaf = place.clone().requires_grad_()
        outputs = victim.search(leaf)
        inputs = ObjectiveInputs(
            leaf, previous, clean, outputs, outputs, labels, task, 0.0, victim.search, victim.forward_no_grad
        )
        slope = (victim.gradient(objective.value(inputs), leaf) * aim).flatten(1).sum(1)
        tiny = 1e-4
        ends = [place + tiny * aim, place - tiny * aim]
        high, low = (by_hand(end, smoothed(end if through else place)) for end in ends)
        torch.testing.assert_close((high - low) / (2 * tiny), slope, rtol=1e-4, atol=1e-7)
        other = [by_hand(end, smoothed(place if through else end)) for end in ends]
        apart = ((other[0] - other[1]) / (2 * tiny) - slope).abs().max()
        assert apart > 0.02 * slope.abs().max(), "the other branch matters here"
