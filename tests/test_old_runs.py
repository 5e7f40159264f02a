"""Run folders that commit 18eab80 wrote: they go on without a new attack, one lost shard is redone, and all is read."""

import json
import shutil
from functools import wraps
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.old_runs.identities import Call, attacks_replaced, audit, command

OLD = Path(__file__).parent / "old_runs"
RUNS = sorted(path.stem.removeprefix("run_") for path in OLD.glob("run_*.zip"))
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("title", RUNS)]


class Old:
    """An old run and its inputs, unpacked, and the calls of attacks since."""

    def __init__(self, title: str, folder: Path):
        self.inputs, self.run, self.plan = folder / "inputs", folder / "run", folder / "inputs" / "plan.toml"
        shutil.unpack_archive(OLD / "inputs.zip", self.inputs)
        shutil.unpack_archive(OLD / f"run_{title}.zip", self.run)
        shutil.copy(self.run / "plan.toml", self.plan)
        self.attacked: list[int] = []

    def go_on(self) -> int:
        """Exit status of the same audit, by today's code; `attacked` has how many images each attack was given."""

        def counted(call: Call) -> Call:
            @wraps(call)
            def attack(kind: Any, victim: Any, task: Any, images: Any, *rest: Any, **named: Any) -> Any:
                self.attacked.append(len(images))
                return call(kind, victim, task, images, *rest, **named)

            return attack

        with attacks_replaced(counted):
            return audit(self.plan, self.run)

    def stored(self, *folders: str) -> dict[str, bytes]:
        """Every file of some folders of the run, by name."""
        files = (path for folder in folders for path in sorted((self.run / folder).rglob("*")) if path.is_file())
        return {str(path.relative_to(self.run)): path.read_bytes() for path in files}

    def said(self) -> dict[str, Any]:
        """The contents of `run.json`."""
        found: dict[str, Any] = json.loads((self.run / "run.json").read_text())
        return found

    def identities(self) -> dict[str, Any]:
        """What names attacks, shards and traces."""
        said = self.said()
        traced = [entry["identity"] for entry in said["stability"]["items"]]
        return {
            "attacks": [attack["item"] for attack in said["attacks"]],
            "shards": said["shards"],
            "traces": traced,
            "data": said["data"]["fingerprint"],
            "model": [said["model"][key] for key in ("sha256", "files_sha256", "preprocess_sha256")],
        }


@pytest.fixture
def old(title: str, tmp_path: Path) -> Old:
    return Old(title, tmp_path)


def test_an_old_run_goes_on_without_attacking_anything_again(old: Old) -> None:
    before, stored = old.identities(), old.stored("records", "stability", "images", "exports")
    assert before["shards"] and before["traces"]
    assert old.go_on() == 0
    assert old.attacked == []
    assert old.stored("records", "stability", "images", "exports") == stored
    assert old.identities() == before
    assert old.said()["status"] == "finished"


def test_of_an_interrupted_old_run_only_the_lost_shard_is_redone_with_equal_values(old: Old) -> None:
    before, stored = old.identities(), old.stored("records", "stability")
    lost = old.run / "records" / f"{before['shards'][-1]}.parquet"
    rows = pq.read_table(lost).to_pylist()
    lost.unlink()
    assert old.go_on() == 0
    images = len({row["row"] for row in rows})
    assert old.attacked and max(old.attacked) <= images
    assert old.identities() == before
    again = old.stored("records", "stability")
    assert set(again) == set(stored)
    assert {name for name in stored if again[name] != stored[name]} <= {f"records/{lost.name}"}
    redone = pq.read_table(lost).to_pylist()
    new = [{"stage": "", "stage_passes": [], **unmeasured(row)} for row in redone]
    same(redone, [row | more for row, more in zip(rows, new, strict=True)])


