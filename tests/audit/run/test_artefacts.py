"""An audit with artefacts: what is stored, that a stop loses nothing, gates, and pictures that the rows give again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palpate.artefacts.parameter import check_theta
from palpate.artefacts.search import Ladder
from palpate.audit.plan.artefacts import artefact_items
from palpate.audit.run.runner import audit
from palpate.audit.subject.subject import load_subject
from palpate.audit.work.artefact_pictures import rebuilt
from palpate.errors import InputError
from palpate.metrics.artefacts import arrange_artefacts
from palpate.report.compute.results import summarise
from palpate.storage.artefacts import CLEAN, FAILING, FOUND, RANDOM, WORST_OF
from palpate.storage.runs import RunFolder
from tests.audit import tiny, tiny_dense
from tests.audit.tiny import Heard

HEAD, RUN = tiny.PLAN[: tiny.PLAN.index("[[attacks]]")], tiny.PLAN[tiny.PLAN.index("[run]") :]
SMALL = "draws = 2\ntries = 4\nevolution = 8\npolish = 2\nbisection = 3\n\n"
ARTEFACTS = f"""[[attacks]]
attack = "noise"
tries = 1

[[artefacts]]
artefact = "brightness"
{SMALL}[[artefacts]]
artefact = "position"
name = "moved"
{SMALL}"""
GATES = """
[[gates]]
metric = "robust_accuracy"
artefact = "brightness"
severity = 3
at_least = 0.0

