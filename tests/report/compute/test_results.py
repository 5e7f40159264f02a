from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from palpate.errors import StorageError
from palpate.metrics.pairs import holm, sign_flip
from palpate.report.model.schema import Results, json_schema
from palpate.storage.runs import RunFolder
from tests.report.json_schema import SCHEMA, fits
from tests.report.known import measure
from tests.report.world import ATTACKS, DISEASE, EPS, FEW, PLAIN, make_run


def summarise(run: RunFolder) -> dict[str, Any]:
    return measure(run).model_dump(mode="json")


@pytest.fixture(scope="module")
def summary(results) -> dict[str, Any]:
    return results.model_dump(mode="json")


def attack(summary, name):
    return next(one for one in summary["attacks"] if one["name"] == name)


def column(run: RunFolder, name: str, eps: float) -> dict[str, np.ndarray]:
    frame = run.frame()
    mine = (frame["attack"] == name) & (frame["eps"] == eps)
    return {field: values[mine] for field, values in frame.items()}


def test_the_schema_in_the_docs_is_the_one_of_the_code():
    stored = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert stored == json.loads(json_schema()), "run: python -m palpate.report docs/reference/results.schema.json"


@pytest.mark.parametrize("kind", ["run", "empty", "hostile"])
def test_results_fit_the_schema_in_the_docs_and_are_strict_json(kind, request):
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    data = summarise(request.getfixturevalue(kind))
    assert fits(json.loads(json.dumps(data, allow_nan=False)), schema, schema) == []
    assert Results.model_validate(data).model_dump(mode="json") == data


def test_the_schema_check_sees_a_missing_and_a_wrong_field(summary):
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert fits({**summary, "seed": "7"}, schema, schema) == [".seed: '7' is no integer"]
    assert fits({key: summary[key] for key in summary if key != "clean"}, schema, schema) == [".clean: missing"]


@pytest.mark.parametrize("name", ["noise", "pgd", "smia"])
def test_robust_accuracy_and_success_are_those_of_the_records(run, summary, name):
    for point in attack(summary, name)["points"]:
        rows = column(run, name, point["eps"])
        right = rows["clean_prediction"] == rows["label"]
        assert point["robust_accuracy"]["value"] == pytest.approx((rows["prediction"] == rows["label"]).mean())
        assert point["robust_accuracy"]["total"] == 60
        assert point["success_rate"]["total"] == right.sum()
        assert point["success_rate"]["value"] == pytest.approx(rows["success"].sum() / right.sum())
        assert point["fraction"] == pytest.approx(point["eps"] / 255)


def test_the_worst_case_is_the_union_of_adversarial_images_within_eps(run, summary):
    frame = run.frame()
    worst = next(case for case in summary["worst_case"] if case["goal"] == "untargeted")
    for point in worst["points"]:
        beaten = frame["success"] & (frame["goal"] == "untargeted") & (frame["linf"] <= point["eps"] * 1.0001)
        rows = set(frame["row"][beaten])
        right = set(frame["row"][frame["label"] == frame["clean_prediction"]])
        assert point["figure"]["value"] == pytest.approx(len(right - rows) / 60)


def test_per_class_figures_add_up(summary):
    for point in attack(summary, "pgd")["points"]:
        assert sum(figure["count"] for figure in point["per_class"]) == point["robust_accuracy"]["count"]
        assert sum(figure["total"] for figure in point["per_class"]) == 60


def test_missed_disease_is_one_minus_sensitivity(summary):
    for name in ("pgd", "hide"):
        for point in attack(summary, name)["points"]:
            missed = point["directions"]["missed_disease"]
            assert missed["value"] == pytest.approx(1 - point["grading"]["sensitivity"]["value"])
            assert point["directions"]["invented_disease"]["value"] == pytest.approx(
                1 - point["grading"]["specificity"]["value"]
            )


def test_the_clinical_worst_case_covers_every_attack_in_budget(summary):
    for worst in summary["worst_directions"]:
        for one in summary["attacks"]:
            point = next(point for point in one["points"] if point["eps"] == worst["eps"])
            if not one["outside_budget"]:
                for name in ("missed_disease", "invented_disease"):
                    assert worst["directions"][name]["value"] >= point["directions"][name]["value"]


def test_costs_are_sums_of_the_records(run, summary):
    frame = run.frame()
    for one in summary["attacks"]:
        mine = frame["attack"] == one["name"]
        assert (one["forwards"], one["backwards"]) == (frame["forwards"][mine].sum(), frame["backwards"][mine].sum())


def test_an_attack_outside_its_budget_is_flagged_and_not_compared(summary):
    assert attack(summary, "smia-reference")["outside_budget"] > 0 and attack(summary, "pgd")["outside_budget"] == 0
    named = {name for pair in summary["comparisons"] for name in (pair["first"], pair["second"])}
    assert named == {"noise", "fgsm", "pgd", "smia", "apgd-margin"}


