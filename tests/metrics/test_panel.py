from __future__ import annotations

import numpy as np
import pytest

from palpate.errors import InputError
from palpate.metrics.panel import arrange
from tests.metrics.handmade import curve, frame, panel, record

INF = float("inf")


def test_records_land_in_their_cell_whatever_their_order():
    records = curve("pgd", [1.0, 4.0, INF])
    made = panel(list(reversed(records)))
    outcome = made.outcomes[0]
    assert outcome.eps.tolist() == [1.0, 2.0, 4.0]
    assert outcome.success.tolist() == [[True, False, False], [True, False, False], [True, True, False]]
    assert outcome.distance.tolist() == [[1.0] * 3, [2.0] * 3, [4.0] * 3]
    assert outcome.covered.all()


def test_a_hole_is_not_recorded_and_neutral():
    records = [one for one in curve("pgd", [1.0, 1.0]) if not (one.row == 1 and one.eps == 4.0)]
    outcome = panel(records).outcomes[0]
    assert not outcome.recorded[2, 1] and outcome.recorded.sum() == 5
    assert outcome.prediction[2, 1] == -1 and not outcome.success[2, 1] and np.isinf(outcome.distance[2, 1])
    assert outcome.covered.tolist() == [True, False]


def test_the_distance_is_the_one_of_the_norm():
    outcome = panel([record(0, norm="l2", linf=0.5, l2=3.0)]).outcomes[0]
    assert outcome.distance.tolist() == [[3.0]]


def test_groups_are_numbered_and_attacks_keep_their_order():
    records = [record(row, attack=attack, group=group) for attack in ("z", "a") for row, group in enumerate("ppq")]
    made = panel(records)
    assert made.images.groups == 2 and made.images.group[0] == made.images.group[1] != made.images.group[2]
    assert [outcome.attack for outcome in made.outcomes] == ["z", "a"]


def test_success_without_eligibility_does_not_count():
    assert not panel([record(0, eligible=False, success=True)]).outcomes[0].success.any()


def test_an_empty_frame_is_an_empty_panel():
    empty = {name: values[:0] for name, values in frame([record(0)]).items()}
    made = arrange(empty)
    assert made.images.count == 0 and made.outcomes == () and made.goals == ()


def test_two_records_for_one_cell_are_refused():
    with pytest.raises(InputError, match="two records for one image and budget"):
        panel([record(0), record(0)])


def test_two_goals_under_one_name_are_refused():
    with pytest.raises(InputError, match="records of 2 goals"):
        panel([record(0), record(1, goal="hide disease")])


def test_measures_scores_and_lists_land_in_their_cell():
    records = [
        record(
            row, label=-1, eps=eps, clean_prediction=-1, prediction=-1, clean_score=0.9 - row / 10, score=0.5 / eps,
            clean_measures=(0.9, 3.0), measures=(0.1 * row, eps), truth=(1.0,) * row, clean_found=(0.2,),
            found=(eps, float(row)),
        )
        for eps in (1.0, 2.0)
        for row in (0, 1)
        if (eps, row) != (2.0, 1)
    ]  # fmt: skip
    made = panel(records)
    (outcome,) = made.outcomes
    assert made.images.measures.tolist() == [[0.9, 3.0], [0.9, 3.0]] and made.images.score.tolist() == [0.9, 0.8]
    assert [values.tolist() for values in made.images.truth] == [[], [1.0]]
    assert outcome.measures.shape == (2, 2, 2) and outcome.measures[1, 0].tolist() == [0.0, 2.0]
    assert np.isnan(outcome.measures[1, 1]).all() and np.isnan(outcome.scores[1, 1]) and outcome.scores[1, 0] == 0.25
    assert outcome.found[0, 1].tolist() == [1.0, 1.0] and outcome.found[1, 1].tolist() == []
    assert outcome.clean_scores[0].tolist() == [0.9, 0.8]


def test_a_classification_has_no_measures():
    made = panel(curve("pgd", [1.0]))
    assert made.images.measures.shape == (1, 0) and made.outcomes[0].measures.shape == (3, 1, 0)


def test_records_with_different_measures_are_refused():
    with pytest.raises(InputError, match="different numbers of measures"):
        panel([record(0, clean_measures=(1.0,)), record(1, clean_measures=(1.0, 2.0))])


def attackable(*records):
    return panel(records).images.attackable.tolist()


def test_images_without_anything_annotated_cannot_be_attacked():
    plain = {"label": -1, "clean_prediction": -1, "prediction": -1}
    box = (0.0, 0.1, 0.1, 0.2, 0.2)
    boxes = [
        record(0, **plain, truth=box, clean_right=True),
        record(1, **plain, truth=(), clean_right=True, eligible=False),
        record(
            2, **plain, truth=(), clean_right=False, clean_score=0.0, clean_found=(0.0, 0.9, *box[1:]), eligible=False
        ),
        record(3, **plain, truth=box, clean_right=False, clean_score=0.0, eligible=False),
    ]
    assert attackable(*boxes) == [True, False, False, True]
    # Where no image has a box and nothing was found, the acceptable images could not be attacked.
    assert attackable(boxes[1]) == [False]
    assert attackable(record(0, **plain, truth=(), clean_right=True, eligible=False, goal="fabricate")) == [True]
    masks = [
        record(0, **plain, clean_right=True),
        record(1, **plain, clean_right=True, clean_score=float("nan"), eligible=False),
        record(2, **plain, clean_right=False, clean_score=0.3, eligible=False),
    ]
    assert attackable(*masks) == [True, False, True]
    findings = [
        record(0, **plain, truth=(1.0, -1.0), clean_found=(0.9, 0.1), clean_right=False, eligible=False),
        record(1, **plain, truth=(-1.0, -1.0), clean_found=(0.9, 0.1), clean_score=float("nan"), eligible=False),
    ]
    assert attackable(*findings) == [True, False]
    assert attackable(record(0), record(1, clean_prediction=1, eligible=False)) == [True, True]