[[gates]]
metric = "missed_disease"
artefact = "moved"
worst = true
at_most = 0.0
"""
PLAN = HEAD + ARTEFACTS + RUN + "\n[stability]\nimages = 0\n" + GATES


def stored(folder: Path) -> dict[str, bytes]:
    """The rows and pictures of artefacts, by name."""
    files = [*(folder / "artefacts").glob("*.parquet"), *(folder / "images").glob("artefact-*.png")]
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("artefacts") / "a"
    outcome = audit(tiny.write(folder, PLAN), folder / "run")
    assert outcome.status == "finished" and not outcome.failed and outcome.done == outcome.total == 9
    return RunFolder(outcome.folder)


def test_every_image_has_its_rows(run: RunFolder) -> None:
    frame = run.artefact_frame()
    for name, free in (("brightness", 1), ("moved", 3)):
        mine = {key: values[frame["artefact"] == name] for key, values in frame.items()}
        for kind, count in ((CLEAN, 1), (RANDOM, 12), (WORST_OF, 1), (FOUND, 1)):
            assert np.bincount(mine["row"][mine["kind"] == kind]).tolist() == [count] * 12
        at = mine["kind"] == RANDOM
        assert np.unique(mine["severity"][at], return_counts=True)[1].tolist() == [24, 24, 24, 24, 48]
        assert {len(theta) for theta in mine["theta"][at]} == {free}
        assert len({tuple(theta) for theta in mine["theta"][at]}) == at.sum()
    # What a tuned search found is judged once more: the worst of several, the worst, the failing one.
    assert (frame["queries"] <= 1 + 12 + 8 + 2 + 3 + 3).all() and frame["queries"].min() > 13
    assert not frame["non_finite"].any()


def test_the_worst_found_is_at_least_as_bad_as_the_worst_of_several(run: RunFolder) -> None:
    frame = run.artefact_frame()
    for name in ("brightness", "moved"):
        own = frame["artefact"] == name
        drawn = own & (frame["kind"] == RANDOM) & (frame["severity"] == 5)
        for row in range(12):
            here = own & (frame["row"] == row)
            (least,) = frame["margin"][here & (frame["kind"] == WORST_OF)]
            assert least == pytest.approx(frame["margin"][drawn & here].min(), abs=1e-4)
            assert frame["margin"][here & (frame["kind"] == FOUND)] <= least + 1e-6


def test_rows_agree_with_the_images_that_they_describe(run: RunFolder) -> None:
    plan = tiny.write(run.path.parent, PLAN)
    subject, frame = load_subject(plan), run.artefact_frame()
    items = {item.name: item for item in artefact_items(plan)}
    with subject.victim as victim:
        for place in np.flatnonzero((frame["kind"] == FOUND) | (frame["kind"] == WORST_OF)):
            item, row = items[str(frame["artefact"][place])], int(frame["row"][place])
            theta = frame["theta"][place]
            image, targets = rebuilt(subject, item, row, int(frame["seed"][place]), theta.tolist())
            margin = item.task.margin(victim.judge(image[None]), targets)
            assert float(margin) == pytest.approx(frame["margin"][place], abs=1e-5)
            assert float((image - subject.images([row])[0]).abs().max()) == frame["linf"][place]
            assert float((image - image.round()).abs().max()) == 0 and image.min() >= 0 and image.max() <= 255
            check_theta(item.name, item.artefact.parameters, subject.images([row]).new_tensor(theta[None]).double())


def test_what_fails_first_is_below_what_was_searched(run: RunFolder) -> None:
    frame = run.artefact_frame()
    for one in arrange_artefacts(frame, (1, 2)):
        failed = one.eligible & (one.found.margin <= 0)
        assert (one.failing[failed] <= 5).all() and (one.failing[failed] > 0).all()
        assert (one.failing[one.clean.margin <= 0] == 0).all()
    assert (frame["kind"] == FAILING).any()


def test_gates_are_measured_on_artefacts(run: RunFolder) -> None:
    gates, (bright, moved) = run.describe()["gates"], arrange_artefacts(run.artefact_frame(), (1, 2))
    assert [gate["text"] for gate in gates] == [
        "robust accuracy at severity 3 of 'brightness': at least 0",
        "missed disease at the worst found of 'moved': at most 0",
    ]
    assert gates[0]["value"] == pytest.approx(bright.right[2].mean()) and gates[0]["passed"]
    assert gates[1]["value"] == pytest.approx(np.nanmean(moved.found.missed))
    assert gates[1]["passed"] == (gates[1]["value"] == 0)


def test_a_stop_loses_nothing(run: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    plan = tiny.write(folder, PLAN)
    outcome = audit(plan, folder / "run", progress=Heard(stop_after=5))
    assert outcome.interrupted and (outcome.done, outcome.total) == (5, 9)
    heard = Heard()
    assert audit(plan, folder / "run", progress=heard).status == "finished" and len(heard.shards) == 4
    assert stored(folder / "run") == stored(run.path)
    described = (folder / "run" / "run.json").read_bytes()
    heard = Heard()
    audit(plan, folder / "run", progress=heard)
    assert heard.shards == [] and (folder / "run" / "run.json").read_bytes() == described


def test_batches_do_not_change_rows(run: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    audit(tiny.write(folder, PLAN.replace("batch = 3", "batch = 5")), folder / "run")
    mine, theirs = (RunFolder(path).artefact_frame() for path in (folder / "run", run.path))
    for name in ("row", "kind", "severity", "right", "queries", "seed"):
        assert mine[name].tolist() == theirs[name].tolist()


def test_a_new_name_keeps_the_rows_and_another_search_does_not(run: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    audit(tiny.write(folder, PLAN), folder / "run")
    heard = Heard()
    audit(tiny.rewrite(folder, PLAN.replace('"moved"', '"shift"')), folder / "run", update=True, progress=heard)
    assert heard.shards == []
    assert set(RunFolder(folder / "run").artefact_frame()["artefact"]) == {"brightness", "shift"}
    heard = Heard()
    changed = PLAN.replace("evolution = 8", "evolution = 9", 1)
    audit(tiny.rewrite(folder, changed), folder / "run", update=True, progress=heard)
    assert [name.partition(",")[0] for name in heard.shards] == ["brightness"] * 3


def test_pictures_show_the_worst_and_say_that_they_are_synthetic(run: RunFolder) -> None:
    pictures, frame = run.describe()["artefacts"]["pictures"], run.artefact_frame()
    assert [picture["artefact"] for picture in pictures] == ["brightness", "moved"]
    for picture in pictures:
        own = (frame["artefact"] == picture["artefact"]) & (frame["kind"] == FOUND) & frame["eligible"]
        assert picture["row"] == frame["row"][own][np.argmin(frame["margin"][own])]
        (shown,) = picture["slices"]
        with Image.open(run.path / shown["after"]) as after, Image.open(run.path / shown["before"]) as before:
            assert "Synthetic" in str(after.info) and "Synthetic" not in str(before.info)
            assert after.size == before.size and after.tobytes() != before.tobytes()
    assert "offset" in pictures[0]["words"] and "rotation" in pictures[1]["words"]


def test_results_hold_both_halves(run: RunFolder) -> None:
    results = summarise(run)
    bright, moved = results["artefacts"]["items"]
    assert results["attacks"] and bright["name"] == "brightness" and moved["moves"] and not bright["moves"]
    outcome = arrange_artefacts(run.artefact_frame(), (1, 2))[0]
    assert [point["acceptable"]["value"] for point in bright["points"]] == pytest.approx(outcome.right.mean(axis=1))
    assert bright["worst"]["failed"] == int((outcome.eligible & (outcome.found.margin <= 0)).sum())
    per_class = [1 - outcome.right[:, outcome.label == one].mean() for one in range(3)]
    clean = [1 - outcome.clean.right[outcome.label == one].mean() for one in range(3)]
    assert bright["corruption_error"]["value"] == pytest.approx(np.mean(per_class))
    assert bright["added_error"]["value"] == pytest.approx(np.mean(per_class) - np.mean(clean))
    assert sum(bright["found_by"].values()) == bright["images"] == 12
    json.dumps(results, allow_nan=False)


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_annotations_move_along(task: str, tmp_path: Path) -> None:
    extra = f'[[artefacts]]\nartefact = "position"\n{SMALL}[quality]\nimages = 0\n\n[stability]\nimages = 0\n'
    plan = tiny_dense.write(tmp_path / task, task, extra)
    outcome = audit(plan, tmp_path / "run")
    assert outcome.status == "finished" and not outcome.failed
    frame = RunFolder(tmp_path / "run").artefact_frame()
    # The model is a threshold on brightness, so it moves with what it looks for; without moving masks it would fail.
    assert np.nanmin(frame["score"][frame["kind"] == CLEAN]) == 1
    assert np.nanmean(frame["score"][frame["kind"] == RANDOM]) > 0.6
    results = summarise(RunFolder(tmp_path / "run"))
    assert results["artefacts"]["items"][0]["worst"]["score"]["value"] < 1


def test_an_artefact_that_the_images_cannot_have_is_refused_before_anything_runs(tmp_path: Path) -> None:
    tiny.write(tmp_path, PLAN)
    unfit = PLAN.replace("[data]\n", '[data]\nmodality = "mr"\n')
    with pytest.raises(InputError, match="any_modality"):
        audit(tiny.rewrite(tmp_path, unfit.replace('"position"', '"lens-particles"')), tmp_path / "run")
    assert not (tmp_path / "run" / "records").exists()


def test_errors_are_divided_by_those_of_a_named_reference(run: RunFolder, tmp_path: Path) -> None:
    ours = summarise(run)["artefacts"]
    assert ours["reference"] == "" and ours["relative_error"] is None
    folder = tmp_path / "e"
    tiny.write(folder, PLAN)
    tiny.retrain(folder)
    named = PLAN.replace("seed = 3\n", f'seed = 3\nreference = "{run.path}"\n', 1)
    audit(tiny.rewrite(folder, named), folder / "run")
    theirs = summarise(RunFolder(folder / "run"))["artefacts"]
    ratios = [
        mine["corruption_error"]["value"] / other["corruption_error"]["value"]
        for mine, other in zip(theirs["items"], ours["items"], strict=True)
    ]
    assert theirs["reference"] == "Tiny: model.py:build" and theirs["relative_error"] == pytest.approx(np.mean(ratios))
    for wrong, said in (
        ("nowhere", "Give a run folder, as"),
        (str(folder / "run"), "none of this plan's artefacts"),
    ):
        changed = named.replace(str(run.path), wrong).replace("tries = 4", "tries = 3")
        with pytest.raises(InputError, match=said):
            audit(tiny.rewrite(folder, changed), folder / "other")


def test_a_plan_searches_as_the_api_does_by_default(tmp_path: Path) -> None:
    (item,) = artefact_items(tiny.write(tmp_path, HEAD + ARTEFACTS[: ARTEFACTS.index("draws")] + RUN))
    assert item.ladder == Ladder()


BROKEN = """
import torch
from torch import nn

