"""YOLO sets: boxes as fractions, in one text an image."""

from __future__ import annotations

from pathlib import Path

import pytest

from palpate.data.annotations.labels import BoxLabels
from palpate.data.layouts.yolo import Yolo, read_yolo, yolo_splits
from palpate.data.table import read_table
from palpate.errors import InputError
from tests.data.pictures import noise, save

YAML = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cell\n  1: clot\n"


def dataset(folder: Path, yaml: str = YAML, **texts: str) -> Path:
    """Images of 10 x 8 in `images/val`, those of which a text is given with boxes; `c` has none."""
    texts = texts or {"a": "0 0.5 0.5 0.25 1\n1 .5 .25 .5 .5\n", "b": ""}
    for name in (*texts, "c"):
        save(folder / f"images/val/{name}.jpg", noise(10, 8))
    save(folder / "images/train/t.jpg", noise(10, 8))
    (folder / "labels/val").mkdir(parents=True)
    for name, text in texts.items():
        (folder / f"labels/val/{name}.txt").write_text(text)
    (folder / "data.yaml").write_text(yaml)
    return folder / "data.yaml"


def test_boxes_and_images_without_boxes(tmp_path: Path) -> None:
    path = dataset(tmp_path)
    assert yolo_splits(read_yolo(path)) == {"val": 3, "train": 1}
    table = read_table(Yolo(path), BoxLabels())
    assert [case.name for case in table] == [f"images/val/{name}.jpg" for name in "abc"]
    first = table.annotation(0)
    assert first is not None and first.boxes is not None and first.classes is not None
    assert first.boxes.tolist() == [pytest.approx([0.375, 0, 0.625, 1]), pytest.approx([0.25, 0, 0.75, 0.5])]
    assert first.classes.tolist() == [0, 1] and table.classes == ("cell", "clot")
    assert [len(table.annotation(row).boxes) for row in (1, 2)] == [0, 0]  # type: ignore[union-attr,arg-type]
    assert tmp_path / "labels/val/a.txt" in table.files(0) and len(table.files(2)) == 1


def test_classes_in_the_order_of_the_model(tmp_path: Path) -> None:
    table = read_table(Yolo(dataset(tmp_path)), BoxLabels(["clot", "cell"]))
    assert table.annotation(0).classes.tolist() == [1, 0]  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"names the classes cell, clot, and the task cell: clot is missing"):
        read_table(Yolo(tmp_path / "data.yaml"), BoxLabels(["cell"]))


def test_polygons_and_key_points_give_the_boxes_around(tmp_path: Path) -> None:
    drawn = dataset(tmp_path / "seg", a="1 .25 .5 .5 .75 .75 .5\n")
    assert read_table(Yolo(drawn), BoxLabels()).annotation(0).boxes.tolist() == [[0.25, 0.5, 0.75, 0.75]]  # type: ignore[union-attr]
    posed = dataset(tmp_path / "pose", YAML + "kpt_shape: [1, 2]\n", a="0 .5 .5 .5 .5 .1 .1\n")
    assert read_table(Yolo(posed), BoxLabels()).annotation(0).boxes.tolist() == [[0.25, 0.25, 0.75, 0.75]]  # type: ignore[union-attr]


def test_paths_as_exports_write_them(tmp_path: Path) -> None:
    for name in ("train", "valid"):
        save(tmp_path / f"{name}/images/a.jpg", noise(10, 8))
        (tmp_path / f"{name}/labels").mkdir()
        (tmp_path / f"{name}/labels/a.txt").write_text("0 .5 .5 .5 .5\n")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['cell']\n")
    assert read_table(Yolo(tmp_path / "data.yaml"), BoxLabels())[0].name == "valid/images/a.jpg"
    (tmp_path / "data.yaml").unlink()
    assert (
        read_table(Yolo(tmp_path), BoxLabels()).classes == ("0",)
        and read_table(Yolo(tmp_path), BoxLabels())[0].name == "valid/images/a.jpg"
    )


def test_splits_that_were_never_made_are_passed_over(tmp_path: Path) -> None:
    path = dataset(tmp_path, YAML + "test: ../test/images\n")
    assert list(read_yolo(path).splits) == ["val", "train"]


def test_a_list_of_images(tmp_path: Path) -> None:
    path = dataset(tmp_path, YAML.replace("images/val", "val.txt"))
    (tmp_path / "val.txt").write_text("./images/val/a.jpg\n\nimages/val/c.jpg\n")
    assert [case.name for case in read_table(Yolo(path), BoxLabels())] == ["images/val/a.jpg", "images/val/c.jpg"]
    (tmp_path / "val.txt").write_text("images/val/gone.jpg\n")
    with pytest.raises(InputError, match=r"val\.txt: 'images/val/gone\.jpg' does not exist"):
        read_table(Yolo(path), BoxLabels())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 .5 .5 .25", r"a\.txt, line 1: '0 \.5 \.5 \.25' is not a box"),
        ("cell .5 .5 .25 .5", r"a\.txt, line 1: 'cell .* is not a box"),
        ("\n0 120 80 40 20", r"a\.txt, line 2: the box holds 120, and YOLO writes fractions"),
        ("0 .5 .5 0 .5", r"a\.txt, line 1: the box has no area"),
        ("0 .5 nan .5 .5", r"is not a box"),
        ("7 .5 .5 .5 .5", r"data\.yaml names 2 classes, and a box has class 7"),
    ],
)
def test_texts_that_are_damaged(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_table(Yolo(dataset(tmp_path, a=text)), BoxLabels())


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("{", r"data\.yaml is not YAML"),
        ("names: [a]\n", r"data\.yaml names no images that are there\.  ?Give it the key val"),
        ("val: images/val\n", r"data\.yaml has no 'names'"),
        ("val: images/gone\nnames: [a]\n", r"'val' is 'images/gone', and there is no .*gone\. Give it"),
        ("val: images/val\nnames: {1: a, 2: b}\n", r"the numbers of its names are 1, 2\. Count them from 0"),
        ("val: images/val\nnames: 3\n", r"'names' is '3'\. Give a list of names"),
        ("val: 3\nnames: [a]\n", r"'val' is 3\. Give a folder of images"),
        ("a: &a [x]\nnames: [*a, *a]\nval: images/val\n", r"uses YAML aliases"),
        ("val: images/train\nnames: [a]\n", r"no image has a text of boxes; that of the first image would be"),
    ],
)
def test_descriptions_that_are_damaged(tmp_path: Path, yaml: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_table(Yolo(dataset(tmp_path, yaml)), BoxLabels())


def test_splits_and_folders_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no split 'test'\. Set data\.split to one of: val, train"):
        read_table(Yolo(dataset(tmp_path), "test"), BoxLabels())
    with pytest.raises(InputError, match=r"holds neither a data\.yaml nor the folders images and labels"):
        read_table(Yolo(tmp_path / "images"), BoxLabels())
    with pytest.raises(InputError, match=r"gone\.yaml does not exist"):
        read_table(Yolo(tmp_path / "gone.yaml"), BoxLabels())
