"""An audit from beginning to end, gone on with after every kind of stop."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from palpate.audit.run.runner import AuditOutcome, audit
from palpate.audit.subject import first_look
from palpate.audit.subject.machine import repeatable
from palpate.audit.work import shards
from palpate.errors import InputError, StorageError
from palpate.metrics.panel import arrange
from palpate.report.model.description import read_description
from palpate.storage.runs import RunFolder
from tests.audit import tiny
from tests.audit.tiny import Heard

ATTACKS = 3
IMAGES = 12
SHARDS = 9


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AuditOutcome, dict[str, bytes]]:
    """A run that nothing disturbed; not to be written to."""
    folder = tmp_path_factory.mktemp("finished") / "plan"
    torch.set_num_threads(1)
    outcome = audit(tiny.write(folder), folder / "run")
    return folder / "run", outcome, tiny.shards(folder / "run")


def test_every_image_attack_and_budget_has_its_record(finished: tuple[Path, AuditOutcome, dict[str, bytes]]) -> None:
    folder, outcome, stored = finished
    assert (outcome.status, outcome.done, outcome.total, outcome.passed) == ("finished", SHARDS, SHARDS, True)
    assert len(stored) == SHARDS
    frame = RunFolder(folder).frame()
    assert len(frame["row"]) == ATTACKS * IMAGES * 2
    for name in ("pgd", "hiding", "noise"):
        mine = frame["attack"] == name
        assert frame["row"][mine].tolist() == [row for row in range(IMAGES) for _ in range(2)]
        assert frame["eps"][mine].tolist() == [6.0, 16.0] * IMAGES
    assert frame["image"][:2].tolist() == ["image0.png"] * 2
    assert frame["group"][:8].tolist() == ["patient0"] * 4 + ["patient1"] * 4
    assert frame["label"][::2].tolist() == [tiny.label(row) for row in range(IMAGES)] * ATTACKS
    assert set(frame["goal"].tolist()) == {"untargeted", "hide disease"}


def test_the_records_agree_with_each_other(finished: tuple[Path, AuditOutcome, dict[str, bytes]]) -> None:
    frame = RunFolder(finished[0]).frame()
    assert 0 < frame["success"].sum() < frame["success"].size, "the tiny model must fall to some attacks only"
    assert np.array_equal(frame["success"], frame["eligible"] & (frame["margin"] <= 0))
    assert (frame["linf"] <= frame["eps"] * (1 + 1e-6)).all()
    assert (frame["l2"] <= frame["l1"] + 1e-9).all() and (frame["linf"] <= frame["l2"] + 1e-9).all()
    assert ((frame["disease_score"] >= 0) & (frame["disease_score"] <= 1)).all()
    assert (frame["evidence"][~frame["eligible"]] == "not attacked").all()
    healthy = (frame["attack"] == "hiding") & (frame["label"] == 0)
    assert not frame["eligible"][healthy].any()
    # One stream of random numbers for each attack and image.
    assert len(set(frame["seed"].tolist())) == ATTACKS * IMAGES
    assert arrange(frame).images.count == IMAGES


def test_the_description_is_the_one_that_reports_read(finished: tuple[Path, AuditOutcome, dict[str, bytes]]) -> None:
    run = RunFolder(finished[0])
    described = read_description(run)
    assert (described.status, described.title, described.seed) == ("finished", "Tiny", 3)
    assert described.data.images == IMAGES and described.data.groups == 6 and described.data.per_class == [5, 4, 3]
    assert [attack.name for attack in described.attacks] == ["pgd", "hiding", "noise"]
    assert described.threat.eps == [6.0, 16.0]
    assert described.model.parameters == sum(tensor.numel() for tensor in tiny._trained(0).values())
    assert all(attack.seconds and attack.seconds > 0 for attack in described.attacks)
    assert run.plan.read_text() == tiny.PLAN
    assert described.gallery
    for picture in described.gallery:
        assert all((run.path / name).is_file() for name in (picture.clean, picture.adversarial, picture.perturbation))


def test_a_finished_run_is_not_done_again_and_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run")
    stored, described = tiny.shards(tmp_path / "run"), (tmp_path / "run" / "run.json").read_bytes()
    heard, read = Heard(), Counter[str]()
    ordinary = RunFolder.read_shard
    monkeypatch.setattr(RunFolder, "read_shard", lambda run, name: read.update([name]) or ordinary(run, name))
    outcome = audit(plan, tmp_path / "run", progress=heard)
    assert read == {Path(name).stem: 1 for name in stored}
    assert outcome.status == "finished" and heard.shards == []
    assert tiny.shards(tmp_path / "run") == stored
    assert (tmp_path / "run" / "run.json").read_bytes() == described


def test_lost_shards_come_back_with_the_same_bytes(
    tmp_path: Path, finished: tuple[Path, AuditOutcome, dict[str, bytes]]
) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run")
    spent = json.loads((tmp_path / "run" / "run.json").read_text())["shard_seconds"]
    assert tiny.shards(tmp_path / "run") == finished[2], "two runs of one plan must have the same bytes"
    lost = sorted(finished[2])[::2]
    for name in lost:
        (tmp_path / "run" / "records" / name).unlink()
    heard = Heard()
    audit(plan, tmp_path / "run", progress=heard)
    assert len(heard.shards) == len(lost) and heard.total == heard.units
    assert tiny.shards(tmp_path / "run") == finished[2]
    again = json.loads((tmp_path / "run" / "run.json").read_text())["shard_seconds"]
    assert {key for key in spent if spent[key] != again[key]} <= {name.removesuffix(".parquet") for name in lost}


def test_ctrl_c_keeps_what_is_finished_and_the_next_call_goes_on(
    tmp_path: Path, finished: tuple[Path, AuditOutcome, dict[str, bytes]]
) -> None:
    plan = tiny.write(tmp_path / "plan")
    outcome = audit(plan, tmp_path / "run", progress=Heard(stop_after=4))
    assert (outcome.interrupted, outcome.status, outcome.done, outcome.total) == (True, "unfinished", 4, SHARDS)
    assert not outcome.passed and outcome.gates == ()
    assert read_description(RunFolder(tmp_path / "run")).status == "unfinished"
    heard = Heard()
    assert audit(plan, tmp_path / "run", progress=heard).status == "finished"
    assert len(heard.shards) == SHARDS - 4
    assert tiny.shards(tmp_path / "run") == finished[2]


def test_the_first_choice_of_tuning_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny.write(tmp_path / "plan", tiny.PLAN.replace('layout = "contiguous"', 'layout = "auto"'))
    audit(plan, tmp_path / "run", progress=Heard(stop_after=1))
    chosen = json.loads((tmp_path / "run" / "run.json").read_text())["tuning"]

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("timed again")

    monkeypatch.setattr(first_look, "choose", never)
    audit(plan, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["tuning"] == chosen


@pytest.mark.parametrize(
    ("precision", "native", "search"),
    [("float32", True, "float32"), ("mixed", True, "bfloat16"), ("mixed", False, "float32")],
)
def test_a_layout_that_is_named_leaves_nothing_to_timing(
    precision: str, native: bool, search: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("timed")

    monkeypatch.setattr(first_look, "choose", never)
    monkeypatch.setattr(first_look, "has_bfloat16", lambda device: native)
    text = tiny.PLAN.replace('layout = "contiguous"', f'layout = "channels_last"\nprecision = "{precision}"')
    audit(tiny.write(tmp_path / "plan", text), tmp_path / "run")
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    tuning, said = described["tuning"], [one["text"] for one in described["findings"]]
    assert (first_look.NO_BFLOAT16 in said) == (precision == "mixed" and not native)
    assert (tuning["layout"], tuning["search"], tuning["glance"]) == ("channels_last", search, search)


def test_neither_batch_nor_name_nor_title_is_identity(
    tmp_path: Path, finished: tuple[Path, AuditOutcome, dict[str, bytes]]
) -> None:
    text = tiny.PLAN.replace("batch = 3", "batch = 5").replace('"Tiny"', '"Other"').replace('"hiding"', '"masking"')
    plan = tiny.write(tmp_path / "plan", text)
    audit(plan, tmp_path / "run")
    assert tiny.shards(tmp_path / "run").keys() == finished[2].keys()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed = 3", "seed = 4"),
        ("bounds = [0, 255]", "bounds = [0, 256]"),
        ("mean = [127.5]", "mean = [127.25]"),
        ('eps = ["6/255", "16/255"]', 'eps = ["6/255", "15/255"]'),
        ("shard = 5", 'shard = 5\nprecision = "mixed"'),
        ('disease = ["mild", "severe"]', 'disease = ["severe"]'),
        ('file = "weights"', "retrained"),
    ],
)
def test_what_changes_results_changes_every_identity(
    tmp_path: Path, old: str, new: str, finished: tuple[Path, AuditOutcome, dict[str, bytes]]
) -> None:
    plan = tiny.write(tmp_path / "plan", tiny.PLAN.replace(old, new))
    if new == "retrained":
        tiny.retrain(tmp_path / "plan")
    audit(plan, tmp_path / "run", progress=Heard(stop_after=1))
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert len(described["shards"]) == SHARDS
    assert not {f"{name}.parquet" for name in described["shards"]} & finished[2].keys()


@pytest.mark.parametrize(("old", "new"), [("steps = 3", "steps = 4"), ("hide disease", "invent disease")])
def test_a_changed_attack_or_goal_changes_its_own_identities_only(
    tmp_path: Path, old: str, new: str, finished: tuple[Path, AuditOutcome, dict[str, bytes]]
) -> None:
    plan = tiny.write(tmp_path / "plan", tiny.PLAN.replace(old, new))
    audit(plan, tmp_path / "run", progress=Heard(stop_after=1))
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    kept = {f"{name}.parquet" for name in described["shards"]} & finished[2].keys()
    assert len(kept) == SHARDS - SHARDS // ATTACKS


def test_a_changed_plan_is_refused_with_what_changed(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run", progress=Heard(stop_after=1))
    before = tiny.shards(tmp_path / "run")
    changed = tiny.PLAN.replace("steps = 3", "steps = 4").replace('goal = "hide disease"', 'goal = "untargeted"')
    with pytest.raises(StorageError) as caught:
        audit(tiny.rewrite(tmp_path / "plan", changed), tmp_path / "run")
    message = str(caught.value)
    assert "attacks.pgd.steps: 3 -> 4" in message
    assert "attacks.hiding.goal: hide disease -> untargeted" in message
    assert "new folder" in message and "--update" in message and "seed" not in message
    assert tiny.shards(tmp_path / "run") == before
    assert (tmp_path / "run" / "plan.toml").read_text() == tiny.PLAN


def test_comments_and_order_are_no_change(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run", progress=Heard(stop_after=1))
    text = "# a comment\nseed = 3\n" + tiny.PLAN.replace("seed = 3\n", "").replace("[0, 255]", "[0.0, 255.0]")
    assert audit(tiny.rewrite(tmp_path / "plan", text), tmp_path / "run").status == "finished"


def test_update_keeps_what_fits_and_does_the_rest(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run")
    text = tiny.PLAN.replace("steps = 3", "steps = 4").replace('name = "hiding"', 'name = "masking"')
    plan = tiny.rewrite(tmp_path / "plan", text)
    heard = Heard()
    outcome = audit(plan, tmp_path / "run", update=True, progress=heard)
    assert outcome.status == "finished" and outcome.total == SHARDS
    assert [shard.partition(",")[0] for shard in heard.shards] == ["pgd"] * 3
    # The same bytes as a run that had this plan from the start.
    audit(plan, tmp_path / "fresh")
    fresh, updated = tiny.shards(tmp_path / "fresh"), tiny.shards(tmp_path / "run")
    assert fresh == {name: updated[name] for name in fresh}
    assert set(RunFolder(tmp_path / "run").frame()["attack"].tolist()) == {"pgd", "masking", "noise"}
    assert (tmp_path / "run" / "plan.toml").read_text() == text
    assert audit(plan, tmp_path / "run").status == "finished", "the updated plan is the run's plan from now on"


def test_update_removes_pictures_that_nobody_names_any_more(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run")
    (tmp_path / "run" / "images" / "mine.png").write_bytes(b"")
    audit(tiny.rewrite(tmp_path / "plan", tiny.PLAN.replace("seed = 3", "seed = 4")), tmp_path / "run", update=True)
    described = read_description(RunFolder(tmp_path / "run"))
    named = {
        Path(name).name for entry in described.gallery for name in (entry.clean, entry.adversarial, entry.perturbation)
    }
    assert {path.name for path in (tmp_path / "run" / "images").iterdir()} == {*named, "mine.png"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("weights", "the model's weights changed"),
        ("code", "the model's code or files changed"),
        ("image", "the images, labels or groups changed"),
    ],
)
def test_another_model_or_other_images_under_the_same_plan_are_refused(tmp_path: Path, change: str, said: str) -> None:
    folder = tmp_path / "plan"
    plan = tiny.write(folder)
    audit(plan, tmp_path / "run", progress=Heard(stop_after=1))
    if change == "weights":
        tiny.retrain(folder)
    elif change == "code":
        (folder / "model.py").write_text(tiny.MODEL.replace("nn.ReLU()", "nn.GELU()"))
    else:
        (folder / "image3.png").write_bytes((folder / "image0.png").read_bytes())
    with pytest.raises(StorageError, match=said):
        audit(plan, tmp_path / "run")
    assert audit(plan, tmp_path / "run", update=True).status == "finished"


def test_an_attack_that_cannot_run_stops_no_other(tmp_path: Path) -> None:
    text = tiny.PLAN.replace("model.py:build", "model.py:blocked")
    plan = tiny.write(tmp_path / "plan", text)
    heard = Heard()
    outcome = audit(plan, tmp_path / "run", progress=heard)
    assert (outcome.status, outcome.failed, outcome.interrupted) == ("unfinished", ("pgd", "hiding"), False)
    assert (outcome.done, outcome.total) == (3, SHARDS) and not outcome.passed
    described = read_description(RunFolder(tmp_path / "run"))
    failures = [finding for finding in described.findings if finding.level == "failure"]
    assert {"pgd", "hiding"} <= {finding.subject for finding in failures}
    assert all("no gradient flows" in f.text for f in failures if f.subject == "pgd")
    assert set(RunFolder(tmp_path / "run").frame()["attack"].tolist()) == {"noise"}
    assert any("'pgd' could not run" in message for message in heard.messages)


def test_an_error_of_the_model_under_attack_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("derivative for aten::strange is not implemented\nmore lines")

    plan = tiny.write(tmp_path / "plan")
    monkeypatch.setattr(shards, "curve", broken)
    outcome = audit(plan, tmp_path / "run")
    assert outcome.failed == ("pgd", "hiding", "noise")
    text = outcome.findings[-1].text
    assert text.endswith("model: it fails under attack: RuntimeError: derivative for aten::strange is not implemented.")


def test_where_one_image_does_not_fit_into_memory_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    plan = tiny.write(tmp_path / "plan")
    monkeypatch.setattr(shards, "curve", full)
    outcome = audit(plan, tmp_path / "run")
    assert outcome.failed == ("pgd", "hiding", "noise")
    said = [finding.text for finding in outcome.findings if finding.level == "failure"]
    assert len(said) == 3 and all("not enough memory for one image" in text for text in said)


def test_an_image_outside_the_bounds_is_named(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan", tiny.PLAN.replace("[0, 255]", "[0, 230]").replace("batch = 3", "batch = 1"))
    pixels = np.full((8, 8), 100, dtype=np.uint8)
    pixels[3, 5] = 240
    Image.fromarray(pixels).save(tmp_path / "plan" / "image7.png")
    with pytest.raises(InputError, match=r"image7\.png: it holds values from 100 to 240, outside the bounds 0 to 230"):
        audit(plan, tmp_path / "run")


def test_a_folder_with_other_things_is_not_written_to(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    with pytest.raises(StorageError, match="holds other files than an audit"):
        audit(plan, tmp_path / "plan")
    assert not (tmp_path / "plan" / "run.json").exists()


def test_a_file_of_the_users_in_a_started_run_is_no_hindrance(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run", progress=Heard(stop_after=1))
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert audit(plan, tmp_path / "run").status == "finished"
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_hidden_files_of_others_are_not_swept_away(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".draft.tmp").write_text("mine")
    with pytest.raises(StorageError, match="holds other files"):
        audit(plan, tmp_path / "home")
    assert (tmp_path / "home" / ".draft.tmp").read_text() == "mine"


def test_a_random_model_is_refused_or_repeats_its_records(tmp_path: Path) -> None:
    text = tiny.PLAN.replace("model.py:build", "model.py:noisy")
    plan = tiny.write(tmp_path / "plan", text)
    with pytest.raises(InputError, match="draws random numbers"):
        audit(plan, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    plan = tiny.rewrite(tmp_path / "plan", text.replace("shard = 5", 'shard = 5\nrandom_model = "allow"\ndraws = 4'))
    audit(plan, tmp_path / "whole")
    torch.manual_seed(1)
    audit(plan, tmp_path / "run", progress=Heard(stop_after=4))
    torch.manual_seed(2)
    outcome = audit(plan, tmp_path / "run")
    assert tiny.shards(tmp_path / "run") == tiny.shards(tmp_path / "whole")
    said = next(finding.text for finding in outcome.findings if finding.subject == "random model")
    model = json.loads((tmp_path / "run" / "run.json").read_text())["model"]
    assert "mean over 4 draws (run.draws)" in said
    assert model["draws"] == 4 and model["inferer"].endswith("each output is the mean over 4 random draws")


def test_gpu_settings_are_restored() -> None:
    cudnn = torch.backends.cudnn
    before = (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32)
    with repeatable(torch.device("cuda")):
        assert cudnn.deterministic and not cudnn.benchmark
    assert (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32) == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run", progress=Heard(stop_after=1))
    path = tmp_path / "run" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 999}))
    with pytest.raises(StorageError, match="written with schema 999"):
        audit(plan, tmp_path / "run")


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run", progress=Heard(stop_after=2))
    path = next((tmp_path / "run" / "records").iterdir())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StorageError, match=rf"{path.name} is damaged.*Delete this file"):
        audit(plan, tmp_path / "run")
    path.unlink()
    assert audit(plan, tmp_path / "run").status == "finished"


def test_going_on_elsewhere_is_noted(tmp_path: Path, finished: tuple[Path, AuditOutcome, dict[str, bytes]]) -> None:
    assert not [finding for finding in finished[1].findings if finding.subject == "provenance"]
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run", progress=Heard(stop_after=1))
    path = tmp_path / "run" / "run.json"
    described = json.loads(path.read_text())
    described["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(described))
    outcome = audit(plan, tmp_path / "run")
    (note,) = [finding for finding in outcome.findings if finding.subject == "provenance"]
    assert "torch 1.0 -> " in note.text and note.level == "note"
    # It stays, although nothing runs any more.
    assert note in audit(plan, tmp_path / "run").findings


def test_global_random_state_and_model_mode_are_left_alone(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    audit(plan, tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
