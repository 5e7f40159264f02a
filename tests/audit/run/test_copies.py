"""A run folder holds all that its plan needs to go on, or to be repeated elsewhere."""

import json
import shutil
from pathlib import Path

import pytest

from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.commands.carry_out import run_folder
from palpate.errors import PlanError, StorageError
from tests.audit import tiny

PLAN = (
    tiny.USUAL[: tiny.USUAL.index("[[attacks]]")]
    + '[[attacks]]\nattack = "fgsm"\n[run]\nlayout = "contiguous"\n[quality]\nimages = 0\n'
    + "[stability]\nimages = 0\n[survival]\nsaved = false\nafter = []\n"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in the default folder; tests must not write into it."""
    plan = tiny.write(tmp_path_factory.mktemp("copies") / "study", PLAN)
    audit(plan, run_folder(plan.origin))
    return run_folder(plan.origin)


def test_the_copy_goes_on_in_its_run_and_repeats_it_elsewhere(run: Path, tmp_path: Path) -> None:
    plan = load_plan(run / "plan.toml")
    assert run_folder(plan.origin) == run
    heard = tiny.Heard()
    assert audit(plan, run, progress=heard).status == "finished"
    assert heard.shards == [] and "is finished" in heard.messages[-1]
    audit(plan, tmp_path / "again")
    assert tiny.shards(tmp_path / "again") == tiny.shards(run)
    described = json.loads((tmp_path / "again" / "run.json").read_text())
    assert described["root"] is None, "a path that leads out of the run's parents would name folders of this machine"
    with pytest.raises(PlanError, match="--root"):
        load_plan(tmp_path / "again" / "plan.toml")


def test_on_another_machine_root_says_where_the_images_are(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    with pytest.raises(PlanError, match="--root"):
        load_plan(tmp_path / "run" / "plan.toml")
    plan = load_plan(tmp_path / "run" / "plan.toml", root=run.parents[1])
    assert audit(plan, tmp_path / "run").status == "finished"
    with pytest.raises(PlanError, match="is not a folder"):
        load_plan(tmp_path / "run" / "plan.toml", root=tmp_path / "nowhere")


def test_an_edited_copy_that_attacks_otherwise_is_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    copy = tmp_path / "run" / "plan.toml"
    copy.write_text(PLAN.replace("fgsm", "noise"))
    with pytest.raises(StorageError, match="was changed since the run was started"):
        audit(load_plan(copy, root=run.parents[1]), tmp_path / "run")
    copy.write_text(PLAN + '[[gates]]\nmetric = "clean_accuracy"\nat_least = 0.99\n')
    heard = tiny.Heard()
    assert not audit(load_plan(copy, root=run.parents[1]), tmp_path / "run", progress=heard).passed
    assert heard.shards == []


def test_a_run_of_an_earlier_palpate_is_found_by_its_place(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "study" / "runs" / "plan")
    shutil.copy(run.parents[1] / "labels.csv", tmp_path / "study")
    stored = tmp_path / "study" / "runs" / "plan" / "run.json"
    stored.write_text(json.dumps({**json.loads(stored.read_text()), "root": None, "digest": None}))
    assert load_plan(stored.with_name("plan.toml")).root == (tmp_path / "study").resolve()


def test_another_programs_run_json_beside_a_plan_is_nothing_to_it(tmp_path: Path) -> None:
    tiny.write(tmp_path / "study", PLAN)
    (tmp_path / "study" / "run.json").write_text('{"schema": "https://example.org"}')
    assert load_plan(tmp_path / "study" / "plan.toml").root == tmp_path / "study"
