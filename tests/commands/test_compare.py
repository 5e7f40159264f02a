"""`palpate compare` from audits to exit status."""

import json
import os
from pathlib import Path

import pytest

from palpate import cli
from palpate.audit.run.runner import audit
from palpate.storage.runs import RunFolder
from tests.audit.tiny import retrain, write
from tests.report.pair import make_pair
from tests.report.world import PLAIN


@pytest.fixture
def call(capsys, monkeypatch):
    """Run the command line in this process: exit status, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("pair"), images=30, attacks=("fgsm", "pgd"), task=PLAIN)


def test_two_audits_of_one_plan_with_other_weights_are_compared(call, tmp_path):
    plan = write(tmp_path / "tiny")
    audit(plan, tmp_path / "old")
    retrain(tmp_path / "tiny")
    audit(write_again(tmp_path / "tiny"), tmp_path / "new")
    status, out, err = call(
        "compare", tmp_path / "old", tmp_path / "new", "--gate", "clean accuracy: at most 100 points worse"
    )
    assert status == 0, err
    assert "A  old: Tiny" in out and "robust accuracy" in out and "passed  clean accuracy" in out
    page = tmp_path / "compare-old-new" / "compare.html"
    assert str(page) in out and "<!doctype html>" in page.read_text()
    stored = json.loads((page.parent / "compare.json").read_text())
    assert stored["images"] == 12 and stored["attacks"] == ["pgd", "hiding", "noise"]
    clean = [RunFolder(tmp_path / name).frame()["clean_right"] for name in ("old", "new")]
    change = stored["pairs"][0]["changes"][0]
    assert change["difference"]["value"] == pytest.approx(clean[1].mean() - clean[0].mean())


def write_again(folder: Path):
    from palpate.audit.plan.plan import load_plan

    return load_plan(folder / "plan.toml")


def test_the_exit_status_is_that_of_the_gates(call, pair, tmp_path):
    gates = tmp_path / "gates.toml"
    gates.write_text('[[gates]]\ngate = "robust accuracy at eps 1: at least 90 points better"\n')
    status, out, err = call("compare", *pair, "--gates", gates, "--quiet", "--out", tmp_path / "out")
    assert status == 1 and out.strip() == str(tmp_path / "out" / "compare.html")
    assert err.startswith("Gate failed: robust accuracy at eps 1")
    assert call("compare", *pair, "-q", "--gate", "robust accuracy at eps 1: not worse")[0] == 0
    by_interval = ("--gate", "clean accuracy: not worse", "--gates-by", "interval")
    assert call("compare", *pair, "-q", *by_interval)[0] == 1


def test_what_cannot_be_compared_is_one_sentence_and_status_2(call, pair, tmp_path):
    for arguments in ([pair[0]], [pair[0], pair[0]], [pair[0], tmp_path], [*pair, "--gate", "x: not worse"]):
        status, out, err = call("compare", *arguments)
        assert status == 2 and not out and err.startswith("palpate: ") and err.count("\n") == 1


def test_names_of_images_are_shown_only_if_asked(call, pair, tmp_path):
    call("compare", *pair, "-q", "--out", tmp_path / "a")
    call("compare", *pair, "-q", "--names", "--out", tmp_path / "b")
    for name in ("compare.html", "compare.json"):
        assert "eye_" not in (tmp_path / "a" / name).read_text()
        assert "eye_" in (tmp_path / "b" / name).read_text()
