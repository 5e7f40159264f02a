"""How the parity table counts passes and compares image by image; the table is `python -m benchmarks.parity`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.parity.ablation import Outcomes, alone, in_turn, until_won
from benchmarks.parity.compare import OURS, PEER, Contender, Counted, cost_ratio, inside, measure, missed, rows
from benchmarks.parity.page import summary, tables
from torch import nn

from palpate import Classification, Linf, Victim, catalog

IMAGES = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).eval()


def run(make, side=PEER, model=None):
    model = model or network()
    anything = torch.ones(4, dtype=torch.bool)
    contender = Contender("one", side, make)
    return measure(contender, model, IMAGES, LABELS, lambda made: anything, lambda out: out.argmax(1) != LABELS)


def test_passes_are_counted_for_each_image_forwards_and_backwards():
    def attack(model, images, labels):
        with torch.no_grad():
            model(images[:2])
        images.requires_grad_()
        # The same tensor again: what an earlier pass registered must not be counted a second time.
        for _ in range(3):
            torch.autograd.grad(model(images).sum(), images)
        return images

    found = run(attack)
    assert (found["forwards"], found["backwards"]) == (3.5, 3.0)


def test_a_gradient_for_each_class_is_a_pass_backward_each():
    counted = Counted(network())
    shown = IMAGES.clone().requires_grad_()
    outputs = counted(shown)
    for index in range(3):
        torch.autograd.grad(outputs[:, index].sum(), shown, retain_graph=True)
    assert (counted.forwards, counted.backwards) == (4, 12)


@pytest.mark.parametrize("name", ["apgd-margin", "fmn"])
def test_what_palpate_says_it_spent_is_what_is_counted(name):
    counted = Counted(network()).eval()
    attack = catalog.make(name, Linf(0.02), steps=5)
    found = attack(Victim(counted, (0, 1)), Classification(3), IMAGES, counted(IMAGES).argmax(1))
    assert int(found.forwards.sum()) == counted.forwards - len(IMAGES)
    assert int(found.backwards.sum()) == counted.backwards > 0


def test_only_images_in_the_ball_and_the_box_count():
    moved = IMAGES.clone()
    moved[0, 0, 0, 0] += 0.11
    moved[1] = (moved[1] + 0.05).clamp(max=1)
    moved[2, 0, 0, 0] = 1.01
    assert inside(IMAGES, moved, "linf", 0.1).tolist() == [False, True, False, True]
    assert inside(IMAGES, moved, "l2", 0.2).tolist() == [True, False, False, True]
    assert inside(torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.3, 0.3]]]]), "l1", 0.5).tolist() == [False]


def test_a_peer_that_raises_is_entered_with_its_words():
    def broken(model, images, labels):
        raise IndexError("too few classes\nand more")

    assert run(broken) == {"side": PEER, "error": "IndexError: too few classes"}


def entry(side, beaten, passes=10.0):
    return {
        "side": side,
        "beaten": [bool(int(one)) for one in beaten],
        "forwards": passes,
        "backwards": passes,
        "seconds": 1.0,
    }


TABLE = {
    "one": entry(PEER, "11000"),
    "two": entry(PEER, "10100"),
    "official AutoAttack, standard": entry(PEER, "10000", 80.0),
    "broken": {"side": PEER, "error": "IndexError: no"},
    "strongest": entry(OURS, "10010", 20.0),
}


def test_images_are_compared_one_by_one():
    found = {row.name: (row.beaten, row.alone, row.missed) for row in rows(TABLE)}
    assert found == {
        "one": (2, 1, 1),
        "two": (2, 1, 1),
        "official AutoAttack, standard": (1, 0, 0),
        "strongest": (2, 1, 0),
    }
    assert missed(TABLE, PEER) == [1, 2] and missed(TABLE, OURS) == []
    assert cost_ratio(TABLE, "official AutoAttack, standard") == 0.25 and cost_ratio(TABLE, "broken") is None


def test_the_page_shows_what_is_missed_and_what_fails():
    one = {"victim": "shapes", "classes": 3, "norm": "linf", "eps": 4 / 255, "images": 5, "attacks": TABLE}
    (line,) = summary([one]).splitlines()[2:]
    assert line == "| shapes, 3 classes | L-inf | 4/255 | 5 | 3 | 2 | 2 | 1 | 40 | 160 | 25% |"
    page = tables([one])
    assert (
        "- broken gives nothing here: `IndexError: no`" in page
        and "| `strongest` | 2 | 1 | 0 | 20 | 20 | 1.0 |" in page
    )


def outcomes():
    def flags(text):
        return np.array([one == "1" for one in text])

    won = {
        "margin": flags("1000"),
        "class of rank 1": flags("1100"),
        "class of rank 2": flags("0110"),
        "cross-entropy": flags("1000"),
    }
    passes = {name: np.array([1, 2, 3, 4]) for name in won}
    malt = np.array([[0, 1], [1, 0], [1, 0], [0, 1]])
    return Outcomes("shapes", 3, "linf", won, passes, malt, tuple(won))


def test_stages_in_turn_see_what_is_left():
    assert in_turn(outcomes(), ("margin", "class of rank 2", "class of rank 1")) == {
        "margin": (4, 1, 10),
        "class of rank 2": (3, 2, 9),
        "class of rank 1": (1, 0, 4),
    }
    assert alone(outcomes(), "class of rank 2", outcomes().stages) == 1
    assert alone(outcomes(), "cross-entropy", outcomes().stages) == 0


def test_orders_of_classes_are_charged_until_one_wins():
    plain = np.array([[0, 1]] * 4)
    assert until_won(outcomes(), plain) == (2, 3, 8)
    assert until_won(outcomes(), outcomes().malt) == (2, 2, 5)
