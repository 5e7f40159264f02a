from __future__ import annotations

import pytest

from palpate.metrics.validity.health import (
    attacks_ran,
    budgets_kept,
    clean_baseline,
    finite_outputs,
    gradients,
    sample_size,
    steady_model,
)
from tests.metrics.handmade import curve, panel, record

INF = float("inf")
EPS = (1.0, 2.0, 4.0)


def test_every_attack_ran():
    made = panel(curve("pgd", [1.0, INF]))
    assert attacks_ran({"pgd": EPS}, made).level == "pass"


def test_an_attack_that_never_ran_is_named():
    finding = attacks_ran({"pgd": EPS, "smia": EPS}, panel(curve("pgd", [1.0])))
    assert finding.level == "failure" and "'smia'" in finding.text and "'pgd'" not in finding.text


@pytest.mark.parametrize("missing", [{"row": 1}, {"eps": 4.0}])
def test_an_attack_with_holes_is_named(missing):
    ((field, value),) = missing.items()
    records = curve("fgsm", [1.0, 1.0]) + [one for one in curve("pgd", [1.0, 1.0]) if getattr(one, field) != value]
    finding = attacks_ran({"fgsm": EPS, "pgd": EPS}, panel(records))
    assert finding.level == "failure" and "'pgd'" in finding.text and "'fgsm'" not in finding.text


def test_no_record_at_all():
    made = panel([record(0)])
    empty = type(made)(made.images, ())
    assert attacks_ran({"pgd": EPS}, empty).level == "failure"
    assert "Run `palpate audit` again" in attacks_ran({"pgd": EPS}, empty).text
    unable = attacks_ran({"pgd": EPS, "fgsm": EPS}, empty, {"pgd", "fgsm"})
    assert unable.level == "failure" and "Could not run: 'pgd', 'fgsm'." in unable.text and "again" not in unable.text
    assert sample_size(empty, False).level == "failure"


def test_a_model_that_changes_its_mind_on_clean_images():
    steady = [record(row, attack=attack) for attack in ("a", "b") for row in range(3)]
    assert steady_model(panel(steady)).level == "pass"
    finding = steady_model(panel([*steady[:-1], record(2, attack="b", clean_prediction=1)]))
    assert finding.level == "failure" and finding.text.startswith("1 image got different decisions")


def test_a_model_no_better_than_the_commonest_class():
    good = [record(row, label=row % 2) for row in range(6)]
    assert clean_baseline(panel(good).images).level == "pass"
    lazy = [record(row, label=row % 2, clean_prediction=0) for row in range(6)]
    finding = clean_baseline(panel(lazy).images)
    assert finding.level == "warning" and "3 of 6" in finding.text and "50%" in finding.text


def test_one_class_alone_passes_nothing_and_no_right_image_fails():
    alone = clean_baseline(panel([record(row, label=1) for row in range(32)]).images)
    assert alone.level == "warning" and "correct on 32 of 32 images, which are all of one class" in alone.text
    none = clean_baseline(panel([record(row, label=1, clean_prediction=0) for row in range(32)]).images)
    assert none.level == "failure" and "correct on 0 of 32" in none.text
    mixed = [record(row, label=row % 2, clean_prediction=1 - row % 2) for row in range(6)]
    assert clean_baseline(panel(mixed).images).level == "failure"
    drawn = clean_baseline(panel([dense(row, clean_right=False) for row in range(6)]).images)
    assert drawn.level == "failure" and "acceptable on 0 of 6" in drawn.text


def test_zero_gradients_are_noted_and_blocked_ones_fail():
    fine = [record(row) for row in range(10)]
    assert gradients(panel(fine).outcomes).level == "pass"
    zero = [record(row, zero_gradient=row < 3) for row in range(10)]
    assert gradients(panel(zero).outcomes).level == "note" and "In 3 of 10" in gradients(panel(zero).outcomes).text
    blocked = [record(row, zero_gradient=True, blocked_gradient=row < 4) for row in range(10)]
    finding = gradients(panel(blocked).outcomes)
    assert finding.level == "failure" and "In 4 of 10" in finding.text and "'pgd'" in finding.text
    rare = [record(row, blocked_gradient=row < 1) for row in range(40)]
    assert gradients(panel(rare).outcomes).level == "warning"


def test_a_blocked_gradient_that_did_not_save_the_image_is_no_defect():
    beaten = [record(0, blocked_gradient=True, success=True), record(1)]
    assert gradients(panel(beaten).outcomes).level == "pass"


def test_outputs_that_are_not_finite():
    assert finite_outputs(panel([record(0)]).outcomes).level == "pass"
    rare = [record(row, non_finite=row < 1) for row in range(40)]
    assert finite_outputs(panel(rare).outcomes).level == "warning"
    often = [record(row, non_finite=row < 4) for row in range(40)]
    finding = finite_outputs(panel(often).outcomes)
    assert finding.level == "failure" and "In 4 of 40" in finding.text


def test_an_attack_that_leaves_its_budget_is_named_with_its_factor():
    assert budgets_kept(panel(curve("pgd", [1.0])).outcomes).level == "pass"
    finding = budgets_kept(panel(curve("loose", [1.0, INF], linf=3.0)).outcomes)
    assert finding.level == "note" and "'loose' (1 image, up to 3 times)" in finding.text


def test_sample_size_grades():
    assert sample_size(panel([record(row) for row in range(9)]), False).level == "failure"
    wide = sample_size(panel([record(row) for row in range(60)]), False)
    assert wide.level == "warning" and "60" in wide.text and "up to 12 points" in wide.text
    assert sample_size(panel([record(row) for row in range(400)]), False).level == "pass"


def test_few_groups_warn_only_where_groups_hold_several_images():
    records = [record(row, group=str(row % 5)) for row in range(400)]
    assert sample_size(panel(records), True).level == "warning"
    assert "5 groups" in sample_size(panel(records), True).text


def dense(row, **fields):
    return record(row, label=-1, clean_prediction=-1, prediction=-1, **fields)


def test_without_classes_the_share_of_acceptable_images_is_said():
    fine = clean_baseline(panel([dense(row, clean_right=row > 0) for row in range(4)]).images)
    assert fine.level == "pass" and "acceptable on 3 of 4" in fine.text and "class" not in fine.text
    assert clean_baseline(panel([dense(row, clean_right=row > 2) for row in range(4)]).images).level == "warning"


def test_scores_of_clean_images_that_change_from_attack_to_attack_are_seen():
    steady = [dense(row, attack=attack, clean_score=0.8) for attack in ("a", "b") for row in range(3)]
    assert steady_model(panel(steady)).level == "pass"
    rounding = dense(2, attack="b", clean_score=0.8 + 1e-4)
    assert steady_model(panel([*steady[:-1], rounding])).level == "pass"
    finding = steady_model(panel([*steady[:-1], dense(2, attack="b", clean_score=0.7)]))
    assert finding.level == "failure" and finding.text.startswith("1 image got different decisions")
    undefined = [dense(row, attack=attack, clean_score=float("nan")) for attack in ("a", "b") for row in range(3)]
    assert steady_model(panel(undefined)).level == "pass"
