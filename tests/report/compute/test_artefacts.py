from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from palpate.errors import StorageError
from palpate.report.compute.artefacts.figures import measure_artefacts
from palpate.report.compute.artefacts.sentences import sentence, side_by_side
from palpate.report.model.description import read_description
from palpate.report.model.description_artefacts import ParameterDescription
from palpate.report.model.schema import Results
from tests.report.artefacts import ARTEFACTS, limit, make_graded, make_masks
from tests.report.json_schema import SCHEMA, fits
from tests.report.known import measure
from tests.report.world import Patients


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    return make_graded(tmp_path_factory.mktemp("graded") / "run")


@pytest.fixture(scope="module")
def grades(graded) -> Results:
    return measure(graded)


@pytest.fixture(scope="module")
def masks(tmp_path_factory) -> Results:
    return measure(make_masks(tmp_path_factory.mktemp("masks") / "run"))


def _right():
    patients = Patients.make(60, 1, False)
    return np.flatnonzero(patients.label == patients.clean)


def test_results_fit_the_schema(grades, masks):
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for made in (grades, masks):
        data = made.model_dump(mode="json")
        assert fits(json.loads(json.dumps(data, allow_nan=False)), schema, schema) == []
        assert Results.model_validate(data).model_dump(mode="json") == data