def test_of_an_interrupted_old_run_only_the_lost_trace_is_redone_with_equal_values(old: Old) -> None:
    before, stored = old.identities(), old.stored("records", "stability")
    lost = [old.run / "stability" / f"{before['traces'][0]}.{ending}" for ending in ("parquet", "npz")]
    rows = pq.read_table(lost[0]).to_pylist()
    for path in lost:
        path.unlink()
    assert old.go_on() == 0
    assert old.attacked
    assert old.identities() == before
    again = old.stored("records", "stability")
    assert set(again) == set(stored)
    assert {name for name in stored if again[name] != stored[name]} <= {f"stability/{path.name}" for path in lost}
    same(pq.read_table(lost[0]).to_pylist(), rows)


def test_show_and_report_read_an_old_run_and_find_the_same_figures(
    old: Old, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((old.run / "results.json").read_text())
    # The shape of results has grown since; every figure that it had is still there.
    assert before.pop("schema_version") == 3
    assert command("show", str(old.run)) == 0
    shown = capsys.readouterr().out
    assert all(attack["catalog"] in shown or attack["name"] in shown for attack in before["attacks"])
    assert command("report", str(old.run)) == 0
    assert (old.run / "report.html").stat().st_size > 0
    now = json.loads((old.run / "results.json").read_text())
    assert robust_totals(now) == [total - now["clean"]["nothing_to_lose"] for total in robust_totals(before)]
    if now["clean"]["nothing_to_lose"]:
        leave_out_robust_figures(now)
        leave_out_robust_figures(before)
    # Only the pairs with the strongest attack are tested now, so that the adjustment is over fewer tests.
    shown = [(one["goal"], one["first"], one["second"]) for one in now["comparisons"]]
    before["comparisons"] = [
        {key: value for key, value in one.items() if key != "p_holm"}
        for one in before["comparisons"]
        if (one["goal"], one["first"], one["second"]) in shown
    ]
    # The sentence, survival and sites are at the main budget now, which the result does not choose.
    for one in (now, before):
        del one["verdict"]
        one.pop("subgroups", None)
        for at_one_budget in ("eps", "bought"):
            one.get("survival", {}).pop(at_one_budget, None)
        # They count only images that were beaten before; `survived` always did.
        for attack in one.get("survival", {}).get("attacks", []):
            for cell in (cell for point in attack["points"] for cell in point["cells"]):
                del cell["after"], cell["alone"]
    same(numbers(now, before), numbers(before, before))


def unmeasured(row: dict[str, Any]) -> dict[str, Any]:
    """What today's records do not have: only images that were beaten are saved and post-processed now."""
    if row["success"]:
        return {}
    names = ("saved_linf", "handled", "handled_scores", "clean_handled", "clean_handled_scores")
    return {name: row[name] for name in names}


def robust_figures(results: Any) -> list[Any]:
    """The robust rates of each attack and of all together."""
    alone = [point["robust_accuracy"] for attack in results["attacks"] for point in attack["points"]]
    together = [
        point["figure"] for case in results["worst_case"] for point in case["points"] if case["goal"] == "untargeted"
    ]
    return [figure for figure in [*alone, *together] if figure is not None]


def robust_totals(results: Any) -> list[int]:
    """How many images each of them counts."""
    return [figure["total"] for figure in robust_figures(results)]


def leave_out_robust_figures(results: Any) -> None:
    """Old robust rates and mean scores counted images without anything to lose as well."""
    for figure in robust_figures(results):
        figure.clear()
    score = results["task"]["score"]
    results["series"] = [one for one in results["series"] if (one["name"], one["part"]) != (score, "")]


def numbers(found: Any, pattern: Any) -> Any:
    """The figures among results, at the places where `pattern` has figures. Words may be written anew.

    The ends of intervals are left out: how they are made has changed since.
    """
    if isinstance(pattern, dict):
        return {key: numbers(found[key], part) for key, part in pattern.items() if key not in ("low", "high")}
    if isinstance(pattern, list) and all(isinstance(part, str) for part in pattern):
        return None
    if isinstance(pattern, list):
        assert len(found) == len(pattern)
        return [numbers(one, part) for one, part in zip(found, pattern, strict=True)]
    return None if isinstance(pattern, str) else found


def same(found: Any, expected: Any) -> None:
    """Equal, but for the last digits of fractions, which another processor may round otherwise."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6, nan_ok=True)
    else:
        assert found == expected
