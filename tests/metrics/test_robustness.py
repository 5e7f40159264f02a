from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palpate.metrics.robustness import (
    clean_accuracy,
    clean_attackable,
    median_eps,
    robust_accuracy,
    smallest_eps,
    success_rate,
    within_budget,
    worst_case,
    worst_success,
)
from tests.metrics.handmade import curve, panel, record

INF = float("inf")


def with_clean_errors():
    """Four images: one wrong before, one beaten at 1, one beaten at 4, one never."""
    wrong = [
        record(3, eps=eps, clean_prediction=1, prediction=1, eligible=False, evidence="not attacked", linf=0.0)
        for eps in (1.0, 2.0, 4.0)
    ]
    return panel(curve("pgd", [1.0, 4.0, INF]) + wrong)


def test_success_counts_eligible_images_and_robust_accuracy_all():
    made = with_clean_errors()
    outcome = made.outcomes[0]
    assert clean_accuracy(made.images).value == 0.75
    assert [success_rate(outcome, budget).value for budget in range(3)] == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert [robust_accuracy(made.images, outcome, budget).value for budget in range(3)] == [0.5, 0.5, 0.25]
    assert success_rate(outcome, 0).total == 3 and robust_accuracy(made.images, outcome, 0).total == 4


def test_an_image_without_anything_to_lose_is_in_no_robust_rate():
    """Two images with a box, of which one falls at 2, and two without one, which no attack can make worse."""
    shared = {"label": -1, "clean_prediction": -1, "clean_right": True}
    seen = curve("pgd", [2.0, INF], truth=(0.0, 0.1, 0.1, 0.2, 0.2), **shared)
    empty = [record(row, eps=eps, eligible=False, **shared) for eps in (1.0, 2.0, 4.0) for row in (2, 3)]
    made = panel(seen + empty)
    assert (clean_accuracy(made.images).total, clean_attackable(made.images).total) == (4, 2)
    for budget, (eps, count) in enumerate(((1.0, 2), (2.0, 1), (4.0, 1))):
        for share in (
            worst_case(made.images, made.outcomes, eps),
            robust_accuracy(made.images, made.outcomes[0], budget),
        ):
            assert (share.count, share.total) == (count, 2)


def test_a_class_without_images_is_nan():
    made = with_clean_errors()
    share = robust_accuracy(made.images, made.outcomes[0], 0).within(made.images.label == 2)
    assert share.total == 0 and np.isnan(share.value)


def test_smallest_eps_and_its_median():
    smallest = smallest_eps(with_clean_errors().outcomes[0])
    assert smallest[:3].tolist() == [1.0, 4.0, INF] and np.isnan(smallest[3])
    assert median_eps(smallest) == 4.0
    assert median_eps(np.array([1.0, INF, INF, np.nan])) == INF
    assert median_eps(np.array([1.0, 1.0, INF, INF])) == 1.0
    assert np.isnan(median_eps(np.array([np.nan])))


def test_the_worst_case_takes_the_stronger_attack_per_image():
    made = panel(curve("a", [1.0, INF, INF]) + curve("b", [INF, 2.0, INF]))
    assert [worst_case(made.images, made.outcomes, eps).count for eps in (1.0, 2.0, 4.0)] == [2, 1, 1]
    assert [worst_success(made.images, made.outcomes, eps).count for eps in (1.0, 2.0, 4.0)] == [1, 2, 2]


def test_an_image_outside_its_budget_counts_from_its_real_distance():
    reached = curve("loose", [1.0, INF], linf=3.0)
    made = panel(reached)
    assert [worst_case(made.images, made.outcomes, eps).count for eps in (1.0, 2.0, 4.0)] == [2, 2, 1]
    assert within_budget(made.outcomes[0]).tolist() == [[False, False], [False, False], [True, True]]


def test_rounding_does_not_leave_the_budget():
    made = panel(curve("pgd", [1.0], eps=(1.0,), linf=1.0 + 1e-5))
    assert within_budget(made.outcomes[0]).all() and worst_case(made.images, made.outcomes, 1.0).count == 0


def test_budgets_of_different_attacks_mix():
    made = panel(curve("a", [1.0, INF], eps=(1.0,)) + curve("b", [INF, 2.0], eps=(2.0,)))
    assert [worst_case(made.images, made.outcomes, eps).count for eps in (1.0, 2.0)] == [1, 0]


def test_an_unfinished_attack_counts_where_it_got_and_hides_nothing():
    made = panel(curve("a", [INF, INF, INF]) + [one for one in curve("b", [1.0, INF, 1.0]) if one.row < 2])
    share, success = (worst(made.images, made.outcomes, 4.0) for worst in (worst_case, worst_success))
    assert (share.count, share.total) == (2, 3) and (success.count, success.total) == (1, 3)


def test_an_image_that_no_attack_finished_is_not_counted():
    made = panel([one for one in curve("a", [1.0, INF]) if not (one.row == 1 and one.eps == 4.0)])
    assert worst_case(made.images, made.outcomes, 4.0).total == 1
    assert worst_success(made.images, made.outcomes, 4.0).total == 1


def test_no_attack_leaves_nothing_to_count():
    made = panel(curve("a", [INF]))
    assert worst_case(made.images, (), 1.0).total == 0


falls = st.lists(st.sampled_from([1.0, 2.0, 4.0, INF]), min_size=6, max_size=6)


@given(falls, falls, st.lists(st.booleans(), min_size=6, max_size=6))
@settings(max_examples=40, deadline=None)
def test_the_worst_case_is_below_every_attack_and_falls_with_eps(first, second, right):
    records = [
        record(
            row,
            attack=attack,
            eps=eps,
            eligible=ok,
            clean_prediction=int(not ok),
            success=ok and eps >= fall,
        )
        for attack, thresholds in (("a", first), ("b", second))
        for eps in (1.0, 2.0, 4.0)
        for row, (fall, ok) in enumerate(zip(thresholds, right, strict=True))
    ]
    made = panel(records)
    worst = [worst_case(made.images, made.outcomes, eps).value for eps in (1.0, 2.0, 4.0)]
    assert worst == sorted(worst, reverse=True) and worst[0] <= clean_accuracy(made.images).value
    for outcome in made.outcomes:
        for budget, value in enumerate(worst):
            assert value <= robust_accuracy(made.images, outcome, budget).value
            robust, success = robust_accuracy(made.images, outcome, budget), success_rate(outcome, budget)
            assert robust.count + success.count == clean_accuracy(made.images).count
