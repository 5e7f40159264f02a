from __future__ import annotations

import numpy as np
import pytest

from palpate.errors import StorageError
from palpate.metrics.artefacts import arrange_artefacts, balanced, clean_errors, errors, median_severity
from palpate.storage.artefacts import FOUND, RANDOM
from tests.metrics.artefact_rows import NAN, artefact_row, frame_of, image_rows

HARD = {1.0: [0.9, 0.7], 2.0: [0.8, 0.5], 5.0: [0.5, 0.4, 0.3]}
EASY = {1.0: [0.9, 0.9], 2.0: [0.8, NAN], 5.0: [0.7, 0.7, 0.5]}


def outcome(*images):
    (one,) = arrange_artefacts(frame_of(row for rows in images for row in rows), [])
    return one


def test_the_random_artefacts_of_a_severity_are_a_mean_per_image():
    one = outcome(image_rows(3, random=HARD), image_rows(7, random=EASY))
    assert one.row.tolist() == [3, 7] and one.draws.tolist() == [2, 2, 0, 0, 3]
    np.testing.assert_allclose(one.score, [[0.8, 0.9], [0.65, 0.8], [NAN, NAN], [NAN, NAN], [0.4, 1.9 / 3]])
    # Acceptable is above the floor of 0.6; a score that is not defined is not acceptable.
    np.testing.assert_allclose(one.right, [[1, 1], [0.5, 0.5], [NAN, NAN], [NAN, NAN], [0, 2 / 3]])


def test_images_may_be_stored_in_any_order():
    one = outcome(image_rows(7, random=EASY, worst=0.65), image_rows(3, random=HARD, worst=0.1))
    assert one.row.tolist() == [3, 7] and one.found.score.tolist() == [0.1, 0.65]
    np.testing.assert_allclose(one.score[0], [0.8, 0.9])


def test_each_kind_is_read_from_its_own_rows():
    one = outcome(image_rows(0, clean=0.9, worst_of=0.5, worst=0.3, step="gradient"), image_rows(1, clean=0.4))
    assert one.clean.score.tolist() == [0.9, 0.4] and one.clean.right.tolist() == [True, False]
    assert one.worst_of.score.tolist() == [0.5, 0.5] and one.found.score.tolist() == [0.3, 0.3]
    assert one.found.step == ["gradient", "evolution"] and one.found.l2.tolist() == [12.0, 12.0]
    assert one.eligible.tolist() == [True, False] and one.found.theta[0] == [5.0, 0.5]


def test_the_first_failing_severity_is_zero_for_what_fails_without_an_artefact_and_infinite_for_what_never_does():
    one = outcome(image_rows(0, failing=2.5), image_rows(1, clean=0.4), image_rows(2, worst=0.8))
    assert one.failing.tolist() == [2.5, 0.0, np.inf]


def test_the_median_counts_eligible_images_only_and_those_that_never_fail():
    failing = np.array([2.0, 0.0, 3.0, np.inf, 1.0])
    eligible = np.array([True, False, True, True, True])
    # 1, 2, 3, never: two of four fail at 2.
    assert median_severity(failing, eligible) == 2.0
    assert median_severity(np.array([1.0, np.inf, np.inf]), np.ones(3, bool)) == np.inf
    assert median_severity(np.array([1.0, 4.0, np.inf]), np.ones(3, bool)) == 4.0
    assert np.isnan(median_severity(failing, np.zeros(5, bool)))


def test_the_errors_of_a_mask_on_paper():
    one = outcome(image_rows(0, clean=0.9, random=HARD), image_rows(1, clean=0.8, random=EASY))
    # Severities 1, 2 and 5 have draws, and each counts the same.
    np.testing.assert_allclose(errors(one, False), [1 - (0.8 + 0.65 + 0.4) / 3, 1 - (0.9 + 0.8 + 1.9 / 3) / 3])
    np.testing.assert_allclose(clean_errors(one, False), [0.1, 0.2])


def test_the_errors_of_a_classification_count_right_decisions():
    one = outcome(image_rows(0, random=HARD), image_rows(1, clean=0.5, random=EASY))
    np.testing.assert_allclose(errors(one, True), [1 - (1 + 0.5 + 0) / 3, 1 - (1 + 0.5 + 2 / 3) / 3])
    np.testing.assert_allclose(clean_errors(one, True), [0.0, 1.0])


def test_a_balanced_error_counts_each_class_the_same_and_leaves_out_what_is_undefined():
    values, label = np.array([0.2, 0.4, 0.6, 1.0, NAN]), np.array([0, 0, 0, 1, 1])
    weights = np.array([[1.0, 1, 1, 1, 1], [1, 0, 0, 2, 3], [1, 1, 0, 0, 5], [0, 0, 0, 0, 1]])
    # The classes' means are 0.4 and 1; 0.2 and 1; without the second class 0.3; nothing.
    np.testing.assert_allclose(balanced(values, label)(weights), [0.7, 0.6, 0.3, NAN])
    np.testing.assert_allclose(balanced(values, np.full(5, -1))(weights[:1]), [2.2 / 4])


def test_disease_is_missed_or_invented_by_class():
    def rows(row, label, *decided):
        made = image_rows(row, label=label, prediction=label)
        return [*made, *(artefact_row(row, RANDOM, 1.0, label=label, prediction=one) for one in decided)]

    frame = frame_of([*rows(0, 2, 0, 2), *rows(1, 0, 1, 2, 0, 0), *rows(2, 1, 0)])
    (one,) = arrange_artefacts(frame, [2])
    np.testing.assert_allclose(one.missed[0], [0.5, NAN, NAN])
    np.testing.assert_allclose(one.invented[0], [NAN, 0.25, 0.0])
    (without,) = arrange_artefacts(frame, [])
    assert np.isnan(without.missed).all() and np.isnan(without.invented).all()


def test_several_artefacts_keep_the_order_of_the_plan_and_their_own_images():
    rows = [*image_rows(0, item="bb", artefact="zoom"), *image_rows(0), *image_rows(1)]
    first, second = arrange_artefacts(frame_of(rows), [])
    assert (first.name, first.count) == ("zoom", 1) and (second.name, second.count) == ("metal", 2)


def test_images_of_one_patient_are_one_group():
    one = outcome(image_rows(0, group="a"), image_rows(1, group="b"), image_rows(2, group="a"))
    assert one.group.tolist() == [0, 1, 0]


def test_an_image_without_its_worst_artefact_is_damage():
    rows = [row for row in image_rows(4) if row.kind != FOUND]
    with pytest.raises(StorageError, match="image 4 has no row of kind 'found'"):
        arrange_artefacts(frame_of(rows), [])


def test_no_rows_are_no_artefacts():
    assert arrange_artefacts(frame_of([]), []) == []
