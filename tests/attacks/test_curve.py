"""Rising budgets: nothing beaten is attacked again, and nothing is weaker than an attack on its own."""

from itertools import pairwise

import pytest
import torch

from palpate.attacks import recipes
from palpate.attacks.budgets import at
from palpate.attacks.curve import curve
from palpate.checks import victims
from palpate.errors import InputError
from palpate.storage.records import ATTACKED, CARRIED, HELD, NOT_ATTACKED, TRANSFERRED
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Victim

EPS = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]


def world():
    victim = Victim(victims.small_net(), (0, 255))
    images = victims.images(24, seed=4)
    with victim:
        labels = victim.judge(images).argmax(1)
    labels[3] = (labels[3] + 1) % 4
    return victim, Classification(4), images, labels


def test_what_is_beaten_is_carried_at_no_cost():
    victim, task, images, labels = world()
    budgets = curve(recipes.pgd(Linf(1.0), steps=10), victim, task, images, labels, EPS, order="rising")
    assert [budget.eps for budget in budgets] == EPS
    for small, large in pairwise(budgets):
        beaten = small.result.success
        assert (large.result.success >= beaten).all()
        assert torch.equal(large.result.images[beaten], small.result.images[beaten])
        assert large.result.forwards[beaten].sum() == 0
        assert all(large.evidence[row] == CARRIED for row in beaten.nonzero().flatten().tolist())
    assert 0 < int(budgets[0].result.success.sum()) + 1 < int(budgets[-1].result.success.sum())
    assert all(budget.evidence[3] == NOT_ATTACKED for budget in budgets)


def test_every_budget_is_kept_and_is_no_weaker_than_an_attack_on_its_own():
    victim, task, images, labels = world()
    attack = recipes.bim(Linf(1.0), steps=10)
    for budget in curve(attack, victim, task, images, labels, EPS, order="rising"):
        alone = at(attack, budget.eps)(victim, task, images, labels)
        assert (budget.result.distance <= budget.eps * (1 + 1e-5) + 1e-4).all()
        assert (budget.result.success >= alone.success).all()


def test_passes_and_evidence_tell_what_was_done():
    victim, task, images, labels = world()
    before = victim.forwards, victim.backwards
    budgets = curve(recipes.pgd(Linf(1.0), steps=10), victim, task, images, labels, EPS, order="rising")
    spent = victim.forwards - before[0], victim.backwards - before[1]
    assert sum(int(b.result.forwards.sum()) for b in budgets) == spent[0]
    assert sum(int(b.result.backwards.sum()) for b in budgets) == spent[1]
    kinds = {kind for budget in budgets for kind in budget.evidence}
    assert kinds == {ATTACKED, CARRIED, TRANSFERRED, NOT_ATTACKED}
    for budget in budgets[1:]:
        for row, kind in enumerate(budget.evidence):
            if kind == TRANSFERRED:
                assert budget.result.success[row]
                assert budget.result.backwards[row] == 0


def test_order_and_repetition_of_the_radii_do_not_matter():
    victim, task, images, labels = world()
    attack = recipes.bim(Linf(1.0), steps=5)
    first = curve(attack, victim, task, images, labels, [0.4, 0.1, 0.4])
    second = curve(attack, victim, task, images, labels, [0.1, 0.4])
    assert [b.eps for b in first] == [b.eps for b in second] == [0.1, 0.4]
    assert torch.equal(first[1].result.images, second[1].result.images)


def test_bisection_attacks_each_sample_next_to_the_radius_that_beats_it():
    victim, task, images, labels = world()
    attack = recipes.bim(Linf(1.0), steps=10)
    budgets = curve(attack, victim, task, images, labels, EPS, order="bisect")
    for row in range(len(images)):
        kinds = [budget.evidence[row] for budget in budgets]
        won = [bool(budget.result.success[row]) for budget in budgets]
        assert won == sorted(won)
        if row == 3:
            assert set(kinds) == {NOT_ATTACKED}
            continue
        first = won.index(True) if True in won else len(EPS)
        assert all(kind in (CARRIED, ATTACKED, TRANSFERRED) for kind in kinds[first:])
        assert all(kind in (HELD, ATTACKED) for kind in kinds[:first])
        if first < len(EPS):
            assert kinds[first] in (ATTACKED, TRANSFERRED)
        if first:
            assert kinds[first - 1] == ATTACKED
    assert {kind for budget in budgets for kind in budget.evidence} >= {HELD, CARRIED, ATTACKED}


