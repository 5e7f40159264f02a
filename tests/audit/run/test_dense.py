"""Audits of masks, volumes, boxes and findings, from files to records."""

from __future__ import annotations

import json

import numpy as np
import pytest

from palpate.audit.plan.goals import detection_goal, mask_goal
from palpate.audit.plan.plan import load_plan
from palpate.audit.plan.sections.tasks import DetectionSection, SegmentationSection
from palpate.audit.run.runner import audit
from palpate.errors import InputError, PlanError
from palpate.storage.runs import RunFolder
from tests.audit import tiny_dense

KINDS = tuple(tiny_dense.TASKS)
GOALS = {
    "segmentation": ("erase: square", "insert: square, radius 2, at 0.85 0.7", "move: 0 4"),
    "volume": ("erase: cube", "shift: cube, 0.05 ml"),
    "detection": ("vanish", "fabricate", "vanish: square"),
    "multilabel": ("all findings", "miss: upper", "invent: lower, upper"),
}


def carried_out(folder, kind, more=""):
    outcome = audit(tiny_dense.write(folder, kind, more), folder / "run")
    assert outcome.status == "finished", outcome
    return outcome, RunFolder(folder / "run").frame()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_task_is_audited_from_its_files(tmp_path, kind):
    outcome, frame = carried_out(tmp_path, kind)
    assert not outcome.failed
    pgd, noise = frame["attack"] == "pgd", frame["attack"] == "noise"
    large = frame["eps"] == 40
    shown = frame["eligible"]
    assert shown[pgd].any()
    # The squares are 30 above the threshold: no change of 20 hides them, and one of 40 hides every one.
    assert frame["success"][pgd & large & shown].all()
    assert not frame["success"][pgd & ~large].any()
    assert not frame["success"][noise & ~large].any()
    assert frame["clean_right"][frame["clean_margin"] > 0].all()
    assert (frame["label"] == -1).all() and (frame["prediction"] == -1).all()


@pytest.mark.parametrize("kind", ["segmentation", "volume", "detection"])
def test_an_image_without_anything_to_find_is_never_a_success(tmp_path, kind):
    _, frame = carried_out(tmp_path, kind)
    empty = frame["row"] == 5
    assert empty.any() and not frame["eligible"][empty].any() and not frame["success"][empty].any()
    assert np.isnan(frame["clean_score"][empty]).all() or kind == "detection"


@pytest.mark.parametrize(("kind", "goal"), [(kind, goal) for kind, goals in GOALS.items() for goal in goals])
def test_every_goal_can_be_written_in_a_plan_and_is_reached(tmp_path, kind, goal):
    more = f'[[attacks]]\nattack = "bim"\nname = "aimed"\ngoal = "{goal}"\nsteps = 8\n'
    outcome, frame = carried_out(tmp_path, kind, more)
    assert not outcome.failed
    aimed = (frame["attack"] == "aimed") & (frame["eps"] == 40)
    assert frame["eligible"][aimed].any()
    assert frame["success"][aimed].any()
    assert (frame["margin"][aimed & frame["success"]] <= 0).all()


@pytest.mark.parametrize(("kind", "again"), [("segmentation", True), ("detection", True), ("multilabel", False)])
def test_masks_and_boxes_are_attacked_to_the_end_at_every_budget(tmp_path, kind, again):
    # What falls at 40 is attacked again at 60 only where a score can go on falling.
    plan = tiny_dense.write(tmp_path, kind)
    (tmp_path / "plan.toml").write_text(plan.text.replace("eps = [20, 40]", "eps = [40, 60]"))
    audit(load_plan(tmp_path / "plan.toml"), tmp_path / "run")
    frame = RunFolder(tmp_path / "run").frame()
    rows = (frame["attack"] == "pgd") & (frame["eps"] == 60) & frame["eligible"]
    assert rows.any() and frame["success"][rows].all()
    assert set(frame["backwards"][rows]) == ({4} if again else {0})


