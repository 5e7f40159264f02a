"""Tables, masks and descriptions with the faults and habits that people bring: read, asked, or refused with a fix."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from palpate.audit.plan.plan import load_plan
from palpate.audit.plan.tables import load_table
from palpate.cli import main
from tests.data.pictures import noise, save
from tests.data.volumes import write
from tests.first_hour.class_layouts import model, pictures, sheet

NAMES = [f"images/{n}.png" for n in range(8)]


def init(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Status, terminal and plan of `palpate init`."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["init", str(folder)])
    told = capsys.readouterr()
    plan = folder / "plan.toml"
    return int(ended.value.code or 0), told.out + told.err, plan.read_text() if plan.exists() else ""


def block(low: int, inside: int) -> np.ndarray:
    mask = np.full((16, 16), low, np.uint8)
    mask[4:12, 4:12] = inside
    return mask


def test_black_structures_on_white_are_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(4):
        save(tmp_path / f"images/{n}.png", noise(16, 16, seed=n))
        mask = block(255, 128)
        mask[6:9, 6:9] = 0
        save(tmp_path / f"masks/{n}.bmp", mask)
    _, told, plan = init(tmp_path, capsys)
    line = next(line for line in plan.splitlines() if line.startswith("values"))
    assert line.startswith("values = [128, 255]  # FILL IN: every mask that was checked has 255 along its whole edge")
    assert "needs your value" in told


def test_masks_that_fill_the_picture_are_not_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(4):
        save(tmp_path / f"images/{n}.png", noise(16, 16, seed=n))
        save(tmp_path / f"masks/{n}.png", block(1, 2))
    assert "FILL IN: every mask" not in init(tmp_path, capsys)[2]


def test_several_structures_in_jpeg(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(4):
        save(tmp_path / f"images/{n}.png", noise(16, 16, seed=n))
        mask = block(0, 120)
        mask[5:8, 5:8] = 240
        mask[9:11, 9:11] = 60
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / f"masks/{n}.jpg", quality=60)
    status, told, _ = init(tmp_path, capsys)
    assert status == 2
    assert "masks/0.jpg: JPEG has changed the values of the masks" in told.replace("\n", " ")


def test_two_columns_of_masks_are_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(4):
        save(tmp_path / f"images/{n}.png", noise(16, 16, seed=n))
        save(tmp_path / f"disc/{n}.png", block(0, 1))
        save(tmp_path / f"cup/{n}.png", block(0, 1))
    sheet(tmp_path / "labels.csv", "image,disc,cup", [f"images/{n}.png,disc/{n}.png,cup/{n}.png" for n in range(4)])
    model(tmp_path, 2)
    _, _, plan = init(tmp_path, capsys)
    asked = 'or mask = ["disc", "cup"], each named in task.structures, with task.exclusive = false'
    assert f'mask = "disc"  # FILL IN: or cup; {asked}' in plan
    fixed = re.sub("^mask = .*$", 'mask = ["disc", "cup"]', plan, flags=re.MULTILINE)
    fixed = fixed.replace('structures = ["disc"]', 'structures = ["disc", "cup"]')
    (tmp_path / "plan.toml").write_text(fixed.replace("exclusive = true", "exclusive = false"))
    assert load_table(load_plan(tmp_path / "plan.toml")).classes == ("disc", "cup")


def test_a_missing_value_is_no_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path, NAMES)
    sheet(
        tmp_path / "labels.csv", "file,label", [f"{name},{'nan' if n == 5 else n % 2}" for n, name in enumerate(NAMES)]
    )
    status, told, _ = init(tmp_path, capsys)
    assert status == 2
    assert "labels.csv, line 7: column 'label' holds 'nan' (1 of 8 lines)" in told


@pytest.mark.parametrize("words", [("True", "False"), ("yes", "no")])
def test_findings_in_words(tmp_path: Path, words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path, NAMES)
    rows = [f"{name},{words[n % 2]},{words[n % 3 == 0]}" for n, name in enumerate(NAMES)]
    sheet(tmp_path / "labels.csv", "image,edema,mass", rows)
    assert 'findings = ["edema", "mass"]' in init(tmp_path, capsys)[2]


def test_the_folder_that_a_set_came_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path, [f"train/p{n}/view1.png" for n in range(8)])
    sheet(tmp_path / "train.csv", "Path,Edema", [f"Set-v1/train/p{n}/view1.png,{n % 2}" for n in range(8)])
    told = init(tmp_path, capsys)[1]
    assert "There is 'train/p0/view1.png'" in told
    assert "Remove 'Set-v1/' before it in the column." in told


def test_a_centre_is_no_hospital(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path, NAMES)
    rows = [f"{name},0.{n + 2},0.5,0.2,0.2,nodule" for n, name in enumerate(NAMES[:6])]
    sheet(tmp_path / "boxes.csv", "image,x_center,y_center,w,h,class", rows)
    plan = init(tmp_path, capsys)[2]
    assert 'box_unit = "fractions"' in plan
    assert "site =" not in plan


def test_a_second_column_of_images_is_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path, [f"images/{n}_{side}.png" for n in range(8) for side in ("left", "right")])
    rows = [f"{n}_left.png,{n}_right.png,{n % 2},{int(n % 3 == 0)}" for n in range(8)]
    sheet(tmp_path / "labels.csv", "Left-Fundus,Right-Fundus,N,D", rows)
    assert "column 'Right-Fundus' names images too" in init(tmp_path, capsys)[1]


def test_boxes_without_a_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path, NAMES)
    sheet(tmp_path / "annotations.csv", f"{NAMES[0]},2,2,6,6,polyp", [f"{name},2,2,6,6,polyp" for name in NAMES[1:]])
    assert "line 1: 'images/0.png' looks like an image and not like the name of a column" in init(tmp_path, capsys)[1]


Document = dict[str, Any]


def _without(key: str) -> Callable[[Document], None]:
    return lambda document: document.pop(key)


def _backslashes(document: Document) -> None:
    for one in document["images"]:
        one["file_name"] = "val\\" + one["file_name"]


COCO: dict[str, tuple[Callable[[Document], None], str]] = {
    "no annotations": (_without("annotations"), "a.json has no 'annotations'"),
    "no categories": (_without("categories"), "a.json has no 'categories'"),
    "an image that is null": (lambda document: document["images"].append(None), "a.json, image 5 is empty"),
    "no box": (lambda document: document.update(annotations=[]), "no box of the 4 images. Give the boxes"),
    "fractions": (
        lambda document: [one.update(bbox=[0.1, 0.1, 0.5, 0.5]) for one in document["annotations"]],
        "Multiply them by the width and the height of the image.",
    ),
    "paths of Windows": (_backslashes, "boxes of polyp"),
}


@pytest.mark.parametrize("case", COCO)
def test_faults_of_coco_files(tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    change, sentence = COCO[case]
    pictures(tmp_path, [f"val/{n}.png" for n in range(4)])
    document: Document = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(4)],
        "annotations": [{"id": n, "image_id": n, "category_id": 0, "bbox": [1, 1, 4, 4]} for n in range(4)],
        "categories": [{"id": 0, "name": "polyp"}],
    }
    change(document)
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert sentence in init(tmp_path, capsys)[1].replace("\n", " ")


def test_a_mask_with_nan_gets_a_fix_that_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(3):
        write(tmp_path / f"img{n}.nii.gz", np.full((8, 8, 5), n, np.int16))
        write(tmp_path / f"seg{n}.nii.gz", np.where(np.arange(5) > 1, 1, np.nan) * np.ones((8, 8, 1), np.float32))
    sheet(tmp_path / "labels.csv", "file,mask", [f"img{n}.nii.gz,seg{n}.nii.gz" for n in range(3)])
    status, told, _ = init(tmp_path, capsys)
    assert status == 2
    assert "seg0.nii.gz is a mask and holds NaN in 128 of 320 voxels. Write 0 there" in told
    for n in range(3):
        write(tmp_path / f"seg{n}.nii.gz", np.broadcast_to(np.arange(5) > 1, (8, 8, 5)).astype(np.float32))
    assert 'mask = "mask"' in init(tmp_path, capsys)[2]
