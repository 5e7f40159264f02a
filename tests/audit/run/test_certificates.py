"""An audit with certificates: what is stored, that a stop loses nothing, models without gradients, damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from palpate.audit.run.runner import audit
from palpate.errors import InputError, StorageError
from palpate.metrics.certificates import arrange_certificates
from palpate.report.compute.results import summarise
from palpate.storage.certificates import FIELD_NAMES
from palpate.storage.runs import RunFolder
from tests.audit import tiny, tiny_dense
from tests.audit.tiny import Heard

HEAD, RUN = tiny.PLAN[: tiny.PLAN.index("[[attacks]]")], tiny.PLAN[tiny.PLAN.index("[run]") :]
NOISE = '[[attacks]]\nattack = "noise"\ntries = 1\n\n'
SECTION = """
[stability]
images = 0

[certificates]
sigma = ["5%", 25]
samples = 60
select = 10
confidence = 0.99
images = 3
radii = [2, 12, 60]
steps = 4
draws = 3
"""
GATES = """
[[gates]]
metric = "certified_accuracy"
sigma = "5%"
radius = 12
at_least = 0.9

[[gates]]
metric = "certified_accuracy"
sigma = 12.75
radius = 0
at_least = 0.1
"""
PLAN = HEAD + NOISE + RUN + GATES + SECTION


def stored(folder: Path) -> dict[str, bytes]:
    """The certificates by name."""
    return {path.name: path.read_bytes() for path in (folder / "certificates").glob("*.parquet")}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("certificates") / "a"
    outcome = audit(tiny.write(folder, PLAN), folder / "run")
    assert outcome.status == "finished" and not outcome.failed and outcome.done == outcome.total == 3 + 6
    return RunFolder(outcome.folder)


def test_every_image_has_a_row_for_each_radius(run: RunFolder) -> None:
    frame = run.certificate_frame()
    assert tuple(frame) == FIELD_NAMES and len(stored(run.path)) == 6
    one, two = arrange_certificates(frame)
    for outcome, sigma in ((one, 12.75), (two, 25.0)):
        mine = frame["item"] == outcome.item
        assert set(frame["sigma"][mine]) == {sigma} and outcome.count == 3
        assert outcome.radii.tolist() == [0, 2, 12, 60] and sorted(set(frame["label"][mine])) == [0, 1, 2]
        assert (outcome.forwards > 70).all() and (outcome.backwards >= 3 * 4).all()
        assert (outcome.least.score <= outcome.most.score).all()
        assert (np.diff(outcome.least.score, axis=0) <= 0).all() and (np.diff(outcome.most.score, axis=0) <= 0).all()
        assert (outcome.least.acceptable == (outcome.certified > outcome.radii[:, None]))[:, outcome.clean_right].all()
    assert one.most.score[-1].mean() < one.most.score[0].mean()
    # The same standard normal numbers for each sigma, so that they can be compared.
    assert frame["seed"][frame["item"] == one.item].tolist() == frame["seed"][frame["item"] == two.item].tolist()


def test_a_stop_loses_nothing(run: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    plan = tiny.write(folder, PLAN)
    outcome = audit(plan, folder / "run", progress=Heard(stop_after=5))
    assert outcome.interrupted and (outcome.done, outcome.total, outcome.status) == (5, 9, "unfinished")
    assert len(stored(folder / "run")) == 2
    heard = Heard()
    assert audit(plan, folder / "run", progress=heard).status == "finished" and len(heard.shards) == 4
    assert heard.shards[0] == "certificates, sigma 12.75, image 3"
    assert stored(folder / "run") == stored(run.path)
    described = (folder / "run" / "run.json").read_bytes()
    heard = Heard()
    audit(plan, folder / "run", progress=heard)
    assert heard.shards == [] and (folder / "run" / "run.json").read_bytes() == described


def test_neither_batches_nor_other_images_change_a_certificate(run: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    plan = PLAN.replace("batch = 3", "batch = 1").replace("images = 3\nradii", "images = 5\nradii")
    audit(tiny.write(folder, plan), folder / "run")
    mine, theirs = stored(folder / "run"), stored(run.path)
    assert len(mine) == 10 and {name: mine[name] for name in theirs} == theirs


def test_what_changed_is_computed_again_and_the_rest_is_kept(run: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    audit(tiny.write(folder, PLAN), folder / "run")
    heard = Heard()
    audit(tiny.rewrite(folder, PLAN.replace("25]", "30]")), folder / "run", update=True, progress=heard)
    assert [name.partition(", image")[0] for name in heard.shards] == ["certificates, sigma 30"] * 3


def test_a_lost_or_damaged_file_is_named(run: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    plan = tiny.write(folder, PLAN)
    made = RunFolder(audit(plan, folder / "run").folder)
    victim = sorted((made.path / "certificates").glob("*.parquet"))[0]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-20])
    with pytest.raises(StorageError, match=rf"{victim.name} is damaged.*Delete this file and run `palpate audit`"):
        made.certificate_frame()
    victim.unlink()
    assert summarise(made)["status"] == "unfinished" and not made.complete()
    heard = Heard()
    assert audit(plan, made.path, progress=heard).status == "finished" and len(heard.shards) == 1
    assert victim.read_bytes() == whole


def test_results_have_both_bounds_and_the_price_of_smoothing(run: RunFolder) -> None:
    results = summarise(run)
    json.dumps(results, allow_nan=False)
    one, _ = results["certificates"]["items"]
    outcome, _ = arrange_certificates(run.certificate_frame())
    for place, point in enumerate(one["points"]):
        assert point["certified"]["acceptable"]["value"] == pytest.approx(outcome.least.acceptable[place].mean())
        assert point["attacked"]["acceptable"]["value"] == pytest.approx(outcome.most.acceptable[place].mean())
        assert point["certified"]["score"]["value"] <= point["attacked"]["score"]["value"]
    assert one["smoothed"]["value"] == pytest.approx((outcome.prediction == outcome.label).mean())
    assert one["clean"]["acceptable"]["value"] == pytest.approx(outcome.clean_right.mean())
    assert one["unsettled"]["value"] == pytest.approx((outcome.prediction == -1).mean())
    assert one["forwards"] == outcome.forwards.sum() and one["images"] == 3 and one["attack"]
    right = np.where(outcome.least.acceptable[0], outcome.certified, 0)
    assert one["median_radius"] == np.sort(right)[1]


def test_gates_are_measured_on_the_lower_bounds(run: RunFolder) -> None:
    gates, (one, _) = run.describe()["gates"], arrange_certificates(run.certificate_frame())
    assert [gate["text"] for gate in gates] == [
        "certified accuracy within L2 12 with sigma 5%: at least 0.9",
        "certified accuracy within L2 0 with sigma 12.75: at least 0.1",
    ]
    assert one.least.acceptable[2].mean() < one.most.acceptable[2].mean(), "so that the wrong bound would be noticed"
    assert gates[0]["value"] == pytest.approx(one.least.acceptable[2].mean()) and not gates[0]["passed"]
    assert gates[1]["value"] == pytest.approx(one.least.acceptable[0].mean()) and gates[1]["passed"]


def test_a_model_without_gradients_is_certified_and_not_attacked(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path, PLAN.replace("model.py:build", "model.py:blocked"))
    outcome = audit(plan, tmp_path / "run")
    assert outcome.status == "finished" and not outcome.failed
    run = RunFolder(outcome.folder)
    said = "The smoothed model is not attacked, so that only lower bounds are known: the model blocks gradients"
    assert any(one["subject"] == "certificates" and one["text"].startswith(said) for one in run.describe()["findings"])
    frame = run.certificate_frame()
    assert not frame["attacked"].any() and not frame["backwards"].any() and (frame["certified"] > 0).any()
    summary = summarise(run)["certificates"]
    assert [point["attacked"] is None for point in summary["items"][0]["points"]] == [False, True, True, True]
    assert any(said in text for text in summary["details"])
    assert "it was not attacked" in summary["sentence"]


def test_a_model_that_is_smoothed_already_is_not_smoothed_twice(run: RunFolder, tmp_path: Path) -> None:
    around = '[[model.defences]]\ndefence = "smoothing"\nsigma = 12.75\ndraws = 2\nvotes = 4\n\n[data]'
    plan = PLAN.replace("[data]", around, 1).replace('sigma = ["5%", 25]', "attack = false")
    made = RunFolder(audit(tiny.write(tmp_path, plan), tmp_path / "run").folder)
    mine, theirs = made.certificate_frame(), run.certificate_frame()
    same = theirs["sigma"] == 12.75
    assert set(mine["sigma"]) == {12.75} and set(mine["forwards"]) == {71}
    for name in ("row", "share", "certified", "prediction", "least_score", "clean_right"):
        assert mine[name].tolist() == theirs[name][same].tolist()


def test_without_an_attack_only_lower_bounds_are_computed(tmp_path: Path) -> None:
    run = RunFolder(audit(tiny.write(tmp_path, PLAN + "attack = false\n"), tmp_path / "run").folder)
    frame = run.certificate_frame()
    assert set(frame["forwards"]) == {71} and set(frame["backwards"]) == {0}


@pytest.mark.parametrize("task", ["segmentation", "volume", "multilabel"])
def test_masks_volumes_and_findings(task: str, tmp_path: Path) -> None:
    section = SECTION.replace('["5%", 25]', "10").replace(
        "images = 3\nradii = [2, 12, 60]", "images = 1\nradii = [5, 90]"
    )
    gate = '\n[[gates]]\nmetric = "certified_{}"\nradius = 5\nat_most = 1.0\n'
    section += gate.format("accuracy") + gate.format("score")
    plan = tiny_dense.write(tmp_path / task, task, section.replace("steps = 4", "tau = 0.7\nsteps = 3"))
    outcome = audit(plan, tmp_path / "run")
    assert outcome.status == "finished" and not outcome.failed, outcome.findings
    results = summarise(RunFolder(outcome.folder))
    (item,) = results["certificates"]["items"]
    names = {"multilabel": ["upper", "lower"]}.get(task, ["", *2 * results["task"]["classes"]])
    assert [part["part"] for part in item["points"][0]["parts"]] == names
    lows = [point["certified"]["score"]["value"] for point in item["points"]]
    highs = [point["attacked"]["score"]["value"] for point in item["points"]]
    assert lows == sorted(lows, reverse=True) and highs == sorted(highs, reverse=True)
    assert all(low <= high for low, high in zip(lows, highs, strict=True)) and lows[1] > 0.9 and lows[-1] == 0
    assert item["tau"] == (None if task == "multilabel" else 0.7)
    bounds = item["points"][1]["certified"]
    assert [gate.value for gate in outcome.gates] == [bounds["acceptable"]["value"], bounds["score"]["value"]]
    assert len(item["points"]) == (3 if task == "multilabel" else 4)


def test_too_few_samples_for_so_many_pixels_are_said_before_the_first_attack(tmp_path: Path) -> None:
    section = "\n[certificates]\nsigma = 10\nsamples = 12\n"
    plan = tiny_dense.write(tmp_path, "segmentation", section)
    with pytest.raises(InputError, match=r"12 samples can certify nothing.*256 decisions together.*Use at least 18"):
        audit(plan, tmp_path / "run")
    assert not (tmp_path / "run" / "records").exists()
