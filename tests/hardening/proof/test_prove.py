import json

import pytest

from palpate.audit.plan.tasks import task_of
from palpate.audit.subject.subject import load_subject
from palpate.cli import main
from palpate.hardening.proof import checks, plans, prove
from palpate.hardening.proof.checks import Measured, Measurement, measured, rows_of
from palpate.report.compute.hardening import given
from tests.hardening import tiny


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Attacks of few steps: here it matters what is done with their results."""
    monkeypatch.setattr(checks, "STEPS", {"full": 2, "short": 2})
    monkeypatch.setattr(plans, "QUERIES", 3)


ROBUST = "robust accuracy"
LIMITED = tiny.PLAN.replace('where = {split = "test"}', 'where = {split = "test"}\nlimit = 6')
# Without a disease the reports are shorter.
LIMITED = LIMITED.replace('disease = ["ill"]\n', "")


def test_measurements_have_the_names_that_the_verdict_reads(tmp_path):
    plan = tiny.write(tmp_path, plan=LIMITED)
    subject = load_subject(plan)
    model = Measured(subject, rows_of(subject)[:3], task_of(plan.task, "untargeted"), 3, 0)
    found = measured(model, model, plan.threat, 8.0)
    assert {one.name for one in found} == {
        *(given.ONE_START, given.MANY_STARTS, given.OLD_IMAGES, given.OTHER_NORM),
    }
    by_name = {one.name: one for one in found}
    assert all(len(one.after) == 3 for one in found)
    assert by_name[given.OLD_IMAGES].before is None
    assert by_name[given.MANY_STARTS].before == by_name[given.MANY_STARTS].after
    assert sum(by_name[given.MANY_STARTS].after) <= sum(by_name[given.ONE_START].after)


def test_a_share_counts_images_that_withstood():
    stored = Measurement("white box", None, (True, False, False, True)).stored
    assert stored == {"name": "white box", "before": None, "after": 0.5, "images": 4}


def test_the_command_proves_and_compares_and_continues(tmp_path, monkeypatch, capsys):
    tiny.write(tmp_path, tiny.HARDEN.replace("epochs = 2", "rate = 1e-2\nepochs = 3"), plan=LIMITED)
    folder = tmp_path / "hardened" / "plan"
    call = ["harden", str(tmp_path / "plan.toml"), "--proof", "short", "--quiet"]
    with pytest.raises(SystemExit) as ended:
        main(call)
    assert ended.value.code == 0
    assert str(folder / "compare.html") in capsys.readouterr().out
    for name in ("before/report.html", "after/report.html", "after/harden.json", "compare.html", "compare.json"):
        assert (folder / name).is_file(), name
    stored = json.loads((folder / "after" / "checks.json").read_text())
    assert stored["eps"] == 8.0
    assert stored["lose_at_most"] == 0.02
    pair = json.loads((folder / "compare.json").read_text())["pairs"][0]
    verdict, written = pair["hardening"], {one["name"]: one for one in stored["measurements"]}
    assert {given.WHITE_BOX, given.NO_GRADIENTS, given.FAR, given.OLD_IMAGES} <= {*written}
    # The six images are few enough for all measurements, so the records of the audits give the same shares.
    (far,) = (one for one in pair["changes"] if (one["figure"], one["eps"], one["section"]) == (ROBUST, 32.0, "result"))
    assert (written[given.FAR]["before"], written[given.FAR]["after"]) == (
        far["first"]["value"],
        far["second"]["value"],
    )
    states = {check["name"]: check["state"] for check in verdict["checks"]}
    assert {name for name, state in states.items() if state == "not measured"} <= {"other families"}
    assert {*states} >= {"gain", "clean floor", "restarts", "search without gradients", "four times the budget"}

    monkeypatch.setattr(prove, "measured", lambda *_: pytest.fail("measured twice"))
    record = (folder / "harden.json").read_bytes()
    with pytest.raises(SystemExit) as ended:
        main(call[:-1])
    assert ended.value.code == 0
    seen = capsys.readouterr()
    assert "Already finished: 3 epochs" in seen.err and "epoch 1 " not in seen.err and "Checks that" not in seen.err
    assert [f"audit {which} training is stored already" in seen.err for which in ("before", "after")] == [True, True]
    assert "Under any attack at eps 8" in seen.out and (folder / "harden.json").read_bytes() == record
    assert json.loads((folder / "after" / "checks.json").read_text()) == stored


def test_a_training_that_gains_nothing_is_not_audited(tmp_path, capsys):
    tiny.write(tmp_path, tiny.HARDEN.replace("[harden]", "[harden]\nrate = 1e-12"), plan=LIMITED)
    with pytest.raises(SystemExit) as ended:
        main(["harden", str(tmp_path / "plan.toml"), "--quiet"])
    assert ended.value.code == 1
    assert "nothing to prove" in capsys.readouterr().err
    assert not (tmp_path / "hardened" / "plan" / "before").exists()
    assert not (tmp_path / "plan-hardened.toml").exists(), "unchanged weights need no plan"
