"""COCO: boxes, polygons and run lengths as the format means them; ids may be any numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palpate.data.annotations.annotation import IGNORE
from palpate.data.annotations.coco_shapes import drawn
from palpate.data.annotations.labels import BoxLabels, MaskLabels
from palpate.data.layouts.coco import Coco
from palpate.data.listing import About
from palpate.data.table import read_table
from palpate.errors import InputError
from tests.data.layouts import coco
from tests.data.pictures import noise, save

BLOB = np.array([[0, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 1]], dtype=bool)


def test_boxes_of_images_with_and_without(tmp_path: Path) -> None:
    table = read_table(Coco(coco(tmp_path)), BoxLabels(("polyp", "tool")))
    assert [case.name for case in table] == [f"pictures/{number}.png" for number in range(3)]
    first = table.annotation(0)
    np.testing.assert_allclose(first.boxes, [[1 / 8, 2 / 6, 4 / 8, 4 / 6], [5.5 / 8, 0, 7.5 / 8, 1 / 6]], rtol=1e-6)  # type: ignore[arg-type]
    assert first.classes is not None and first.classes.tolist() == [0, 1]
    assert [len(table.annotation(row).boxes) for row in (1, 2)] == [0, 0]  # type: ignore[arg-type]


def test_categories_stand_in_the_order_of_their_ids(tmp_path: Path) -> None:
    table = read_table(Coco(coco(tmp_path)), BoxLabels())
    assert table.classes == ("tool", "polyp")
    assert table.annotation(0).classes.tolist() == [1, 0]  # type: ignore[union-attr]


def test_keys_of_images_are_columns(tmp_path: Path) -> None:
    table = read_table(Coco(coco(tmp_path), about=About(group="patient"), where={"id": 72}), BoxLabels())
    assert [(case.group, case.origin) for case in table] == [("p2", 2)]


def test_polygons_become_masks(tmp_path: Path) -> None:
    table = read_table(Coco(coco(tmp_path)), MaskLabels(("polyp", "tool"), spacing=(0.5, 0.5)))
    expected = np.zeros((6, 8))
    expected[2:4, 1:4] = 1
    expected[0, 5:8] = 2
    annotation = table.annotation(0)
    np.testing.assert_array_equal(annotation.labels, expected)
    assert annotation.spacing == (0.5, 0.5) and not annotation.overlapping
    assert not table.annotation(2).labels.any()  # type: ignore[union-attr]
    stack = read_table(Coco(tmp_path / "instances.json"), MaskLabels(exclusive=False)).annotation(0)
    assert stack.overlapping
    np.testing.assert_array_equal(stack.labels, [expected == 2, expected == 1])


def test_crowds_are_ignored(tmp_path: Path) -> None:
    labels = read_table(Coco(coco(tmp_path)), MaskLabels()).annotation(1).labels
    assert labels is not None and (labels[:, 0] == IGNORE).all() and not labels[:, 1:].any()


def test_structures_that_overlap(tmp_path: Path) -> None:
    box = [[0, 0, 2, 0, 2, 2, 0, 2]]
    things = [{"image_id": 70, "category_id": which, "segmentation": box} for which in (4, 9)]
    path = coco(tmp_path, annotations=things)
    with pytest.raises(InputError, match=r"tool and polyp overlap in 4 pixels.*Set task\.exclusive = false"):
        read_table(Coco(path), MaskLabels()).annotation(0)
    stack = read_table(Coco(path), MaskLabels(exclusive=False)).annotation(0).labels
    assert stack is not None and stack[:, :2, :2].all() and stack.sum() == 8


def test_a_polygon_holds_the_pixels_whose_centres_it_holds() -> None:
    triangle = drawn([[0, 0, 4, 0, 0, 4]], 5, 5, "x")
    rows, columns = np.mgrid[:5, :5] + 0.5
    away = np.abs(rows + columns - 4) > 1e-9
    np.testing.assert_array_equal(triangle[away], (rows + columns < 4)[away])
    assert drawn([[-9, -9, 20, -9, 20, 20, -9, 20]], 3, 4, "x").all()
    assert not drawn([[10, 10, 20, 10, 20, 20]], 3, 4, "x").any()


def test_run_lengths_are_those_of_cocos_own_tools() -> None:
    tools = pytest.importorskip("pycocotools.mask")
    for seed in range(20):
        mask = noise(13, 300, seed=seed) > 10 * seed
        packed = tools.encode(np.asfortranarray(mask.astype(np.uint8)))
        text = {"size": [13, 300], "counts": packed["counts"].decode()}
        np.testing.assert_array_equal(drawn(text, 13, 300, "x"), mask)
    assert (drawn({"size": [2, 2], "counts": [1, 2, 1]}, 2, 2, "x") == [[False, True], [True, False]]).all()


def test_polygons_agree_with_cocos_own_tools_but_for_the_outline() -> None:
    tools = pytest.importorskip("pycocotools.mask")
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.stack([50 + 30 * np.cos(angles), 40 + 20 * np.sin(angles)], 1).ravel().tolist()
    theirs = tools.decode(tools.frPyObjects([ring], 80, 100))[..., 0] == 1
    apart = drawn([ring], 80, 100, "x") ^ theirs
    assert apart.sum() < 0.05 * theirs.sum()


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([], "neither polygons nor run lengths"),
        ("polygon", "neither polygons nor run lengths"),
        ([[1, 2, 3, 4]], "a polygon has 4 numbers"),
        ([[1, 2, 3, 4, 5, "x"]], "a polygon has"),
        ([[[1, 2], [3, 4], [5, 6]]], "a polygon has 6 numbers"),
        ({"counts": [5], "size": [2, 2]}, "do not add up to the 4 pixels"),
        ({"counts": [-1, 5], "size": [2, 2]}, "do not add up to the 4 pixels"),
        ({"counts": [4], "size": [2, 3]}, r"have the size \[2, 3\]"),
        ({"counts": "0" * 9 + "P" * 50, "size": [2, 2]}, "do not add up"),
        ({"counts": "~~~", "size": [2, 2]}, "do not add up"),
        ({"size": [2, 2]}, "do not add up"),
    ],
)
def test_bad_shapes(segmentation: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        drawn(segmentation, 2, 2, "x.json, annotation 3")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"images": []}, "lists no images"),
        ({"images": {}}, "'images' is an object, and must be a list"),
        ({"categories": []}, "category_id 9 is not one of the categories"),
        ({"categories": [{"id": 9, "name": "a"}, {"id": 9, "name": "b"}]}, "category id 9 appears twice"),
        ({"categories": [{"id": 9, "name": "a"}, {"id": 4, "name": "a"}]}, "the category 'a' appears twice"),
        ({"annotations": [{"image_id": 1, "category_id": 9}]}, "image_id 1 is not one of the images"),
        ({"annotations": [{"image_id": 70, "category_id": "9"}]}, "'category_id' is a text, and must be a whole"),
        ({"annotations": [{"image_id": 70, "category_id": 9}]}, "annotation 1 has no bbox and no polygon"),
        ({"annotations": [{"image_id": 70, "category_id": 9, "bbox": [1, 2, 3]}]}, r"its bbox is \[1, 2, 3\]"),
        ({"annotations": [{"image_id": 70, "category_id": 9, "bbox": [1, 2, 0, 3]}]}, "annotation 1: .* no area"),
        ({"annotations": [{"id": 31, "image_id": 70, "category_id": 9, "bbox": [1, 2, 0, 3]}]}, r"annotation id 31: .*"
         r"no area\. Take it out, or correct its numbers"),
        ({"images": [{"id": 70, "file_name": "gone.png"}], "annotations": []}, "1 of 1 image files do not exist"),
        ({"images": [{"id": 70, "file_name": "/etc/a.png"}], "annotations": []}, "1 of 1 image files do not exist"),
    ],
)  # fmt: skip
def test_bad_files(tmp_path: Path, document: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_table(Coco(coco(tmp_path, **document)), BoxLabels(("polyp", "tool")))


def test_names_that_are_no_categories(tmp_path: Path) -> None:
    path = coco(tmp_path)
    with pytest.raises(InputError, match="holds 'tool', which is not one of the classes polyp"):
        read_table(Coco(path), BoxLabels(("polyp",)))
    with pytest.raises(InputError, match="the category 'tool' is not one of the structures polyp"):
        read_table(Coco(path), MaskLabels(("polyp",)))
    with pytest.raises(InputError, match=r"has no category 'polip'. Did you mean 'polyp'?"):
        read_table(Coco(path), MaskLabels(("polip", "tool")))


@pytest.mark.parametrize("labels", [BoxLabels(), MaskLabels()])
def test_an_image_of_another_size_than_was_annotated(tmp_path: Path, labels: BoxLabels | MaskLabels) -> None:
    table = read_table(Coco(coco(tmp_path)), labels)
    save(tmp_path / "pictures/0.png", noise(12, 16))
    with pytest.raises(InputError, match=r"says that pictures/0\.png is 8 x 6 .* and the file is 16 x 12"):
        table.annotation(0)


def test_polygons_give_the_boxes_that_are_missing(tmp_path: Path) -> None:
    drawn = [[1, 2, 4, 2, 4, 4], [5, 1, 6, 1, 6, 3]]
    path = coco(tmp_path, annotations=[{"id": 1, "image_id": 70, "category_id": 9, "segmentation": drawn}])
    boxes = read_table(Coco(path), BoxLabels()).annotation(0).boxes  # type: ignore[union-attr]
    assert boxes is not None and boxes.tolist() == [pytest.approx([1 / 8, 1 / 6, 6 / 8, 4 / 6])]