class Broken(nn.Sequential):
    def forward(self, images):
        bright = images.amax((1, 2, 3))[:, None] > 0.72
        return torch.where(bright, torch.nan, super().forward(images))

def build():
    return Broken(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
"""


def test_a_model_that_answers_with_nan_fails(tmp_path: Path) -> None:
    folder = tmp_path / "nan"
    tiny.write(folder, PLAN)
    (folder / "model.py").write_text(BROKEN)
    plan = HEAD + ARTEFACTS[: ARTEFACTS.rindex("[[artefacts]]")] + RUN + "\n[stability]\nimages = 0\n"
    assert audit(tiny.rewrite(folder, plan), folder / "run").status == "finished"
    frame = RunFolder(folder / "run").artefact_frame()
    found = frame["kind"] == FOUND
    lost = found & frame["non_finite"]
    assert lost.any() and not frame["right"][lost].any() and (frame["score"][lost] == 0).all()
    (outcome,) = arrange_artefacts(frame, (1, 2))
    drawn = np.array([frame["margin"][(frame["kind"] == RANDOM) & (frame["row"] == row)].min() for row in outcome.row])
    assert (outcome.found.margin <= drawn).all()
    checks = {check["subject"]: check for check in summarise(RunFolder(folder / "run"))["validity"]["checks"]}
    assert checks["Finite outputs"]["level"] == "failure"


def test_a_lost_file_makes_the_run_unfinished_and_its_gates_open(run: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    lost = RunFolder(tmp_path / "run")
    assert summarise(lost)["status"] == "finished" and len(summarise(lost)["gates"]) == 2
    next((lost.path / "artefacts").glob("*.parquet")).unlink()
    results = summarise(lost)
    assert results["status"] == "unfinished" and results["gates"] == []
    assert "when the run is finished" in results["verdict"]["gates"]
