"""Traces of masks, volumes, boxes and findings, under threats that confine changes, towards goals, through windows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palpate.audit.run.runner import audit
from palpate.storage.runs import RunFolder
from tests.audit import tiny_dense

MORE = """
[[attacks]]
attack = "smia"
name = "aimed"
goal = "{goal}"
steps = 3

[[attacks]]
attack = "bim"
name = "lasting"
robust_to = ["blur1"]
steps = 2

[[attacks]]
attack = "square"
queries = 5
"""
GOALS = {
    "segmentation": "erase: square",
    "volume": "erase: cube",
    "detection": "vanish",
    "multilabel": "miss: upper",
}


def traced(folder: Path, kind: str, more: str = "", **changed: str) -> tuple[RunFolder, dict[str, dict[str, Any]]]:
    plan = tiny_dense.write(folder, kind, f"{more}\n[stability]\nimages = 4\n")
    for old, new in changed.items():
        plan = tiny_dense.load_plan(_edited(folder / "plan.toml", old, new))
    assert audit(plan, folder / "run").status == "finished"
    run = RunFolder(folder / "run")
    return run, {item["attack"]: item for item in json.loads((run.path / "run.json").read_text())["stability"]["items"]}


def _edited(path: Path, field: str, line: str) -> Path:
    lines = [line if one.startswith(field) else one for one in path.read_text().splitlines()]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("kind", GOALS)
def test_every_task_goal_and_handling_is_traced(tmp_path: Path, kind: str) -> None:
    run, items = traced(tmp_path, kind, MORE.format(goal=GOALS[kind]))
    assert list(items) == ["pgd", "aimed", "lasting"]
    assert (items["aimed"]["weight"], items["lasting"]["weight"]) == (0.5, None)
    assert [items[name]["draws"] for name in items] == [True, False, False]
    frame = run.traces()
    assert (frame["row"] != 5).all() or kind == "multilabel", "nothing can be missed where nothing is"
    for name in ("margin", "loss", "kl_smoothed", "kl_final", "kl_clean", "linf", "l2"):
        assert np.isfinite(frame[name]).all(), name
    ends = frame["step"] == frame["steps"]
    assert (frame["kl_final"][ends] == 0).all() and (frame["linf"] <= 20 * (1 + 1e-6)).all()
    last = frame["kl_clean"][ends]
    assert (last > 0).any() and (last >= 0).all()
    for item in items.values():
        maps, count = run.trace_maps(item["identity"]), len(set(frame["row"][frame["item"] == item["item"]].tolist()))
        assert maps["shown"].shape == (count, 16, 16, 3)
        assert maps["change"].shape == maps["spread_starts"].shape == (count, 16, 16)
        # Volumes are of two depths.
        assert ("spread_images" in maps) == (kind != "volume")


def test_of_a_volume_the_slice_with_the_largest_masks_is_mapped(tmp_path: Path) -> None:
    run, items = traced(tmp_path, "volume")
    maps = run.trace_maps(items["pgd"]["identity"])
    for shown in maps["shown"]:
        assert (shown[..., 0] > 120).sum() == 16, "the cube of four by four pixels"


def test_changes_stay_where_the_threat_confines_them(tmp_path: Path) -> None:
    confined = 'eps = [20.5, 40]\nlattice = true\nregion = ["outside square"]'
    run, items = traced(tmp_path, "segmentation", eps=confined)
    maps = run.trace_maps(items["pgd"]["identity"])
    assert (maps["change"] == np.rint(maps["change"])).all() and np.abs(maps["change"]).max() == 20
    square = maps["shown"][..., 0] > 120
    assert square.any() and not maps["change"][square].any()
