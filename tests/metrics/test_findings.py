from __future__ import annotations

from palpate.metrics.findings import HealthFinding, grade

PASS = HealthFinding("pass", "a", "fine")
NOTE = HealthFinding("note", "b", "good to know")
WARNING = HealthFinding("warning", "c", "look")
FAILURE = HealthFinding("failure", "d", "stop")


def test_the_grade_is_that_of_the_worst_finding():
    assert grade([PASS, NOTE]).letter == "A"
    assert grade([PASS, WARNING, NOTE]).letter == "B"
    assert grade([WARNING, FAILURE]).letter == "C"


def test_the_reason_names_the_checks_once():
    verdict = grade([WARNING, WARNING, PASS])
    assert verdict.reason.startswith("One check raised a warning: c.")
    assert "2 checks failed: d, e." in grade([FAILURE, HealthFinding("failure", "e", "too")]).reason


def test_an_unfinished_run_is_never_trusted():
    assert grade([PASS], finished=False).letter == "C"
    assert "unfinished" in grade([PASS], finished=False).reason
