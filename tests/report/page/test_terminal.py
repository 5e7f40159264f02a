from __future__ import annotations

import io
import shutil

from rich.console import Console

from palpate.report import show, write_report
from palpate.storage.runs import RunFolder
from tests.report.known import printed
from tests.report.world import FEW, PLAIN, make_run


def row(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(name)).split()


def test_the_tables_hold_the_figures_of_the_results(run, results):
    text, sink = printed(run, 100), io.StringIO()
    show(run, Console(file=sink, width=100))
    assert sink.getvalue() == text
    pgd = next(one for one in results.attacks if one.name == "pgd")
    assert row(text, "pgd")[1:6] == [f"{100 * point.robust_accuracy.value:.1f}%" for point in pgd.points]
    hide = next(one for one in results.attacks if one.name == "hide")
    assert row(text, "hide")[1:6] == [f"{100 * point.success_rate.value:.1f}%" for point in hide.points]
    missed = [point.directions.missed_disease for point in results.worst_directions]
    assert row(text, "missed disease")[3:] == [f"{100 * figure.value:.1f}%" for figure in missed]


def test_quietly_it_says_the_sentence_and_the_gates_alone(run, results):
    sink = io.StringIO()
    show(run, Console(file=sink, width=4000), results=results, brief=True)
    first, *gates = sink.getvalue().splitlines()
    assert first == results.verdict.sentence
    assert len(gates) == len(results.gates) > 0 and all(line.startswith("Gate on ") for line in gates)


def test_verdict_gates_and_warnings_are_said(run, results):
    text = " ".join(printed(run, 100).split())
    assert (
        results.verdict.sentence in text
        and "Gate on robust accuracy at eps 1: failed (measured 0.21, required at least 0.5)" in text
    )
    for goal in results.validity.goals:
        assert goal.quality_reasons[0] in text and goal.precision_reasons[0] in text
    assert all((check.text in text) == (check.level in {"warning", "failure"}) for check in results.validity.checks)


def test_the_report_is_named_once_it_is_there(tmp_path):
    run = make_run(tmp_path / "run", attacks=("pgd",), pictures=0, task=PLAIN)
    assert "Report:" not in printed(run, 100)
    write_report(run)
    assert f"Report: {run.report}" in printed(run, 100)


def test_markup_and_control_characters_are_not_obeyed(tmp_path):
    run = make_run(
        tmp_path / "run", title="[red]x[/red] [link=file:///etc]y[/link] \x1b]0;owned\x07", attacks=FEW, pictures=0
    )
    text = printed(run, 100, force_terminal=True)
    assert "[red]x[/red]" in text and "\x1b]0" not in text and "\x07" not in text


def test_it_fits_eighty_columns(run):
    assert max(len(line) for line in printed(run, width=80).splitlines()) <= 80


def test_unfinished_and_empty_runs_are_shown(empty, tmp_path):
    assert "This run is unfinished: 0 of 8 attacks are complete" in " ".join(printed(empty, 100).split())
    partial = make_run(tmp_path / "run", attacks=FEW, leave_out=["pgd"], status="unfinished", pictures=0)
    assert "2 of 3 attacks are complete" in " ".join(printed(partial, 100).split())
    assert row(printed(partial, 100), "pgd")[1] == "–"


def test_every_share_says_of_what_it_is_one(run, tmp_path):
    text = " ".join(printed(run, width=200).split())
    assert text.count(", and as a share of the range") == text.count("by eps") >= 3
    stored = {key: value for key, value in run.describe().items() if key not in ("schema", "digest")}
    shutil.copytree(run.path, tmp_path / "run")
    windowed = RunFolder(tmp_path / "run")
    windowed.save_description({**stored, "data": {**stored["data"], "unit": "HU", "window": [0, 100]}})
    text = " ".join(printed(windowed, width=200).split())
    assert text.count("by eps in HU, and as a share of the window") == text.count("by eps") >= 3
