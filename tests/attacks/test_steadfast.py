"""Steadfast: what it climbs, what it costs, what it keeps, and that it needs no more than a threat."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.decoding import decode

from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives import Margin
from palpate.attacks.robust import robust
from palpate.attacks.steadfast import steadfast
from palpate.attacks.steps import Cosine
from palpate.attacks.transforms import Weighted, transformed_models
from palpate.audit.plan.identity import digest, encode
from palpate.checks import victims
from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.postprocessing import parse
from palpate.tasks.classification import Classification
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import Linf
from palpate.threats.confined import Confined
from palpate.units import Scale
from palpate.victim import Victim


def small(bounds=(0.0, 255.0), spatial=2):
    victim = Victim(victims.small_net(classes=4, spatial=spatial, bounds=bounds), bounds)
    images = victims.images(6, spatial=spatial, bounds=bounds, seed=4)
    with victim:
        return victim, images, victim.judge(images).argmax(1)


def stripes(radius):
    """A linear model that looks mainly at stripes of one pixel, which smoothing takes away, and a bit at brightness."""
    images = torch.full((4, 3, 16, 16), victims.LEVEL, dtype=torch.float64)
    sign = torch.ones_like(images[0])
    sign[..., ::2] = -1
    weights = 1e-4 * (sign + 0.8)
    return (
        Victim(victims.Linear(weights, 1e-4 * 0.8 * radius * images[0].numel()), (0, 255)),
        images,
        torch.zeros(len(images), dtype=torch.int64),
    )


class Spy:
    """A step rule that stays where it is and remembers what it was given."""

    def __init__(self, seen):
        self.seen = seen

    def init(self, images):
        return None

    def stride(self, state, step, steps):
        return 0.0

    def advance(self, images, gradient, value, state, space, step, steps):
        self.seen.append((gradient, value))
        return images, state


@pytest.mark.parametrize("weight", [0.5, 1.0, 3.0])
def test_it_climbs_the_weighted_mean_of_both_margins(weight):
    victim, images, labels = small()
    seen = []
    replace(steadfast(Linf(3.0), steps=1, weight=weight), step=Spy(seen))(victim, Classification(4), images, labels)
    leaf, task = images.clone().requires_grad_(), Classification(4)
    smoothed = parse("blur1", Scale(victim.bounds)).soft
    with victim:
        plain, smooth = (task.margin(victim.search(x), labels) for x in (leaf, smoothed(leaf)))
    expected = -(plain + weight * smooth) / (1 + weight)
    (slope,) = torch.autograd.grad(expected.sum(), leaf)
    gradient, value = seen[0]
    assert torch.allclose(value, expected.detach().to(value), atol=1e-5)
    assert torch.allclose(gradient, slope, rtol=1e-4, atol=1e-8)


def test_what_wins_wins_after_smoothing_too_where_bim_does_not():
    victim, images, labels = stripes(3.0)
    blur = parse("blur1", Scale(victim.bounds))
    ordinary = recipes.bim(Linf(4.0), steps=20, run_to_end=True)(victim, Classification(2), images, labels)
    lasting = steadfast(Linf(4.0))(victim, Classification(2), images, labels)

    def stands(found):
        with victim:
            return Classification(2).margin(victim.judge(blur(found)), labels) > 0

    assert ordinary.success.all() and stands(ordinary.images).all()
    assert lasting.success.all() and not stands(lasting.images).any()


def test_a_step_costs_two_forward_and_two_backward_passes():
    victim, images, labels = stripes(0.5)
    result = steadfast(Linf(4.0), steps=5)(victim, Classification(2), images, labels)
    # The clean image, two ways in five steps and at the last image.
    assert result.forwards.tolist() == [1 + 2 * 5 + 2] * len(images)
    assert result.backwards.tolist() == [2 * 5] * len(images)


def test_nothing_is_drawn():
    victim, images, labels = small()
    found = [
        steadfast(Linf(2.0))(victim, Classification(4), images, labels, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 2)
    ]
    assert torch.equal(found[0].images, found[1].images)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1024.0, 3071.0)])
def test_the_smoothing_is_made_for_the_bounds_of_the_model(bounds):
    victim, images, labels = small(bounds)
    radius = (bounds[1] - bounds[0]) / 100
    result = steadfast(Linf(radius), steps=3)(victim, Classification(4), images, labels)
    assert (result.distance > 0).any() and (result.distance <= radius * (1 + 1e-5)).all()
    assert result.images.min() >= bounds[0] and result.images.max() <= bounds[1]


def test_volumes_are_smoothed_along_all_three_axes():
    victim, images, labels = small(spatial=3)
    result = steadfast(Linf(8.0), steps=3)(victim, Classification(4), images, labels)
    assert result.images.shape == images.shape and (result.distance > 0).any()


def test_masks_are_climbed_by_soft_dice():
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    # Logits of usual size: larger ones are divided before they are climbed.
    network.weight.data /= 20
    victim = Victim(network, (0, 255))
    images = torch.rand(3, 1, 12, 12) * 255
    with victim:
        truth = (victim.judge(images) > 0).long()[:, 0]
    task = Segmentation(1)
    if not bool(task.eligible(truth).any()):
        pytest.fail("no image has a lesion")
    seen = []
    replace(steadfast(Linf(3.0), steps=1, weight=1.0), step=Spy(seen))(victim, task, images, truth)
    leaf = images.clone().requires_grad_()
    smoothed = parse("blur1", Scale(victim.bounds)).soft
    with victim:
        kept = sum(task.soft_score(victim.search(x), truth) for x in (leaf, smoothed(leaf))) / 2
    (slope,) = torch.autograd.grad(-kept.sum(), leaf)
    assert torch.allclose(seen[0][0], slope, rtol=1e-4, atol=1e-8)


def test_on_the_lattice_it_stays_on_the_lattice():
    victim, images, labels = stripes(2.0)
    limits = Limits(step=torch.ones(len(images), dtype=images.dtype))
    result = steadfast(Confined(4.0, lattice=True))(victim, Classification(2), images, labels, limits=limits)
    change = result.images - images
    assert result.success.all() and torch.equal(change, change.round())


def test_further_handlings_join_the_smoothing_and_count_once():
    attack = steadfast(Linf(1.0))
    scale = Scale((0.0, 255.0))
    joined = robust(attack, ("jpeg75",), scale)
    assert joined.robust_to == (Weighted("blur1", 2.0), parse("jpeg75", scale))
    assert robust(attack, ("blur1",), scale).robust_to == (parse("blur1", scale),)
    weights = [model.weight for model in transformed_models(Victim(torch.nn.Identity(), (0, 255)), joined.robust_to)]
    assert weights == [1.0, 2.0, 1.0]


def test_equal_weights_are_the_plain_mean_to_the_bit():
    victim, images, labels = small()
    scale = Scale(victim.bounds)
    plain = Ascent(Linf(2.0), 4, Margin(), step=Cosine(1.0), random_start=False, robust_to=(parse("blur1", scale),))
    weighted = steadfast(Linf(2.0), steps=4, weight=1.0, step=1.0)
    first, second = (attack(victim, Classification(4), images, labels) for attack in (plain, weighted))
    assert torch.equal(first.images, second.images)


def test_its_identity_says_sigma_and_weight():
    attacks = [steadfast(Linf(1.0)), steadfast(Linf(1.0), sigma=2.0), steadfast(Linf(1.0), weight=1.0)]
    assert len({digest(attack) for attack in attacks}) == 3
    assert all(decode(encode(attack)) == attack for attack in attacks)


@pytest.mark.parametrize(
    ("settings", "said"), [({"sigma": 0.0}, "width in pixels"), ({"weight": 0.0}, "weight"), ({"steps": 0}, "steps")]
)
def test_what_cannot_be_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        steadfast(Linf(1.0), **settings)
