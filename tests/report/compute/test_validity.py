from __future__ import annotations

from palpate.report.compute.reading import read
from palpate.report.compute.validity import judge
from tests.report.world import make_run


def test_every_check_reports_and_the_audit_adds_its_own(results):
    checks = results.validity.checks
    subjects = [check.subject for check in checks]
    assert len(subjects) == len(set(subjects)) == 14
    assert subjects[-1] == "Batch norm" and checks[-1].level == "note"


def test_the_believable_run_warns_of_its_size_only(results):
    validity = results.validity
    assert validity.grade == "B"
    assert {check.subject for check in validity.checks if check.level == "warning"} == {
        "Sample size", "Large budgets win",
    }  # fmt: skip
    assert not any(check.level == "failure" for check in validity.checks)


def test_what_the_audit_noticed_counts(tmp_path):
    noticed = [{"level": "failure", "subject": "Outputs", "text": "The model returns probabilities."}]
    validity = judge(read(make_run(tmp_path / "run", findings=noticed, pictures=0)))
    assert validity.grade == "C" and "One check failed: Outputs." in validity.reason


def test_a_missing_attack_and_an_unfinished_run_cannot_be_relied_on(tmp_path):
    missing = judge(read(make_run(tmp_path / "a", attacks=["pgd", "smia"], leave_out=["smia"], pictures=0)))
    assert missing.grade == "C" and "attacks or images are missing" in missing.reason
    assert {check.subject: check.level for check in missing.checks}["All attacks ran"] == "failure"
    unfinished = judge(read(make_run(tmp_path / "b", attacks=["pgd"], status="unfinished", pictures=0)))
    assert unfinished.grade == "C" and "unfinished" in unfinished.reason


def test_only_single_steps_cannot_be_relied_on(tmp_path):
    checks = judge(read(make_run(tmp_path / "run", attacks=["noise", "fgsm"], pictures=0))).checks
    assert {check.subject: check.level for check in checks}["A strong attack ran"] == "failure"
