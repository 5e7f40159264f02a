"""The table of a run for the docs holds the figures of its results.json, at the place that a page keeps for it."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import example_table  # noqa: E402


def figure(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def series(name, part, statistic, unit, clean, after):
    points = [{"eps": eps, "figure": figure(value)} for eps, value in zip((1.0, 2.0), after, strict=True)]
    return {
        "name": name, "part": part, "statistic": statistic, "unit": unit, "clean": figure(clean),
        "attacks": {"bim": points},
    }  # fmt: skip


RESULTS = {
    "task": {"score": "dice", "floor": 0.5},
    "model": {"parameters": 1234},
    "data": {"images": 8},
    "validity": {"grade": "B", "reason": "Few images."},
    "clean": {"accuracy": figure(0.75, 0.5, 0.9)},
    "attacks": [
        {
            "name": "bim",
            "goal": "untargeted",
            "eligible": 6,
            "images": 8,
            "forwards": 80,
            "backwards": 40,
            "points": [
                {"eps": 1.0, "success_rate": figure(0.25, 0.1, 0.5)},
                {"eps": 2.0, "success_rate": figure(None)},
            ],
        }
    ],
    "series": [
        series("dice", "", "mean", "", 0.7, (0.6, 0.123)),
        series("dice", "lung", "mean", "", 0.8, (0.6, 0.321)),
        series("hd95", "lung", "mean", "mm", 9.0, (9.0, 9.0)),
        series("hd95", "lung", "median", "mm", 2.0, (3.0, 17.0)),
    ],
}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(RESULTS))
    return folder


def cells(text, first):
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_success_score_and_passes_of_each_budget(run, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["example_table.py", str(run)])
    example_table.main()
    printed = capsys.readouterr().out
    assert cells(printed, "`bim`") == ["`bim`", "untargeted", "6", "25 (10-50)", "-", "0.6", "0.123", "15"]
    assert "1,234 parameters, 8 images" in printed and "75 (50-90) %, mean Dice 0.7" in printed


def test_structures_before_and_at_the_largest_budget():
    table = example_table.structures(RESULTS)
    assert table[0] == "| at eps 2 | lung: mean Dice | lung: median HD95, mm |"
    assert cells("\n".join(table), "no attack") == ["no attack", "0.8", "2"]
    assert cells("\n".join(table), "`bim`") == ["`bim`", "0.321", "17"]


def test_a_page_keeps_what_stands_around_the_table(run, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(f"# Above\n<!-- run: {run} -->\nold\n<!-- end of run -->\nbelow\n")
    monkeypatch.setattr(sys, "argv", ["example_table.py", str(run), "--page", str(page)])
    example_table.main()
    once = page.read_text()
    example_table.main()
    assert page.read_text() == once
    assert once.startswith("# Above\n") and once.endswith("<!-- end of run -->\nbelow\n")
    assert "old" not in once and "1,234 parameters" in once


def test_a_page_without_a_place_is_left_alone(run, tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("# Above\n")
    monkeypatch.setattr(sys, "argv", ["example_table.py", str(run), "--page", str(page)])
    with pytest.raises(SystemExit):
        example_table.main()
    assert "has no place for this run" in capsys.readouterr().err
    assert page.read_text() == "# Above\n"