def test_the_figures_are_those_of_the_world(grades):
    right = _right()
    for item, strength in zip(grades.artefacts.items, ARTEFACTS.values(), strict=True):
        limits = np.array([limit(row, strength) for row in right])
        assert item.worst.eligible == right.size and item.worst.failed == (limits <= 3).sum()
        # The worst of k reaches 0.9 of the severity, so it makes fewer images fail than the worst found.
        assert item.worst_of.failed == (limits <= 2.7).sum()
        assert item.worst.acceptable.value == pytest.approx((limits > 3).sum() / 60)
        draws = np.array([[4 * reach < one for reach in (0.3, 0.5, 0.7)] for one in limits])
        assert item.points[3].acceptable.value == pytest.approx(draws.mean(axis=1).sum() / 60)
        assert item.first_failing.failed == (limits <= 5).sum()
        assert item.first_failing.median == pytest.approx(np.sort(limits)[(limits.size - 1) // 2])
        assert item.first_failing.reached == (limits <= item.first_failing.median).sum()
        assert item.first_failing.low <= item.first_failing.median <= (item.first_failing.high or 5)


def test_errors_are_means_over_severities_classes_and_artefacts(graded, grades):
    patients, frame = Patients.make(60, 1, False), graded.artefact_frame()
    for item in grades.artefacts.items:
        mine = (frame["item"] == item.item) & (frame["kind"] == "random")
        wrong = [~frame["right"][mine & (frame["label"] == label)] for label in range(5)]
        error = np.mean([one.mean() for one in wrong])
        clean = np.mean([(patients.clean != patients.label)[patients.label == label].mean() for label in range(5)])
        assert item.corruption_error.value == pytest.approx(error)
        assert item.added_error.value == pytest.approx(error - clean)
        assert item.relative_error is None
    summary = grades.artefacts
    assert summary.added_error.value == pytest.approx(np.mean([item.added_error.value for item in summary.items]))


def test_a_named_reference_divides_the_errors(tmp_path, grades):
    run = make_graded(tmp_path / "run")
    stored, metal = run.describe(), "metal-item"
    reference = {"title": "Older grader", "model": "old.py:build", "weights": "00", "errors": {metal: 0.5},
                 "clean": {metal: 0.1}}  # fmt: skip
    run.save_description({**stored, "artefacts": {**stored["artefacts"], "reference": reference}})
    made = measure(run).artefacts
    first, second = made.items
    assert made.reference == "Older grader: old.py:build" and second.relative_error is None
    assert first.relative_error == pytest.approx(first.corruption_error.value / 0.5) == made.relative_error
    assert first.relative_added_error == pytest.approx(first.added_error.value / 0.4) == made.relative_added_error


def test_an_artefact_that_is_not_finished_is_said_and_left_out_of_the_mean(tmp_path, grades):
    made = measure(make_graded(tmp_path / "run", leave_out=["patient motion"])).artefacts
    assert made.items[1].worst is None and made.items[1].images == 0
    assert made.added_error.value == made.items[0].added_error.value
    assert made.details[-1] == "1 of 2 artefacts is not finished: the figures of artefacts are provisional."
    assert made.sentence.startswith("“metal”, the worst found, at severity 3 (diameter 6 mm, rotation up to 3 degrees)")
    nothing = measure(make_graded(tmp_path / "none", leave_out=list(ARTEFACTS))).artefacts
    assert nothing.sentence == "No artefact has finished on any image." and nothing.side_by_side == ""
    assert nothing.added_error is None and nothing.details[-1].startswith("2 of 2 artefacts are not finished")


def test_the_sentence_names_the_hardest_artefact_with_the_measure_of_the_task(grades, masks):
    worst = grades.artefacts.items[0].worst
    assert grades.artefacts.sentence == (
        "Of 2 artefacts, “metal” is the hardest: the worst found at severity 3 (diameter 6 mm, rotation up to 3 "
        f"degrees) brings accuracy from 80.0% down to {100 * worst.acceptable.value:.1f}%, and {worst.failed} of "
        f"{worst.eligible} images fail."
    )
    assert " brings the mean Dice from 0." in masks.artefacts.sentence


def test_attack_and_artefact_stand_side_by_side(grades):
    beaten = next(one for one in grades.worst_case if one.goal == "untargeted").smallest_eps
    failing = grades.artefacts.items[0].first_failing
    assert grades.artefacts.side_by_side == (
        f"An adversary beats half of {beaten.eligible} images with changes of at most {beaten.median:g} in each stored "
        f"value ({100 * beaten.median / 255:.2g}% of the range 0 to 255). The artefact “metal” needs no adversary: its "
        f"worst form makes {failing.reached} of {failing.eligible} images fail at severity {failing.median:.2g} "
        f"(diameter {2 * failing.median:.3g} mm, rotation up to {failing.median:.3g} degrees) or below."
    )


def _side(graded, grades, *, data=None, threat=None, beaten=None, failing=None, sets=None, goal="untargeted"):
    description = read_description(graded)
    description = description.model_copy(update={
        "data": description.data.model_copy(update=data or {}),
        "threat": description.threat.model_copy(update=threat or {}),
    })  # fmt: skip
    worst = [
        one.model_copy(update={"smallest_eps": one.smallest_eps.model_copy(update=beaten or {}), "goal": goal})
        for one in grades.worst_case
        if one.goal == "untargeted"
    ]
    item = grades.artefacts.items[0]
    item = item.model_copy(update={"first_failing": item.first_failing.model_copy(update=failing or {})})
    return side_by_side(description, worst, [item], sets)


def test_a_budget_is_in_the_unit_of_the_images_or_in_stored_steps(graded, grades):
    assert "at most 2 HU in each value" in _side(graded, grades, data={"unit": "HU"}, beaten={"median": 2.0})
    assert "at most 1 stored step in each value" in _side(graded, grades, data={"step": 2.0}, beaten={"median": 2.0})
    assert "at most 4 stored steps" in _side(graded, grades, data={"step": 0.5}, beaten={"median": 2.0})
    said = _side(graded, grades, threat={"norm": "l2"}, beaten={"median": 2.0})
    assert "beats half of 48 images with changes of Euclidean length 2 in stored values." in said


def test_where_one_side_wins_less_than_half_the_sentence_does_not_say_too(graded, grades):
    few = {"median": None, "fallen": 0}
    said = _side(graded, grades, beaten=few)
    assert said.startswith("An adversary with changes of at most 4 in each stored value") and "beats none of" in said
    assert "The artefact “metal” needs no adversary: its worst form makes" in said
    never = {"median": None, "failed": 7, "eligible": 52, "reached": 0}
    said = _side(graded, grades, failing=never)
    assert said.endswith(". No artefact does the same: “metal” makes 7 of 52 images fail at severities up to 5.")
    said = _side(graded, grades, beaten=few, failing=never)
    assert said.endswith(". Of the artefacts, “metal” makes 7 of 52 images fail at severities up to 5.")


def test_without_an_untargeted_attack_nothing_is_compared(graded, grades):
    assert "No untargeted attack has finished" in _side(graded, grades, goal="hide disease")


def test_other_images_are_said(graded, grades):
    same = _side(graded, grades, sets=(frozenset({1, 2}), frozenset({1, 2})))
    other = _side(graded, grades, sets=(frozenset({1, 2, 3}), frozenset({1, 2})))
    assert "not the same images" not in same
    assert other == same + " Artefacts are counted on 2 images and attacks on 3, which are not the same images."


def test_where_nothing_fails_the_sentence_says_so(grades):
    def held(item):
        worst = item.worst.model_copy(update={"failed": 0, "acceptable": item.clean_acceptable})
        return item.model_copy(update={"worst": worst})

    items = [held(item) for item in grades.artefacts.items]
    assert sentence(grades.task, items).startswith("The 2 artefacts make no image fail of 48 that were correct before")
    assert "it changes accuracy from 80.0% to 80.0%." in sentence(grades.task, items[:1])
    nothing = [item.model_copy(update={"worst": item.worst.model_copy(update={"eligible": 0})}) for item in items]
    assert sentence(grades.task, nothing) == "No artefact could make an image fail: none was correct before."


def test_another_goal_and_one_image_have_their_own_words(grades):
    item = grades.artefacts.items[0]

    def said(goal="untargeted", **worst):
        other = item.model_copy(update={"goal": goal, "worst": item.worst.model_copy(update=worst)})
        return sentence(grades.task, [other])

    assert "the goal “hide disease” is reached on 4 of 9 images." in said("hide disease", failed=4, eligible=9)
    assert said(failed=1, eligible=9).endswith("and 1 of 9 images fails.")
    assert said(failed=9, eligible=9).endswith("and all 9 images fail.")


def test_rows_of_an_unknown_artefact_are_refused(graded, grades):
    description = read_description(graded)
    items = description.artefacts.items[:1]
    cut = description.model_copy(update={"artefacts": description.artefacts.model_copy(update={"items": items})})
    with pytest.raises(StorageError, match="rows of an artefact patient-"):
        measure_artefacts(graded, SimpleNamespace(description=cut), grades.worst_case)


def test_a_strength_between_two_severities_is_linear_and_both_ways_is_said():
    signed = ParameterDescription(
        name="rotation", unit="degrees", source="", low=-9, high=9, levels=[1, 2, 4, 6, 9], signed=True
    )
    assert signed.at(2.5) == "rotation up to 3 degrees" and signed.at(0.5) == "rotation up to 0.5 degrees"
    assert signed.at(5) == "rotation up to 9 degrees" and signed.range == "1, 2, 4, 6, 9 degrees, either way"
    radius = ParameterDescription(
        name="radius", unit="", source="", low=0.9, high=1, null=1.0, levels=[0.98, 0.96, 0.94, 0.92, 0.9]
    )
    assert radius.at(0.5) == "radius 0.99"
    place = ParameterDescription(name="place", unit="share of the width", source="", low=0, high=1)
    assert (
        place.at(3) == ""
        and place.range == "0% to 100% of the width"
        and place.words(0.25) == ("place 25% of the width")
    )


def test_a_damaged_description_is_an_error_and_no_crash(tmp_path):
    run = make_graded(tmp_path / "run")
    stored = run.describe()
    for changes in ({"ladder": {}}, {"ladder": {"severity": 9.0, "tries": 4}}):
        item = {**stored["artefacts"]["items"][0], **changes}
        run.save_description({**stored, "artefacts": {**stored["artefacts"], "items": [item]}})
        with pytest.raises(StorageError, match="ladder"):
            read_description(run)
    picture = {**stored["artefacts"]["pictures"][0], "prediction": 9}
    run.save_description({**stored, "artefacts": {**stored["artefacts"], "pictures": [picture]}})
    with pytest.raises(StorageError, match=r"artefacts\.pictures: row"):
        read_description(run)
