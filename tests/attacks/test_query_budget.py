"""A budget of queries: never more than it, over all budgets of an attack, and the best image until then is kept."""

from __future__ import annotations

import itertools

import pytest
import torch

from palpate.attacks.cascade.stages import Cascade, Stage
from palpate.attacks.curve import curve
from palpate.attacks.noise import RandomNoise
from palpate.attacks.recipes import fgsm
from palpate.attacks.square import Square
from palpate.checks import victims
from palpate.contracts import Limits
from palpate.storage.records import ATTACKED, CARRIED, NOT_ATTACKED, SPENT
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.ball import L2, Linf
from palpate.victim import Victim

BOUNDS = (0.0, 255.0)
MAKE = {
    "noise": lambda threat: RandomNoise(threat, tries=30),
    "square": lambda threat: Square(threat, queries=30),
    "stages": lambda threat: Cascade(
        threat, (Stage("climb", fgsm(threat)), Stage("square", Square(threat, queries=30), gradient=False))
    ),
    "square to its end": lambda threat: Square(threat, queries=30, run_to_end=True),
}


def victim_and_images(count: int = 6):
    victim, images = Victim(victims.small_net().double(), BOUNDS), victims.images(count).double()
    with victim:
        labels = victim.judge(images).argmax(1)
    labels[0] = (labels[0] + 1) % 4
    return victim, images, labels


def budgeted(*queries: int) -> Limits:
    return Limits(queries=torch.tensor(queries))


@pytest.mark.parametrize("name", MAKE)
def test_each_image_has_its_own_budget_and_never_more(name):
    victim, images, labels = victim_and_images()
    before, given = victim.forwards, (9, 2, 9, 14, 20, 300)
    attack = MAKE[name](Linf(0.01))
    found = attack(victim, Classification(4), images, labels, generator=Streams(range(6)), limits=budgeted(*given))
    # The first image is wrong before the attack, and the last one has more than the attack needs.
    assert found.forwards.tolist() == [1, *given[1:-1], 31]
    assert int(found.forwards.sum()) == victim.forwards - before
    for row in (1, 4):
        alone = attack(
            victim,
            Classification(4),
            images[[row]],
            labels[[row]],
            generator=Streams([row]),
            limits=budgeted(given[row]),
        )
        assert torch.equal(alone.images[0], found.images[row])


def test_what_was_best_when_the_queries_ended_is_kept():
    victim, images, labels = victim_and_images()
    task, attack = Classification(4), Square(L2(3.0), queries=30)
    found = attack(victim, task, images, labels, generator=Streams(range(6)), limits=budgeted(*[12] * 6))
    whole = attack(victim, task, images, labels, generator=Streams(range(6)))
    assert (found.margin[1:] < found.clean_margin[1:]).all()
    assert (whole.margin <= found.margin).all() and (whole.margin < found.margin).any()
    early = (whole.first_success >= 0) & (whole.first_success <= 11)
    assert torch.equal(found.success, early)


@pytest.mark.parametrize("order", ["rising", "each", "bisect"])
@pytest.mark.parametrize("queries", [2, 25, 33, 70])
def test_the_budgets_of_the_threat_share_it(order, queries):
    victim, images, labels = victim_and_images()
    before, eps = victim.forwards, (0.01, 0.02, 0.03, 60.0)
    budgets = curve(
        Square(Linf(1.0), queries=30),
        victim,
        Classification(4),
        images,
        labels,
        eps,
        order=order,
        generator=Streams(range(6)),
        limits=budgeted(*[queries] * 6),
    )
    spent = torch.stack([budget.result.forwards for budget in budgets]).sum(0)
    assert (spent <= queries).all() and int(spent.sum()) == victim.forwards - before
    assert spent[0] == 1 and budgets[0].evidence[0] == NOT_ATTACKED
    for smaller, larger in itertools.pairwise(budgets):
        skipped = torch.tensor([kind == SPENT for kind in larger.evidence])
        assert not larger.result.success[skipped].any() and not larger.result.forwards[skipped].any()
        if order != "bisect":
            assert torch.equal(larger.result.images[skipped], smaller.result.images[skipped])
    if queries == 2:
        alone = torch.tensor([queries, 1, queries, queries, queries, queries])
        (first, *_) = curve(
            Square(Linf(1.0), queries=30),
            victim,
            Classification(4),
            images,
            labels,
            eps,
            order=order,
            generator=Streams(range(6)),
            limits=Limits(queries=alone),
        )
        assert first.evidence[1] == SPENT and first.evidence[2] != SPENT and not first.result.success[1]
    kinds = {kind for budget in budgets for kind in budget.evidence[1:]}
    assert (SPENT in kinds) == (queries < 70 or order != "bisect")
    assert ATTACKED in kinds and kinds <= {ATTACKED, CARRIED, SPENT, "transferred", "held"}
