"""MONAI and Decathlon datalists: classes, masks, boxes and findings, and everything that a JSON can get wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palpate.data.annotations.labels import BoxLabels, ClassLabels, FindingLabels, MaskLabels
from palpate.data.layouts.datalist import BOX_MODES, Datalist
from palpate.data.listing import About
from palpate.data.table import Table, read_table
from palpate.errors import InputError
from tests.data.layouts import dump
from tests.data.pictures import noise, save, shared
from tests.data.volumes import scan, write


def pictures(folder: Path, *items: dict[str, Any], split: str = "validation", **more: Any) -> Path:
    """A datalist of pictures of 6 x 8 (height x width), each item with what is told of it."""
    listed = []
    for number, item in enumerate(items):
        save(folder / f"images/{number}.png", noise(6, 8, seed=number))
        listed.append({"image": f"images/{number}.png", **item})
    return dump(folder / "list.json", {"name": "set", split: listed, **more})


def test_classes_by_number_and_by_name(tmp_path: Path) -> None:
    path = pictures(tmp_path, {"label": 1}, {"label": "ill"}, {"label": [0]}, {"label": 1.0})
    table = read_table(Datalist(path, "validation"), ClassLabels(("well", "ill")))
    assert table.labels.tolist() == [1, 1, 0, 1] and table.counts() == (1, 3)
    np.testing.assert_array_equal(table.image(2)[0], noise(6, 8, seed=2))
    path = pictures(tmp_path, {"label": 1}, {"label": 0})
    assert read_table(Datalist(path), ClassLabels()).classes == ("0", "1")


def test_other_keys_are_columns(tmp_path: Path) -> None:
    items = [{"label": n % 2, "fold": n % 2, "who": f"p{n // 2}", "where": "Bern", "tags": [1, 2]} for n in range(4)]
    path = pictures(tmp_path, *items)
    about = About(group="who", site="where")
    table = read_table(Datalist(path, about=about, where={"fold": 1}), ClassLabels(("a", "b")))
    assert [(case.group, case.site, case.origin) for case in table] == [("p0", "Bern", 1), ("p1", "Bern", 3)]
    with pytest.raises(InputError, match=r"has no column 'whom'. Did you mean 'who'?"):
        read_table(Datalist(path, about=About(group="whom")), ClassLabels(("a", "b")))


def volumes(folder: Path, **more: Any) -> Path:
    for number in range(2):
        write(folder / f"imagesTr/{number}.nii.gz", scan(3, 5, 4, seed=number))
        write(folder / f"labelsTr/{number}.nii.gz", (scan(3, 5, 4, seed=number) % 3).astype(np.uint8))
    items = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in range(2)]
    return dump(folder / "dataset.json", {"training": items, "test": ["./imagesTs/9.nii.gz"], **more})


def test_a_decathlon_folder(tmp_path: Path) -> None:
    table = read_table(Datalist(volumes(tmp_path)), MaskLabels(("front", "back")))
    assert [case.name for case in table] == ["imagesTr/0.nii.gz", "imagesTr/1.nii.gz"]
    np.testing.assert_array_equal(table.annotation(1).labels, scan(3, 5, 4, seed=1) % 3)
    assert table.annotation(0).spacing == pytest.approx((0.5, 2.0, 3.0))


def test_lists_of_channels_and_of_masks(tmp_path: Path) -> None:
    volumes(tmp_path)
    write(tmp_path / "a.nii.gz", (scan(3, 5, 4) > 99).astype(np.uint8))
    write(tmp_path / "b.nii.gz", (scan(3, 5, 4) > 50).astype(np.uint8))
    item = {"image": ["imagesTr/1.nii.gz", "imagesTr/0.nii.gz"], "label": ["a.nii.gz", "b.nii.gz"]}
    path = dump(tmp_path / "list.json", [item])
    table = read_table(Datalist(path), MaskLabels(("core", "whole")))
    np.testing.assert_array_equal(table.image(0), [scan(3, 5, 4, seed=1), scan(3, 5, 4, seed=0)])
    annotation = table.annotation(0)
    assert annotation.overlapping
    np.testing.assert_array_equal(annotation.labels, [scan(3, 5, 4) > 99, scan(3, 5, 4) > 50])


def test_findings_as_a_list_and_as_keys(tmp_path: Path) -> None:
    path = pictures(tmp_path, {"label": [1, 0]}, {"label": [-1, 1]})
    table = read_table(Datalist(path), FindingLabels(("mass", "fluid")))
    assert [table.annotation(row).findings.tolist() for row in range(2)] == [[1, 0], [-1, 1]]  # type: ignore[union-attr]
    path = pictures(tmp_path, {"mass": 1, "fluid": 0}, {"mass": False, "fluid": None})
    table = read_table(Datalist(path, "validation"), FindingLabels(("mass", "fluid")))
    assert [table.annotation(row).findings.tolist() for row in range(2)] == [[1, 0], [0, -1]]  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"item 1: its label is \[1\], and there are 2 findings"):
        read_table(Datalist(pictures(tmp_path, {"label": [1]})), FindingLabels(("mass", "fluid")))


@pytest.mark.parametrize("mode", BOX_MODES)
def test_boxes_in_every_mode(tmp_path: Path, mode: str) -> None:
    box = {"xyxy": [1, 2, 5, 4], "xywh": [1, 2, 4, 2], "xxyy": [1, 5, 2, 4], "ccwh": [3, 3, 4, 2]}[mode]
    path = pictures(tmp_path, {"box": [box], "label": [1]}, {"box": [], "label": []})
    table = read_table(Datalist(path), BoxLabels(("a", "b"), box_mode=mode))  # type: ignore[arg-type]
    annotation = table.annotation(0)
    np.testing.assert_allclose(annotation.boxes, [[1 / 8, 2 / 6, 5 / 8, 4 / 6]], rtol=1e-6)  # type: ignore[arg-type]
    assert annotation.classes is not None and annotation.classes.tolist() == [1]
    assert table.annotation(1).boxes is not None and len(table.annotation(1).boxes) == 0  # type: ignore[arg-type]
    own = pictures(tmp_path, {"box": [box], "label": [1], "box_mode": mode})
    np.testing.assert_allclose(
        read_table(Datalist(own), BoxLabels(("a", "b"))).annotation(0).boxes,  # type: ignore[arg-type]
        annotation.boxes,  # type: ignore[arg-type]
    )


def test_absolute_paths_become_relative(tmp_path: Path) -> None:
    pictures(tmp_path, {"label": 0}, {"label": 1})
    items = [{"image": str(tmp_path / f"images/{number}.png"), "label": number} for number in range(2)]
    path = dump(tmp_path / "list.json", items)
    assert [case.name for case in read_table(Datalist(path), ClassLabels())] == ["images/0.png", "images/1.png"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("{'image': 1}", "is not JSON"),
        ('{"validation": [], "validation": []}', "the key 'validation' appears twice"),
        ('[{"image": "a.png", "label": NaN}]', "it holds NaN"),
        ("[" * 100000, "nested too deeply"),
        ("[]", "is empty"),
        ("3", "is empty|no list"),
        ('{"validation": []}', "no list of it has items with 'label'"),
        ('{"validation": ["a.png"]}', "no list of it has items with 'label'"),
        ('{"a": [{"image": "a.png", "label": 0}], "b": [{"image": "a.png", "label": 0}]}', "it has a, b. Name one"),
        ('[{"label": 0}]', "item 1 has no 'image'"),
        ('[{"image": "images/0.png"}]', "item 1 has no 'label'"),
        ('[{"image": 3, "label": 0}]', "a path is a whole number"),
        ('[{"image": "", "label": 0}]', "a path is empty"),
        ('[{"image": "images/..", "label": 0}]', "'images/..' is a folder"),
        ('[{"image": "../a.png", "label": 0}]', "1 of 1 image files do not exist"),
        ('[{"image": "none.png", "label": 0}]', "1 of 1 image files do not exist"),
        ('[{"image": "images/0.png", "label": {}}]', "an image has one class"),
        ('[{"image": "images/0.png", "label": "new"}]', "holds 'new', which is not one of the classes well, ill"),
        ('[{"image": "images/0.png", "label": 0}, {"image": "images/0.png", "label": 0}]', "in items 1 and 2"),
    ],
)
def test_bad_lists_are_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = pictures(tmp_path, {"label": 0})
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_table(Datalist(path), ClassLabels(("well", "ill")))


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    path = pictures(tmp_path, {"label": 0}, training=[{"image": "x", "label": 0}])
    with pytest.raises(InputError, match=r"has no list 'test'. Its lists are: validation, training"):
        read_table(Datalist(path, "test"), ClassLabels())
    with pytest.raises(InputError, match="lists images without labels"):
        read_table(Datalist(volumes(tmp_path), "test"), MaskLabels())


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"box": [[1, 2, 3, 4, 5, 6]], "label": [0]}, "palpate reads boxes in two dimensions"),
        ({"box": [[1, 2, 3, "4"]], "label": [0]}, "palpate reads boxes in two dimensions"),
        ({"box": [[1, 2, 3, 4]], "label": []}, "1 boxes and 0 labels"),
        ({"label": [0]}, "item 1 has no 'box'"),
        ({"box": [[1, 2, 3, 4]], "label": [0], "box_mode": "yxyx"}, "its box_mode is 'yxyx'"),
        ({"box": [[1, 2, 1, 4]], "label": [0]}, "has no area"),
        ({"box": [[1, 2, 30, 4]], "label": [0]}, "extends beyond images/0.png"),
    ],
)
def test_bad_boxes(tmp_path: Path, item: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_table(Datalist(pictures(tmp_path, item)), BoxLabels(("a",))).annotation(0)


def test_a_json_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palpate.data.texts.MAX_BYTES", 10)
    with pytest.raises(InputError, match=r"bytes, and palpate reads JSON up to 10"):
        read_table(Datalist(pictures(tmp_path, {"label": 0})), ClassLabels())
    with pytest.raises(InputError, match="does not exist"):
        read_table(Datalist(tmp_path / "none.json"), ClassLabels())


@pytest.mark.shared
def test_the_hippocampus_as_a_datalist(tmp_path: Path) -> None:
    root = shared("seg3d_mr_hippocampus")
    plain = Table.from_masks(root / "labels.csv", root, "image", "label", structures=["anterior", "posterior"]).take(
        range(0, 80, 9)
    )
    items = [{"image": case.name, "label": case.name.replace("images", "labels")} for case in plain]
    path = dump(tmp_path / "dataset.json", {"training": items})
    table = read_table(Datalist(path, "training", root), MaskLabels(("anterior", "posterior")))
    assert (
        table.fingerprint()
        == Table(
            tuple(replaced for replaced in table.cases), plain.classes, plain.source, plain.annotations
        ).fingerprint()
    )
    for row in range(len(plain)):
        np.testing.assert_array_equal(table.annotation(row).labels, plain.annotation(row).labels)
