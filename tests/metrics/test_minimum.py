"""The smallest changes by hand, and what confirms a curve that was read from one search."""

import numpy as np
import pytest

from palpate.metrics.minimum import confirmations, is_minimum, median_change, smallest_change, withstood
from tests.metrics.handmade import curve, panel, record

EPS = (1.0, 2.0, 4.0)
SMALLEST = (0.5, 1.5, 3.0, np.inf)


def search(changes=SMALLEST, attack="fmn"):
    return [
        record(
            row,
            attack=attack,
            eps=eps,
            success=change <= eps,
            linf=change if change <= eps else 0.0,
            evidence="attacked" if eps == EPS[-1] else "minimum",
        )
        for eps in EPS
        for row, change in enumerate(changes)
    ]


def test_the_smallest_change_is_the_distance_of_the_image_not_the_budget():
    outcome = panel(search()).outcomes[0]
    assert smallest_change(outcome).tolist() == list(SMALLEST)
    assert median_change(smallest_change(outcome)) == 1.5
    assert is_minimum(outcome) and not is_minimum(panel(curve("pgd", [1.0])).outcomes[0])


def test_images_that_were_not_eligible_count_nowhere():
    records = search() + [record(4, attack="fmn", eps=eps, eligible=False, evidence="not attacked") for eps in EPS]
    changes = smallest_change(panel(records).outcomes[0])
    assert np.isnan(changes[4]) and median_change(changes) == 1.5


def test_the_area_under_the_curve_is_the_mean_share_of_budgets_that_is_withstood():
    changes = np.array(SMALLEST)
    grid = np.linspace(0, 4, 40_001)
    standing = [(changes > eps).mean() for eps in grid]
    area = np.trapezoid(standing, grid) / 4
    assert withstood(changes, 4.0).mean() == pytest.approx(area, abs=1e-4)
    assert withstood(changes, 4.0).tolist() == [0.125, 0.375, 0.75, 1.0]


def test_a_budget_is_confirmed_if_attacks_at_it_beat_none_of_those_that_stand():
    both = panel(search() + curve("pgd", [1.0, 2.0, 4.0, 9.0]))
    found = confirmations(both.outcomes[0], both.outcomes)
    assert [(one.eps, one.standing, one.checked, one.fell, one.by) for one in found] == [
        (1.0, 3, 3, 0, ("pgd",)),
        (2.0, 2, 2, 0, ("pgd",)),
        (4.0, 1, 1, 0, ("pgd",)),
    ]
    assert all(one.confirmed for one in found)


def test_an_attack_that_beats_more_at_a_budget_refutes_it():
    both = panel(search() + curve("pgd", [1.0, 1.0, 9.0, 9.0]))
    found = confirmations(both.outcomes[0], both.outcomes)
    assert [(one.fell, one.confirmed) for one in found] == [(1, False), (0, True), (0, True)]


def test_a_budget_at_which_no_other_attack_ran_is_not_checked():
    elsewhere = curve("pgd", [9.0] * 4, eps=(2.0,))
    skipped = curve("mi", [9.0] * 4, eps=(1.0,), evidence="held")
    other_search = search([9.0] * 4, "ddn")
    all_of_them = panel(search() + elsewhere + skipped + other_search)
    found = confirmations(all_of_them.outcomes[0], all_of_them.outcomes)
    assert [one.confirmed for one in found] == [None, True, None]
    assert [one.by for one in found] == [(), ("pgd",), ()]


def test_a_part_of_the_standing_images_confirms_nothing_alone():
    part = panel(search() + curve("pgd", [9.0, 9.0], eps=(2.0,)) + curve("mi", [9.0] * 3, eps=(2.0,)))
    found = confirmations(part.outcomes[0], part.outcomes)[1]
    assert (found.standing, found.checked, found.confirmed) == (2, 1, False)
