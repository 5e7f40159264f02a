"""Attacks that search the smallest change, against distances in closed form."""

from dataclasses import replace

import pytest
import torch

from palpate import catalog
from palpate.attacks.curve import curve
from palpate.attacks.minimum.norm import DDN, FMN, _falling, shrinkable
from palpate.checks import victims
from palpate.checks.attack_confined import images as whole_images
from palpate.checks.attack_confined import limits
from palpate.errors import InputError, PlanError
from palpate.storage.records import ATTACKED, MINIMUM, NOT_ATTACKED
from palpate.tasks.classification import Classification
from palpate.tensors import lengths
from palpate.threats.ball import BALLS, L2, Linf
from palpate.threats.confined import Confined
from palpate.victim import Tuning, Victim

TASK = Classification(2)
DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}
WIDE = {"linf": 60.0, "l2": 600.0, "l1": 4000.0}


def linear(offset=3.0):
    """Images of margins of `offset` and somewhat more under a linear model, and the weights."""
    clean = victims.level_images()
    generator = torch.Generator().manual_seed(2)
    weights = torch.randn(clean[0].shape, generator=generator, dtype=torch.float64) * 0.01
    clean = clean - (clean - victims.LEVEL) * 0.5
    return Victim(victims.Linear(weights, offset).double(), (0, 255)), clean, torch.zeros(6, dtype=torch.int64), weights


def margins(victim, images, labels):
    with victim:
        return TASK.margin(victim.judge(images), labels)


@pytest.mark.parametrize(("kind", "norm"), [(FMN, "linf"), (FMN, "l2"), (FMN, "l1"), (DDN, "l2")])
def test_the_smallest_change_of_a_linear_model_is_its_margin_over_the_dual_norm(kind, norm):
    victim, images, labels, weights = linear()
    found = kind(BALLS[norm](WIDE[norm]), 60)(victim, TASK, images, labels)
    exact = found.clean_margin / lengths(weights[None], DUAL[norm])
    assert bool(found.success.all())
    assert bool((found.radius >= exact).all())
    # L1 stops at the value where the box is reached, and takes the next steepest from there.
    assert bool((found.radius <= exact * 1.02).all())
    assert torch.allclose(found.radius, found.distance)
    assert torch.equal(found.margin, margins(victim, found.images, labels))


@pytest.mark.parametrize(("kind", "norm"), [(FMN, "linf"), (FMN, "l2"), (DDN, "l2")])
def test_an_image_that_needs_more_than_the_radius_is_not_beaten(kind, norm):
    victim, images, labels, weights = linear()
    exact = (margins(victim, images, labels) / lengths(weights[None], DUAL[norm])).tolist()
    radii = tuple(one * (0.99 if place % 2 else 1.05) for place, one in enumerate(exact))
    found = kind(BALLS[norm](radii), 60)(victim, TASK, images, labels)
    assert found.success.tolist() == [True, False] * 3
    assert found.radius.isinf().tolist() == [False, True] * 3
    assert bool((found.distance <= torch.tensor(radii, dtype=torch.float64) * (1 + 1e-9)).all())


def test_a_wide_radius_finds_the_same_change_as_a_tight_one():
    victim, images, labels, _ = linear()
    tight, wide = (FMN(Linf(eps), 60)(victim, TASK, images, labels).radius for eps in (3.0, 120.0))
    assert torch.allclose(tight, wide, rtol=0.01)


def test_on_the_lattice_the_smallest_change_is_the_next_whole_step_inside_the_region():
    victim, _, labels, weights = linear()
    images = whole_images()
    inside = limits(images)
    reach = (weights.mean(0).abs() * inside.region[0, 0]).sum() * 3
    shown = victims.level_images()
    threat = Confined(40.0, "linf", lattice=True, region="inside the rectangle", tied=True)
    found = FMN(threat, 60)(victim, TASK, shown, labels, limits=inside._replace(origin=None))
    exact = (found.clean_margin / reach / 1.25).ceil() * 1.25
    assert bool(found.success.all())
    assert torch.equal(found.radius, exact) and torch.equal(found.distance, exact)


def test_shares_of_channels_count_in_the_radius_not_in_the_distance():
    victim, images, labels, weights = linear()
    shares = (0.5, 0.25, 0.0)
    found = FMN(Confined(60.0, "linf", channels=shares), 80)(victim, TASK, images, labels)
    exact = found.clean_margin / (weights.abs().flatten(1).sum(1) * torch.tensor(shares)).sum()
    assert bool(found.success.all())
    assert bool((found.radius >= exact).all() and (found.radius <= exact * 1.02).all())
    assert torch.allclose(found.distance, found.radius * 0.5, rtol=0.02)


def test_a_smooth_change_is_allowed_at_the_radius_that_is_given():
    victim, images, labels, _ = linear(1.0)
    threat = Confined(60.0, "linf", smooth=1.0)
    found = FMN(threat, 80)(victim, TASK, images, labels)
    assert bool(found.success.all())
    assert bool((found.distance < found.radius).all())
    below = replace(threat, eps=tuple((found.radius * 0.9).tolist()))
    assert not bool(FMN(below, 80)(victim, TASK, images, labels).success.any())
    at = replace(threat, eps=tuple((found.radius * 1.001).tolist()))
    assert bool(FMN(at, 80)(victim, TASK, images, labels).success.all())


def test_a_start_that_wins_is_kept_until_a_smaller_change_does():
    victim, images, labels, weights = linear()
    ahead = images - 50 * weights.sign()
    found = FMN(Linf(60.0), 1)(victim, TASK, images, labels, start=ahead)
    assert found.first_success.tolist() == [0] * 6
    assert bool((found.radius <= 50 * (1 + 1e-9)).all())


