from __future__ import annotations

from palpate.report.compute.verdict import CHOSEN, make_verdict
from palpate.report.model.description import Description
from tests.report.known import measure
from tests.report.world import make_run


def again(run, results, **changes):
    """The verdict of the same figures under a changed description."""
    actual = Description.model_validate({**run.describe(), **changes})
    return make_verdict(actual, results.clean, results.worst_case, results.worst_directions)


def made(path, attacks):
    return measure(make_run(path / "run", attacks=attacks, pictures=0)).verdict


def test_the_smallest_budget_that_halves_accuracy_is_named(results):
    actual = results.verdict
    worst = next(case for case in results.worst_case if case.goal == "untargeted")
    limit = results.clean.accuracy.value / 2
    expected = next(point for point in worst.points if point.figure.value <= limit)
    assert actual.fell and actual.eps == expected.eps
    assert actual.sentence == (
        "Changes of at most 1 in each stored value (0.39% of the range 0 to 255) bring accuracy from 80.0% down to "
        "38.3%."
    )
    assert actual.details[0] == "This is the worst case over 6 attacks; 95% interval 27.1 to 51.0%."
    assert actual.details[1].startswith("At eps 1, 14 of 36 disease images can be made to look healthy (2 do without")
    assert actual.details[2] == CHOSEN and CHOSEN.startswith("The data chose this budget")


def test_the_only_budget_was_not_chosen_by_the_data(run, results):
    eps = results.verdict.eps
    worst = [
        case.model_copy(update={"points": [point for point in case.points if point.eps == eps]})
        for case in results.worst_case
    ]
    only = make_verdict(Description.model_validate(run.describe()), results.clean, worst, results.worst_directions)
    assert only.sentence == results.verdict.sentence and only.fell and CHOSEN not in only.details


def test_a_model_that_holds_is_not_called_robust(tmp_path):
    actual = made(tmp_path, ["noise"])
    assert actual.fell is False and actual.eps == 4.0
    assert "leave 70.0% of the images correct (80.0% without an attack); no larger budget was tried" in actual.sentence
    assert actual.details[0].startswith("This is the worst case over the one attack that ran")
    assert CHOSEN not in actual.details


def test_without_untargeted_attacks_no_figure_is_invented(tmp_path, empty):
    actual = made(tmp_path, ["hide"])
    assert actual.fell is None and actual.eps is None and "No figure can be given" in actual.sentence
    assert actual.details[0].startswith("At eps 4,")
    assert measure(empty).verdict.details == []


def test_gates_are_counted(run, results):
    passed = {"text": "x", "value": 1.0, "passed": True}
    assert results.verdict.gates == "1 of 2 gates failed: robust accuracy at eps 1 is at least 0.5."
    assert again(run, results, gates=[passed, passed]).gates == "All 2 gates passed."
    assert again(run, results, gates=[passed]).gates == "The gate passed."
    assert "sets no gates" in again(run, results, gates=[]).gates
    assert again(run, results, gates=[], status="unfinished").gates == "Gates are measured when the run is finished."


def test_other_norms_have_their_own_words(run, results):
    threat = {"norm": "l2", "eps": [1.0], "words": "Euclidean"}
    sentence = again(run, results, threat=threat).sentence
    assert sentence.startswith("A change of Euclidean length 1 in stored values brings")