def test_bisection_keeps_budgets_counts_its_passes_and_costs_less():
    victim, task, images, labels = world()
    attack = recipes.pgd(Linf(1.0), steps=10)
    before = victim.forwards, victim.backwards
    budgets = curve(attack, victim, task, images, labels, EPS, order="bisect")
    spent = victim.forwards - before[0], victim.backwards - before[1]
    assert sum(int(b.result.forwards.sum()) for b in budgets) == spent[0]
    assert sum(int(b.result.backwards.sum()) for b in budgets) == spent[1]
    with victim:
        for budget in budgets:
            assert (budget.result.distance <= budget.eps * (1 + 1e-5) + 1e-4).all()
            margin = task.margin(victim.judge(budget.result.images), labels)
            assert torch.allclose(margin, budget.result.margin, atol=1e-4)
            assert torch.equal(budget.result.success, budget.result.eligible & (margin <= 0))
    rising = curve(attack, victim, task, images, labels, EPS, order="rising")
    assert spent[1] < 0.7 * sum(int(b.result.backwards.sum()) for b in rising)


def test_both_orders_agree_where_the_attack_is_exact():
    images = victims.level_images()
    weights = torch.full_like(images[0], 0.01)
    # Each image's own threshold, through its own mean.
    shifted = images + torch.tensor([0.0, 0.3, 0.9, 1.7, 2.6, -2.0]).reshape(-1, 1, 1, 1)
    victim = Victim(victims.Linear(weights, float(weights.sum()) * 0.15), (0, 255))
    labels = torch.zeros(len(images), dtype=torch.int64)
    attack = recipes.fgsm(Linf(1.0))
    for order in ("rising", "bisect"):
        budgets = curve(attack, victim, Classification(2), shifted, labels, EPS, order=order)
        assert [b.result.success.tolist() for b in budgets] == [
            [eps >= mean + 0.15 and mean > -1 for mean in (0.0, 0.3, 0.9, 1.7, 2.6, -2.0)] for eps in EPS
        ]


def test_an_unknown_order_is_refused():
    victim, task, images, labels = world()
    with pytest.raises(InputError, match="rising, bisect"):
        curve(recipes.fgsm(Linf(1.0)), victim, task, images, labels, EPS, order="falling")


def test_each_attacks_what_is_beaten_again_and_goes_on_falling():
    victim, task, images, labels = world()
    attack = recipes.bim(Linf(1.0), steps=5, run_to_end=True)
    budgets = curve(attack, victim, task, images, labels, EPS, order="each")
    eligible = budgets[0].result.eligible
    beaten = [int(budget.result.success.sum()) for budget in budgets]
    assert 0 < beaten[1] < beaten[-1]
    for small, large in pairwise(budgets):
        assert bool((large.result.margin <= small.result.margin).all())
        assert {large.evidence[row] for row in eligible.nonzero().flatten().tolist()} <= {ATTACKED, TRANSFERRED}
        assert bool((large.result.backwards[eligible] == 5).all())
        assert bool((large.result.distance <= large.eps * (1 + 1e-5)).all())
    # An image that is beaten early is driven further, which `rising` does not do.
    rising = curve(attack, victim, task, images, labels, EPS, order="rising")
    early = rising[1].result.success
    assert bool((budgets[-1].result.margin[early] < rising[-1].result.margin[early]).all())


def test_each_keeps_the_image_of_a_smaller_ball_where_the_larger_one_gave_a_worse():
    # Along this wave a full step of 3.6 comes up again from where one of 1.8 went down.
    images, task, eps = victims.level_images(), Classification(2), [1.8, 3.6]
    victim, labels = Victim(victims.Wave(1.7), (0, 255)), torch.zeros(6, dtype=torch.int64)
    attack = recipes.fgsm(Linf(1.0))
    small, large = (at(attack, radius)(victim, task, images, labels).margin for radius in eps)
    assert bool((large > small).all())
    first, second = curve(attack, victim, task, images, labels, eps, order="each")
    assert bool(first.result.success.all()) and bool(second.result.success.all())
    assert torch.equal(second.result.margin, first.result.margin)
    assert bool((second.result.backwards == 1).all())


def test_a_pilot_changes_what_bisection_costs_and_not_what_it_finds():
    victim, task, images, labels = world()
    attack, radii = recipes.bim(Linf(1.0), steps=10), [0.1 * k for k in range(1, 9)]

    def cost(budgets):
        return sum(int(b.result.backwards.sum()) for b in budgets)

    blind = curve(attack, victim, task, images, labels, radii, order="bisect", pilot=())
    # As many as fell at each radius and at none: all others begin where most of these fell.
    stood = len(radii) - torch.stack([b.result.success for b in blind]).sum(0)[blind[0].result.eligible]
    counts = torch.bincount(stood, minlength=len(radii) + 1).tolist()
    told = curve(attack, victim, task, images, labels, radii, order="bisect", pilot=counts)
    assert [b.result.success.tolist() for b in told] == [b.result.success.tolist() for b in blind]
    assert cost(told) < 0.9 * cost(blind)
    # By default the first eight images are the pilot of the other sixteen.
    usual = curve(attack, victim, task, images, labels, radii)
    assert [b.evidence[:8] for b in usual] == [b.evidence[:8] for b in blind]
    assert [b.result.success.tolist() for b in usual] == [b.result.success.tolist() for b in blind]
    assert [b.evidence for b in usual] != [b.evidence for b in blind]
