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


def left(handling, alone, after):
    return {"handling": handling, "alone": figure(alone), "after": figure(after, 0.1, 0.9)}


def point(eps, before, saved, jpeg):
    before = {**figure(before, 0.2, 0.8), "total": 6}
    return {"eps": eps, "before": before, "cells": [left("saved", 0.0, saved), left("jpeg75", 0.03, jpeg)]}


def bought_row(handling, climbed, plain, attack):
    return {"handling": handling, "climbed": climbed, "only_plain": plain, "only_attack": attack, "p_holm": 0.0625}


SURVIVAL = {
    "intervals": {"clustered": False},
    "data": {"images": 8, "formats": ["PNG"]},
    "threat": {"lattice": True},
    "survival": {
        "attacks": [
            {"attack": None, "points": [point(1.0, 0.99, 0.98, 0.97), point(2.0, 0.99, 0.98, 0.97)]},
            {"attack": "bim", "points": [point(1.0, 0.41, 0.42, 0.43), point(2.0, 0.51, 0.52, 0.53)]},
            {"attack": "pgd", "points": [point(1.0, 0.61, 0.62, 0.63), point(2.0, 0.71, 0.72, None)]},
        ],
        "bought": [
            {
                "attack": "pgd",
                "plain": "bim",
                "eps": 2.0,
                "passes": 60.0,
                "plain_passes": 20.0,
                "rows": [
                    bought_row("", False, 1, 2),
                    bought_row("saved", False, 3, 4),
                    bought_row("jpeg75", True, 5, 6),
                ],
            }
        ],
    },
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


def test_what_is_left_after_each_handling_at_each_budget(run, capsys, monkeypatch):
    (run / "results.json").write_text(json.dumps(SURVIVAL))
    monkeypatch.setattr(sys, "argv", ["example_table.py", str(run), "--survival"])
    example_table.main()
    printed = capsys.readouterr().out
    assert "6 of 8 images" in printed and "PNG" in printed and "only among values that the files can store" in printed
    small, large = printed.split("| eps ")[1:]
    assert cells(f"| eps {small}", "eps 1") == ["eps 1", "no attack", "`bim`", "`pgd`"]
    assert cells(small, "before") == ["before", "-", "41 (20-80)", "61 (20-80)"]
    assert cells(small, "`saved`") == ["`saved`", "0", "42 (10-90)", "62 (10-90)"]
    assert cells(large, "`jpeg75`") == ["`jpeg75`", "3", "53 (10-90)", "-"]


def test_what_robust_to_bought_after_each_handling():
    table = "\n".join(example_table.bought(SURVIVAL["survival"]["bought"], grouped=False))
    assert cells(table, "images beaten at eps 2")[1:] == ["only `bim`", "only `pgd`", "p (McNemar, Holm)"]
    assert "sign flips by patient" in "".join(example_table.bought(SURVIVAL["survival"]["bought"], grouped=True))
    assert cells(table, "before") == ["before", "1", "2", "0.062"]
    assert cells(table, "`saved`") == ["`saved`", "3", "4", "0.062"]
    assert cells(table, "`jpeg75`, in robust_to")[1:] == ["5", "6", "0.062"]
    assert cells(table, "backward passes per image, all eps")[1:3] == ["20", "60"]


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