def test_goals_in_words_name_what_the_plan_names():
    lungs = SegmentationSection(kind="segmentation", structures=("left", "right", "lesion"))
    cells = DetectionSection(kind="detection", classes=("red", "white"))
    erase, swap = mask_goal("erase: lesion, into left", lungs), mask_goal("swap: left, right", lungs)
    assert (erase.structure, erase.into, erase.describe()) == (2, 0, "erase lesion")
    assert (swap.first, swap.second, swap.describe()) == (0, 1, "swap left and right")
    assert detection_goal("fabricate: white", cells).classes == (1,)
    assert detection_goal("mislabel", cells).describe() == "mislabel"


def test_measures_have_the_units_of_the_files(tmp_path):
    carried_out(tmp_path, "segmentation")
    measures = json.loads((tmp_path / "run" / "run.json").read_text())["task"]["measures"]
    units = {measure["name"]: measure["unit"] for measure in measures}
    assert units["hd95"] == "mm" and units["dice"] == ""
    assert {measure["part"] for measure in measures} == {"square"}


def test_volumes_of_two_sizes_are_audited_in_their_order(tmp_path):
    _, frame = carried_out(tmp_path, "volume")
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert frame["row"][frame["attack"] == "pgd"].tolist() == sorted(frame["row"][frame["attack"] == "pgd"].tolist())
    assert described["data"]["shape"] == [] and described["data"]["spacing"] == [1.0, 1.0, 3.0]
    assert "12" in described["model"]["inferer"]


def test_masks_without_spacing_are_measured_in_pixels(tmp_path):
    plan = tiny_dense.write(tmp_path, "segmentation")
    (tmp_path / "plan.toml").write_text(plan.text.replace("spacing = [2.0, 1.0]\n", ""))
    audit(load_plan(tmp_path / "plan.toml"), tmp_path / "run")
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    units = {measure["name"]: measure["unit"] for measure in described["task"]["measures"]}
    assert units["hd95"] == "px" and described["data"]["spacing"] is None


@pytest.mark.parametrize(
    ("kind", "old", "new", "message"),
    [
        ("segmentation", 'mask = "mask"\n', "", "data.mask: segmentation needs it"),
        ("segmentation", "floor = 0.6", "floor = 1.5", "task.floor"),
        ("segmentation", "floor = 0.6", 'structure = "circle"', "structure: 'circle' is not one of the structures"),
        ("segmentation", 'steps = 4', 'steps = 4\ngoal = "erase: circle"', "there is no structure 'circle'"),
        ("segmentation", 'steps = 4', 'steps = 4\ngoal = "shift: square"', "Write it like 'shift: "),
        ("segmentation", 'steps = 4', 'steps = 4\ngoal = "erase"', "there is no goal 'erase'"),
        ("detection", 'attack = "pgd"', 'attack = "dice-pgd"', "'dice-pgd' attacks segmentation, not detection"),
        ("segmentation", 'attack = "pgd"', 'attack = "asma"', "'asma' needs a goal"),
        ("detection", 'boxes = "boxes.csv"\n', "", "data.boxes: detection needs it"),
        ("detection", 'steps = 4', 'steps = 4\ngoal = "vanish: circle"', "there is no class 'circle'"),
        ("multilabel", 'steps = 4', 'steps = 4\ngoal = "miss: circle"', "there is no finding 'circle'"),
        ("multilabel", 'table = "images.csv"', 'table = "images.csv"\nmask = "mask"', "data.mask: it belongs to kind"),
        ("multilabel", 'kind = "multilabel"', 'kind = "multilable"', "is not one of its values"),
        ("volume", "size = [12, 12, 12]", "size = [12, 12, 12]\noverlap = 1.0", "model.inferer.overlap"),
    ],
)  # fmt: skip
def test_a_plan_that_contradicts_itself_is_refused(tmp_path, kind, old, new, message):
    tmp_path.joinpath("plan.toml").write_text(tiny_dense.text(kind).replace(old, new))
    with pytest.raises(PlanError) as caught:
        load_plan(tmp_path / "plan.toml")
    assert message in str(caught.value)


def test_a_window_of_another_dimension_is_one_sentence(tmp_path):
    plan = tiny_dense.write(tmp_path, "volume")
    (tmp_path / "plan.toml").write_text(plan.text.replace("[12, 12, 12]", "[12, 12]"))
    with pytest.raises(InputError, match="size"):
        audit(load_plan(tmp_path / "plan.toml"), tmp_path / "run")
