from __future__ import annotations

from palpate.report.compute.verdict import make_verdict
from palpate.report.model.description import Description
from tests.report.known import measure
from tests.report.world import EPS, make_run


def again(run, results, **changes):
    """The verdict of the same figures under a changed description."""
    actual = Description.model_validate({**run.describe(), **changes})
    return make_verdict(actual, results.clean, results.worst_case, results.worst_directions)


def made(path, attacks):
    return measure(make_run(path / "run", attacks=attacks, pictures=0)).verdict


def test_the_sentence_is_about_the_middle_budget_whatever_the_result(results):
    actual = results.verdict
    assert actual.fell and actual.eps == sorted(EPS)[2] == 1.0
    assert actual.sentence == (
        "Changes of at most 1 in each stored value (0.39% of the range 0 to 255) bring accuracy from 80.0% down to "
        "38.3%."
    )
    assert actual.details == [
        "This is the worst case over 6 attacks; 95% interval 27.1 to 51.0%.",
        "At eps 1, 14 of 36 disease images can be made to look healthy and 8 of 24 healthy images diseased; 2 are "
        "misread in this way without an attack.",
        "At the largest budget, eps 4, accuracy is 6.7% (95% interval 2.6 to 15.9%); 32 of 36 disease images can be "
        "made to look healthy and 19 of 24 healthy images diseased.",
    ]
    assert actual.basis.endswith("the middle one, since the plan names none. The result did not choose it.")


def test_the_plan_s_main_budget_is_the_one_of_the_sentence(run, results):
    threat = run.describe()["threat"]
    named = again(run, results, threat={**threat, "main": 0.25})
    assert named.eps == 0.25 and named.fell is False and "at most 0.25" in named.sentence
    assert named.basis == "The plan names eps 0.25 as its main budget."
    assert named.details[-1].startswith("At the largest budget, eps 4, accuracy is")
    last = again(run, results, threat={**threat, "main": 4.0})
    assert last.eps == 4.0 and not any("largest" in text for text in last.details)
    between = again(run, results, threat={**threat, "eps": [0.25, 3.0, 4.0]})
    assert between.eps == 2.0 and between.basis == "The main budget, eps 3, has no result yet; eps 2 is shown."


def test_a_weak_attack_leaves_more_and_says_so(tmp_path):
    actual = made(tmp_path, ["noise"])
    assert actual.fell is False and actual.eps == 1.0 and actual.sentence.endswith("leave accuracy at 80.0%.")
    assert actual.details[0].startswith("This is the worst case over the one attack that ran")


def test_without_untargeted_attacks_no_figure_is_invented(tmp_path, empty):
    actual = made(tmp_path, ["hide"])
    assert actual.fell is None and actual.eps is None and "No figure can be given" in actual.sentence
    assert actual.details[0].startswith("At eps 4,")
    assert measure(empty).verdict.details == []


def test_gates_are_counted(run, results):
    passed = {"text": "x", "value": 1.0, "passed": True}
    assert results.verdict.gates == "1 of 2 gates failed: robust accuracy at eps 1."
    assert again(run, results, gates=[passed, passed]).gates == "All 2 gates passed: x; x."
    assert again(run, results, gates=[passed]).gates == "Gate on x: passed."
    assert "sets no gates" in again(run, results, gates=[]).gates
    assert again(run, results, gates=[], status="unfinished").gates == "Gates are measured when the run is finished."


def test_other_norms_have_their_own_words(run, results):
    threat = {"norm": "l2", "eps": [1.0], "words": "Euclidean"}
    sentence = again(run, results, threat=threat).sentence
    assert sentence.startswith("A change of Euclidean length 1 in stored values brings")