def test_the_loss_that_saturates_is_left_for_the_margin():
    victim, images, labels, weights = linear()
    victim.module.scale = 1e4
    found = DDN(L2(600.0), 60)(victim, TASK, images, labels)
    exact = found.clean_margin / 1e4 / lengths(weights[None], "l2")
    # A loss of zero has no gradient, and a sample that follows it stays where it is.
    assert bool(found.zero_gradient.all()) and not bool(found.blocked_gradient.any())
    assert bool((found.radius <= exact * 1.02).all())


def test_a_coarse_search_never_hides_a_true_success():
    images = victims.images(24, seed=4)
    task = Classification(4)
    found = []
    for tuning in (Tuning(), Tuning("channels_last", fold=True, search="bfloat16")):
        victim = Victim(victims.small_net(), (0, 255), tuning=tuning)
        with victim:
            labels = victim.judge(images).argmax(1)
        before = victim.forwards
        found.append(FMN(Linf(6.0), 40)(victim, task, images, labels))
        assert victim.forwards - before == int(found[-1].forwards.sum())
        with victim:
            lost = task.margin(victim.judge(found[-1].images), labels) <= 0
        assert torch.equal(lost, found[-1].success)
    assert bool((found[1].success >= found[0].success).all())
    assert float(found[1].radius.median()) < 1.05 * float(found[0].radius.median())


def test_a_radius_counts_only_if_the_image_is_not_too_near_the_boundary():
    victim, images, labels, _ = linear()
    found = FMN(Linf(60.0), 60, change=0.001)(victim, TASK, images, labels)
    assert bool((found.margin <= -1e-4 * found.clean_margin).all())


def test_the_step_falls_from_its_first_to_its_last_length():
    assert _falling(2.0, 0.1, 0, 10) == pytest.approx(2.0)
    assert _falling(2.0, 0.1, 10, 10) == pytest.approx(0.2)
    assert _falling(2.0, 0.1, 5, 10) == pytest.approx(1.1)


def test_a_threat_whose_radius_cannot_shrink_is_refused_with_what_to_do():
    class Fixed:
        """A neighbourhood of another package."""

    with pytest.raises(InputError, match=r"Fixed has no at_radius, .* such as pgd"):
        shrinkable(Fixed())


@pytest.mark.parametrize(
    ("settings", "text"), [({"steps": 0}, "steps: 0"), ({"step": 0.0}, "step: 0"), ({"change": 1.0}, "change: 1")]
)
@pytest.mark.parametrize("name", ["fmn", "ddn"])
def test_settings_without_sense_are_refused(name, settings, text):
    with pytest.raises(InputError, match=text):
        catalog.make(name, L2(1.0), **settings)


def test_ddn_refuses_other_norms():
    with pytest.raises(PlanError, match="searches l2 balls, not linf"):
        catalog.make("ddn", Linf(1.0))


EPS = [0.2, 0.4, 0.8, 1.6, 3.2]


def net():
    victim = Victim(victims.small_net().double(), (0, 255))
    images = victims.images(24, seed=4).double()
    with victim:
        labels = victim.judge(images).argmax(1)
    labels[3] = (labels[3] + 1) % 4
    return victim, Classification(4), images, labels


def test_one_run_gives_the_whole_curve():
    victim, task, images, labels = net()
    before = victim.forwards, victim.backwards
    budgets = curve(FMN(Linf(1.0), 30), victim, task, images, labels, EPS, order="minimum")
    spent = victim.forwards - before[0], victim.backwards - before[1]
    alone = FMN(Linf(3.2), 30)(victim, task, images, labels)
    assert [budget.eps for budget in budgets] == EPS
    assert int(budgets[-1].result.forwards.sum()) == spent[0] and int(budgets[-1].result.backwards.sum()) == spent[1]
    for budget in budgets:
        result = budget.result
        assert torch.equal(result.success, alone.success & (alone.radius <= budget.eps))
        assert bool((result.distance <= budget.eps * (1 + 1e-6)).all())
        with victim:
            margin = task.margin(victim.judge(result.images), labels)
        assert torch.allclose(margin, result.margin)
        last = budget is budgets[-1]
        assert last or int(result.forwards.sum()) == int(result.backwards.sum()) == 0
        kinds = [NOT_ATTACKED if row == 3 else ATTACKED if last else MINIMUM for row in range(24)]
        assert list(budget.evidence) == kinds
        assert last or torch.equal(result.images[~result.success], images[~result.success])
    assert 0 < int(budgets[0].result.success.sum()) < int(budgets[-1].result.success.sum())


def test_a_radius_equal_to_a_budget_beats_it():
    victim, _, labels, weights = linear()
    shown = victims.level_images()
    threat = Confined(40.0, "linf", lattice=True)
    steps = limits(shown)._replace(origin=None, region=None)
    exact = (margins(victim, shown, labels) / weights.abs().sum() / 1.25).ceil() * 1.25
    eps = [*sorted({float(one) for one in exact}), 40.0]
    budgets = curve(FMN(threat, 40), victim, TASK, shown, labels, eps, order="minimum", limits=steps)
    for budget in budgets:
        assert budget.result.success.tolist() == (exact <= budget.eps).tolist()


def test_an_attack_that_searches_no_smallest_change_is_refused():
    victim, task, images, labels = net()
    with pytest.raises(InputError, match='"minimum" needs an attack that searches the smallest change'):
        curve(catalog.make("fgsm", Linf(1.0)), victim, task, images, labels, EPS, order="minimum")
