"""Rising budgets: nothing beaten is attacked again, and nothing is weaker than an attack on its own."""

from itertools import pairwise

import torch

from palpate.attacks import recipes
from palpate.attacks.curve import at, curve
from palpate.checks import victims
from palpate.records import ATTACKED, CARRIED, NOT_ATTACKED, TRANSFERRED
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
    budgets = curve(recipes.pgd(Linf(1.0), steps=10), victim, task, images, labels, EPS)
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
    for budget in curve(attack, victim, task, images, labels, EPS):
        alone = at(attack, budget.eps)(victim, task, images, labels)
        assert (budget.result.distance <= budget.eps * (1 + 1e-5) + 1e-4).all()
        assert (budget.result.success >= alone.success).all()


def test_passes_and_evidence_tell_what_was_done():
    victim, task, images, labels = world()
    before = victim.forwards, victim.backwards
    budgets = curve(recipes.pgd(Linf(1.0), steps=10), victim, task, images, labels, EPS)
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
