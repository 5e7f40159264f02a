"""`palpate init` on data in the layouts of other tools: the plan that it writes reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from palpate.audit.plan import Plan, parse_plan
from palpate.audit.plan_tables import load_table
from palpate.audit.starter import starting_plan
from tests.data import layouts
from tests.data.test_datalist import pictures, volumes


def started(folder: Path, kind: str | None = None) -> Plan:
    place = folder.parent
    return parse_plan(starting_plan(folder, place, kind), place / "plan.toml")


@pytest.mark.parametrize("below", ["", "Dataset001_Hippo"])
def test_nnunet(tmp_path: Path, below: str) -> None:
    layouts.nnunet(tmp_path / "set" / below, channels=2)
    plan = started(tmp_path / "set")
    assert plan.data.nnunet == str(Path("set") / below) and plan.data.split == "train"
    assert plan.task.names == ("front", "back") and len(load_table(plan)) == 2


def test_regions_of_nnunet_overlap(tmp_path: Path) -> None:
    layouts.nnunet(tmp_path / "set", labels={"background": 0, "whole": [1, 2], "core": [2]})
    plan = started(tmp_path / "set")
    assert not plan.task.exclusive and load_table(plan).annotation(0).overlapping  # type: ignore[union-attr]


def test_a_decathlon_folder(tmp_path: Path) -> None:
    volumes(tmp_path / "set", labels={"0": "background", "1": "Anterior", "2": "Posterior"})
    plan = started(tmp_path / "set")
    assert plan.data.datalist == "set/dataset.json" and plan.task.names == ("Anterior", "Posterior")
    assert np.unique(load_table(plan).annotation(0).labels).tolist() == [0, 1, 2]  # type: ignore[arg-type]


def test_a_datalist_of_boxes(tmp_path: Path) -> None:
    pictures(tmp_path / "set", {"box": [[0, 0, 2, 2]], "label": ["cell"]}, {"box": [], "label": []})
    plan = started(tmp_path / "set")
    assert plan.task.kind == "detection" and plan.data.split == "validation" and len(load_table(plan)) == 2


def test_coco_beside_its_pictures(tmp_path: Path) -> None:
    path = layouts.coco(tmp_path / "set")
    (path.parent / "annotations").mkdir()
    path = path.rename(path.parent / "annotations/instances.json")
    boxes, masks = started(tmp_path / "set"), started(tmp_path / "set", "segmentation")
    assert boxes.data.coco == "set/annotations/instances.json" and boxes.data.images == "set"
    assert len(load_table(boxes).annotation(0).boxes) == 2  # type: ignore[arg-type]
    assert load_table(masks).annotation(0).overlapping and masks.task.names == ("tool", "polyp")


def test_voc(tmp_path: Path) -> None:
    layouts.voc(tmp_path / "set")
    plan = started(tmp_path / "set")
    assert (plan.data.voc, plan.data.split, plan.task.names) == ("set", "test", ("cell", "clot"))
    assert len(load_table(plan)) == 2


def test_files_that_describe_something_else_are_passed_over(tmp_path: Path) -> None:
    layouts.voc(tmp_path / "set")
    for name, text in {"a.json": "{", "b.json": '{"training": [{"image": 1, "label": 2}]}', "c.json": "[]",
                       "e.json": '{"images": [3], "annotations": [], "categories": []}',
                       "f.json": '{"training": [{"image": "x", "label": 2, "box": 3}]}',
                       "d.json": '{"images": [], "annotations": [], "categories": []}'}.items():  # fmt: skip
        (tmp_path / "set" / name).write_text(text)
    assert started(tmp_path / "set").data.voc == "set"
