"""A pilot: what it measures of a tiny audit, and that nothing of it stays on the disk."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from palpate import cli
from palpate.audit.estimate import pilot as module
from palpate.audit.estimate.costs import Costs
from palpate.audit.estimate.pilot import pilot
from palpate.audit.plan.plan import Plan
from palpate.audit.run.progress import Silence
from palpate.errors import InputError
from palpate.storage.runs import RunFolder
from tests.audit import tiny

QUICK = tiny.USUAL.replace("[run]", "[stability]\nimages = 0\n\n[survival]\nafter = []\nsaved = false\n\n[run]")


def unreported(run: RunFolder) -> None:
    assert run.describe()["status"] == "finished"


def test_a_pilot_measures_each_attack_in_four_groups(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan", QUICK)
    costs = pilot(plan, tmp_path / "runs", unreported, images=8, progress=Silence())
    assert (costs.images, costs.shard, costs.batch, costs.piloted, costs.together) == (12, 5, 3, 8, 2)
    assert [part.name for part in costs.parts] == ["pgd", "hiding", "noise"]
    assert all(len(part.seconds) == 4 and min(part.seconds) >= 0 for part in costs.parts)
    assert not any(part.alone for part in costs.parts)
    assert costs.seconds > 0 and costs.reading > 0 and costs.commit > 0 and costs.worker is None
    assert costs.row > 300 and costs.memory > 10**8
    # Three attacks: each file of a shard has some thousand bytes of schema.
    assert 3 * 1000 < costs.disk_shard < 3 * 10**5 and costs.disk_image == 0
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_pilot_grows_until_it_has_whole_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def measured(plan: Plan, total: int, images: int, *others: object) -> Costs:
        asked.append(images)
        return replace(first, piloted=images)

    first = pilot(tiny.write(tmp_path / "plan", QUICK), tmp_path / "runs", unreported, images=4, progress=Silence())
    monkeypatch.setattr(module, "_measured", measured)
    plan = tiny.rewrite(tmp_path / "plan", QUICK.replace("batch = 3", "batch = 5"))
    monkeypatch.setattr(module, "listed", lambda plan: range(100))
    pilot(plan, tmp_path / "runs", unreported, seconds=1e6, progress=Silence())
    assert asked == [8, 20], "four batches of five"
    pilot(plan, tmp_path / "runs", unreported, seconds=1e-9, progress=Silence())
    assert asked == [8, 20, 8], "there is no time for more"


def test_exports_of_all_images_grow_with_the_images_and_queries_stay_alone(tmp_path: Path) -> None:
    some = QUICK.replace('attack = "noise"\ntries = 2', 'attack = "square"\nquery_budget = 20')
    plan = tiny.write(tmp_path / "plan", some + '\n[export]\nimages = "all"\n')
    costs = pilot(plan, tmp_path / "runs", unreported, images=4, progress=Silence())
    assert costs.disk_image > 0
    assert [(part.name, part.alone) for part in costs.parts][-1] == ("square", True)


def test_what_a_killed_pilot_left_is_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    left, away = tmp_path / "runs" / ".estimate-host-1-abc", tmp_path / "away"
    left.mkdir(parents=True)
    (left / "image.png").write_bytes(b"1")
    away.mkdir()
    (tmp_path / "runs" / ".estimate-link").symlink_to(away)
    pilot(tiny.write(tmp_path / "plan", QUICK), tmp_path / "runs", unreported, images=4, progress=Silence())
    assert not left.exists() and away.is_dir()


def test_a_plan_of_which_no_attack_runs_is_refused(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan", QUICK.replace("model.py:build", "model.py:blocked"))
    with pytest.raises(InputError, match="pilot did not finish"):
        pilot(plan, tmp_path / "runs", unreported, images=4, progress=Silence())


def test_the_command_says_time_memory_and_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write(tmp_path, QUICK)
    with pytest.raises(SystemExit) as ended:
        cli.main(["estimate", str(tmp_path / "plan.toml"), "--images", "4", "--quiet"])
    said = capsys.readouterr()
    assert ended.value.code in (0, None) and said.err == ""
    assert "12 images, 9 shards of up to 5 images." in said.out
    assert re.search(r"^local: \d+.* \(.* to .*\), [\d.]+ [MG]B of memory\.$", said.out, re.MULTILINE)
    assert re.search(r"^Disk: [\d.]+ [kM]B\.$", said.out, re.MULTILINE)
    with pytest.raises(SystemExit):
        cli.main(["estimate", str(tmp_path / "plan.toml"), "--images", "1", "--quiet", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["costs"]["piloted"] == 1 and found["forecasts"][0]["high"] is None
