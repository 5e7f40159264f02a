"""`palpate init` on data in the layouts of other tools: the plan that it writes reads them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from palpate.audit.plan.plan import Plan, parse_plan
from palpate.audit.plan.tables import load_table
from palpate.audit.starter.plan import starting_plan
from palpate.data.annotations.annotation import IGNORE
from palpate.errors import InputError
from tests.data import layouts
from tests.data.pictures import noise, save
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


def test_images_of_nnunet_in_one_file_say_what_their_values_are(tmp_path: Path) -> None:
    layouts.nnunet(tmp_path / "set", channels=1)
    text = starting_plan(tmp_path / "set", tmp_path)
    assert "FILL IN" not in "".join(line for line in text.splitlines() if line.startswith("bounds"))
    assert parse_plan(text, tmp_path / "plan.toml").model.bounds[1] > 1


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


def test_pictures_of_coco_are_looked_for_in_the_folder_alone(tmp_path: Path) -> None:
    for place in ("beside", "set/train", "set/val"):
        for number in range(2):
            save(tmp_path / place / f"{number}.png", noise(6, 8, seed=number))
    document = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(2)],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [{"id": 5, "image_id": 0, "category_id": 1, "bbox": [1, 1, 3, 3]}],
    }
    layouts.dump(tmp_path / "set/instances_val.json", document)
    assert started(tmp_path / "set").data.images == "set/val"
    (tmp_path / "set/instances_val.json").rename(tmp_path / "set/boxes.json")
    line = next(line for line in starting_plan(tmp_path / "set", tmp_path).splitlines() if line.startswith("images"))
    assert line == 'images = "set/train"  # FILL IN: these files are in val too'
    for place in ("train", "val"):
        shutil.rmtree(tmp_path / "set" / place)
    with pytest.raises(InputError, match=r"boxes\.json: the image '0\.png' \(images\[0\]\.file_name\) is neither"):
        started(tmp_path / "set")


def test_masks_of_voc(tmp_path: Path) -> None:
    for number in range(2):
        save(tmp_path / f"set/JPEGImages/{number}.jpg", noise(6, 8, seed=number))
        mask = np.zeros((6, 8), dtype=np.uint8)
        mask[1:3], mask[3], mask[4:] = 3, 255, 7
        save(tmp_path / f"set/SegmentationClass/{number}.png", mask)
    (tmp_path / "set/ImageSets/Segmentation").mkdir(parents=True)
    (tmp_path / "set/ImageSets/Segmentation/val.txt").write_text("1\n")
    plan = started(tmp_path / "set")
    assert (plan.data.voc, plan.data.split, plan.data.values) == ("set", "val", (3, 7))
    labels = load_table(plan).annotation(0).labels  # type: ignore[union-attr]
    assert labels is not None and labels[:, 0].tolist() == [0, 1, 1, IGNORE, 2, 2]


def test_a_table_says_more_than_folders_of_masks(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / f"set/images/{number}.png", noise(6, 8, seed=number))
        save(tmp_path / f"set/masks/{number}.png", np.eye(6, 8, dtype=np.uint8))
    lines = [f"images/{n}.png,masks/{n}.png,p{n % 2}" for n in range(4)]
    (tmp_path / "set/labels.csv").write_text("\n".join(["image,mask,patient", *lines]) + "\n")
    plan = started(tmp_path / "set")
    assert plan.data.table == "set/labels.csv" and plan.data.group == "patient"


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