def test_comparisons_pair_eligible_images_at_a_telling_budget(run, summary):
    pair = next(one for one in summary["comparisons"] if {one["first"], one["second"]} == {"fgsm", "apgd-margin"})
    first, second = (column(run, pair[name], pair["eps"]) for name in ("first", "second"))
    assert pair["only_second"] == (second["success"] & ~first["success"]).sum()
    assert pair["both"] + pair["only_first"] + pair["only_second"] + pair["neither"] == first["eligible"].sum()
    assert pair["p_holm"] >= pair["p"] and pair["eps"] in EPS


def test_only_the_strongest_is_compared_and_holm_covers_just_these(summary):
    rows = [one for one in summary["comparisons"] if one["goal"] == "untargeted"]
    assert len(rows) == 4 and all("apgd-margin" in (one["first"], one["second"]) for one in rows)
    assert [one["p_holm"] for one in rows] == pytest.approx(holm([one["p"] for one in rows]))


def test_patients_are_kept_together_in_the_comparisons(tmp_path):
    grouped = make_run(tmp_path / "grouped", per_group=5, pictures=0, task=PLAIN)
    summary = summarise(grouped)
    for one in summary["comparisons"]:
        first, second = (column(grouped, one[name], one["eps"]) for name in ("first", "second"))
        gap = first["success"].astype(float) - second["success"]
        groups = np.unique(first["group"], return_inverse=True)[1]
        assert one["p"] == pytest.approx(sign_flip(gap, groups))


def test_a_class_without_images_is_null_and_says_so(tmp_path):
    data = summarise(make_run(tmp_path / "run", images=4, attacks=FEW, pictures=0, task=PLAIN))
    figure = data["clean"]["per_class"][4]
    assert (figure["value"], figure["total"]) == (None, 0)
    assert figure["note"] == "No image of class proliferative counts here."


def test_groups_make_wider_intervals_and_are_named(tmp_path):
    alone = summarise(make_run(tmp_path / "alone", attacks=FEW, pictures=0, task=PLAIN))
    grouped = summarise(make_run(tmp_path / "grouped", per_group=5, attacks=FEW, pictures=0, task=PLAIN))
    assert grouped["intervals"]["clustered"] and grouped["intervals"]["groups"] == 12
    assert grouped["clean"]["accuracy"]["value"] == alone["clean"]["accuracy"]["value"]
    assert (alone["clean"]["accuracy"]["method"], grouped["clean"]["accuracy"]["method"]) == (
        "Wilson", "Wilson, effective sample size",
    )  # fmt: skip


def test_a_task_without_disease_or_order_has_neither(tmp_path):
    data = summarise(make_run(tmp_path / "run", task=PLAIN, attacks=FEW, pictures=0))
    assert data["worst_directions"] == [] and data["clean"]["directions"] is None
    assert set(data["clean"]["grading"].values()) == {None}


def test_results_hold_no_image_name_and_no_group(run, summary):
    text = json.dumps(summary)
    assert "eye_0" not in text and "group" in text
    grouped = set(run.frame()["group"])
    assert not any(f'"{group}"' in text for group in grouped)


def test_an_attack_without_records_is_listed_with_nothing(tmp_path):
    data = summarise(
        make_run(
            tmp_path / "run", attacks=["pgd", "smia"], leave_out=["smia"], status="unfinished", pictures=0, task=PLAIN
        )
    )
    one = attack(data, "smia")
    assert (one["points"], one["kind"], one["images"]) == ([], None, 0)
    assert data["validity"]["grade"] == "C"


def test_records_of_another_run_are_refused(tmp_path):
    run = make_run(tmp_path / "run", attacks=FEW, pictures=0)
    stored = run.describe()
    run.save_description({**stored, "attacks": [one for one in stored["attacks"] if one["name"] != "pgd"]})
    with pytest.raises(StorageError, match="records of 'pgd'"):
        summarise(run)


def test_a_class_beyond_the_task_is_refused(tmp_path):
    run = make_run(tmp_path / "run", attacks=FEW, pictures=0)
    stored = run.describe()
    task = {**stored["task"], "classes": stored["task"]["classes"][:4], "disease": [2, 3]}
    data = {**stored["data"], "per_class": [12, 12, 12, 12]}
    run.save_description({**stored, "task": task, "data": data, "gallery": []})
    with pytest.raises(StorageError, match="a class outside 0 to 3"):
        summarise(run)


def test_the_made_up_world_is_what_the_tests_think(run):
    frame = run.frame()
    assert len(frame["row"]) == 60 * len(ATTACKS) * len(EPS)
    assert set(frame["label"]) == {0, 1, 2, 3, 4} and set(DISEASE) < set(frame["label"])
