"""The worst case of each image over all attacks, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palpate.metrics.clinical import worst_directions
from palpate.metrics.detection import Matches
from palpate.metrics.grading import area_under_roc, quadratic_kappa
from palpate.metrics.worst import choose, disease_scores, furthest_grades, highest, lowest, merged, within, worst_grades
from palpate.storage.lists import Lists
from tests.metrics.handmade import panel, record

DISEASE = [1]
NAN = float("nan")


def value(statistic):
    """A statistic of all images, each once."""
    return lambda images: float(statistic(np.ones((1, images.count)))[0])


def scored(attack, after, *, eps=1.0, **fields):
    """One attack on two healthy images (clean scores .1 and .2) and two with disease (.8 and .9)."""
    return [
        record(
            row, label=int(row > 1), attack=attack, eps=eps, clean_disease_score=clean, disease_score=score,
            prediction=int(score > 0.5), **fields,
        )
        for row, (clean, score) in enumerate(zip((0.1, 0.2, 0.8, 0.9), after, strict=True))
    ]  # fmt: skip


def area(made, score):
    return value(area_under_roc(made.images.label == 1, score, np.ones(made.images.count, dtype=bool)))(made.images)


def test_the_area_takes_low_scores_of_disease_and_high_ones_of_healthy_images_over_all_attacks():
    # "hide" presses scores down, "invent" up: each keeps most pairs in order, and together none is left.
    made = panel(scored("hide", (0.1, 0.2, 0.3, 0.4)) + scored("invent", (0.6, 0.7, 0.8, 0.9)))
    assert [area(made, outcome.disease_score[0]) for outcome in made.outcomes] == [1.0, 1.0]
    score = disease_scores(made.images, made.outcomes, 1.0, DISEASE)
    assert score.tolist() == [0.6, 0.7, 0.3, 0.4] and area(made, score) == 0.0
    wrong = worst_directions(made.images, made.outcomes, 1.0, DISEASE)
    assert [(share.count, share.total) for share in wrong.values()] == [(2, 2), (2, 2)]


def test_an_image_counts_from_the_budget_that_it_fits_into():
    far = scored("loose", (0.9, 0.2, 0.8, 0.1), linf=3.0)
    made = panel(far + scored("loose", (0.1, 0.3, 0.7, 0.9), eps=2.0, linf=2.0))
    (loose,) = made.outcomes
    assert within(loose, 2.0).tolist() == [[False] * 4, [True] * 4]
    assert disease_scores(made.images, made.outcomes, 1.0, DISEASE).tolist() == [0.1, 0.2, 0.8, 0.9]
    assert disease_scores(made.images, made.outcomes, 2.0, DISEASE).tolist() == [0.1, 0.3, 0.7, 0.9]
    assert disease_scores(made.images, made.outcomes, 4.0, DISEASE).tolist() == [0.9, 0.3, 0.7, 0.1]


def test_an_attack_that_makes_an_image_better_does_not_count():
    made = panel(scored("kind", (0.0, 0.0, 1.0, 1.0)))
    assert disease_scores(made.images, made.outcomes, 1.0, DISEASE).tolist() == [0.1, 0.2, 0.8, 0.9]


def test_the_lowest_and_highest_value_of_each_image_and_measure():
    clean = np.array([[0.9, 5.0], [0.8, NAN], [0.7, 6.0]])
    first = np.array([[[0.5, 4.0], [0.6, 3.0], [0.9, 7.0]]])
    second = np.array([[[0.6, 9.0], [0.1, NAN], [0.2, NAN]], [[NAN, 2.0], [0.3, 8.0], [0.1, 1.0]]])
    fits = [np.array([[True, True, True]]), np.array([[True, False, True], [True, True, False]])]
    assert lowest(clean, [first, second], fits).tolist() == [[0.5, 2.0], [0.3, 3.0], [0.2, 6.0]]
    assert highest(clean, [first, second], fits).tolist() == [[0.9, 9.0], [0.8, 8.0], [0.9, 7.0]]
    assert np.array_equal(lowest(clean, [], []), clean, equal_nan=True)


def graded(attack, label, decided, *, eps=1.0, **fields):
    pairs = enumerate(zip(label, decided, strict=True))
    return [
        record(row, label=one, attack=attack, eps=eps, clean_prediction=one, prediction=grade, **fields)
        for row, (one, grade) in pairs
    ]


def test_the_furthest_grade_of_each_image_and_the_lower_of_two_that_are_equally_far():
    label = (2, 2, 2, 4)
    made = panel(
        graded("a", label, (1, 3, 4, 4)) + graded("b", label, (4, 1, 0, 3)) + graded("c", label, (0,) * 4, linf=9)
    )
    assert furthest_grades(made.images, made.outcomes, 1.0).tolist() == [4, 1, 0, 3]
    assert furthest_grades(made.images, made.outcomes, 9.0).tolist() == [0, 0, 0, 0]


def test_kappa_takes_the_grades_of_one_attack_where_those_of_the_furthest_images_agree_better():
    # Furthest 0, 0, 2, 2: errors 4 + 1 = 5, expected (3 x 8 + 1 x 4) / 4 = 7, so 1 - 5/7.
    # "a" alone 0, 0, 2, 1: errors 4, expected (3 x 5 + 1 x 3) / 4 = 4.5, so 1 - 8/9.
    label = (0, 0, 0, 1)
    made, everyone = panel(graded("a", label, (0, 0, 2, 1)) + graded("b", label, (0, 0, 0, 2))), np.ones(4, dtype=bool)

    def kappa(grades):
        return value(quadratic_kappa(made.images.label, grades, everyone, 3))(made.images)

    assert kappa(furthest_grades(made.images, made.outcomes, 1.0)) == pytest.approx(2 / 7)
    worst = worst_grades(made.images, made.outcomes, 1.0, everyone, 3)
    assert worst.tolist() == [0, 0, 2, 1] and kappa(worst) == pytest.approx(1 / 9)


def test_kappa_of_grades_without_any_spread_is_left_undefined():
    made = panel(graded("a", (1, 1), (1, 1)))
    assert worst_grades(made.images, made.outcomes, 1.0, np.ones(2, dtype=bool), 3).tolist() == [1, 1]


GRADES = st.lists(st.integers(0, 3), min_size=5, max_size=5)


@given(GRADES, GRADES, GRADES, st.lists(st.integers(0, 9), min_size=5, max_size=5))
@settings(max_examples=40, deadline=None)
def test_the_worst_case_is_never_better_than_one_attack_nor_than_a_smaller_budget(label, first, second, scores):
    label = [0, 2, *label[2:]]
    records = [
        record(row, label=one, attack=attack, eps=eps, prediction=grade, disease_score=score / 10, clean_prediction=one)
        for attack, grades, eps in (("a", first, 1.0), ("a", second, 2.0), ("b", second[::-1], 2.0))
        for row, (one, grade, score) in enumerate(
            zip(label, grades, scores[:: -1 if attack == "b" else 1], strict=True)
        )
    ]
    made, everyone = panel(records), np.ones(5, dtype=bool)
    ill = made.images.label > 1

    def figures(grades, score):
        statistics = (quadratic_kappa(made.images.label, grades, everyone, 4), area_under_roc(ill, score, everyone))
        return np.array([value(one)(made.images) for one in statistics])

    worst = [
        figures(
            worst_grades(made.images, made.outcomes, eps, everyone, 4),
            disease_scores(made.images, made.outcomes, eps, [2, 3]),
        )
        for eps in (1.0, 2.0)
    ]
    assert (worst[1] <= worst[0] + 1e-12).all()
    for outcome in made.outcomes:
        for budget, eps in enumerate(outcome.eps):
            alone = figures(outcome.prediction[budget], outcome.disease_score[budget])
            assert (worst[int(eps) - 1] <= alone + 1e-12).all()


def boxes(*rows):
    """One image after another: (x1, confidence) of boxes of class 0 that are 0.1 wide."""
    return Lists.of([
        np.array([(0.0, *([confidence] if confidence else []), x, 0.0, x + 0.1, 0.1) for x, confidence in shown])
        for shown in rows
    ])  # fmt: skip


def test_each_image_has_the_boxes_of_its_worst_state():
    truth, everyone = boxes([(0.1, 0), (0.5, 0)], [(0.3, 0)]), np.ones(2, dtype=bool)
    states = [
        Matches.of(truth, found, everyone, 1)
        for found in (
            boxes([(0.1, 0.9), (0.5, 0.8)], [(0.3, 0.7)]),
            boxes([(0.1, 0.9), (0.8, 0.6)], [(0.3, 0.9)]),
            boxes([(0.1, 0.4), (0.5, 0.3)], [(0.3, 0.6), (0.8, 0.95)]),
        )
    ]
    found = np.stack([one.found_of_images(0.5, 0.5) for one in states])
    wrong = np.stack([one.wrong_of_images(0.5, 0.5) for one in states])
    balance = np.stack([one.balance_of_images((0.5,)) for one in states])
    assert found.tolist() == [[2, 1], [1, 1], [0, 1]] and wrong.tolist() == [[0, 0], [1, 0], [0, 1]]
    assert balance == pytest.approx(np.array([[1.7, 0.7], [0.3, 0.9], [0.7, -0.35]]))
    fits = np.ones((3, 2), dtype=bool)
    assert choose(found, fits).tolist() == [2, 0] and choose(-wrong, fits).tolist() == [1, 2]
    assert choose(balance, fits).tolist() == [1, 2]
    fits[2, 0] = False
    assert choose(found, fits).tolist() == [1, 0]

    every = np.ones((1, 2))
    together = merged(states, choose(-wrong, np.ones((3, 2), dtype=bool)), everyone)
    assert together.confidence.tolist() == [0.95, 0.9, 0.6, 0.6] and together.boxes == 3
    assert together.recall(0.5)(every)[0] == pytest.approx(2 / 3)
    assert together.false_positives(0.5)(every)[0] == 1.0
    alone = merged(states, np.array([1, 2]), np.array([True, False]))
    assert alone.image.tolist() == [0, 0] and alone.boxes == 2 and alone.false_positives(0.5)(every)[0] == 1.0
