"""Pascal VOC: corners that count from 1, splits, and XML that is not to be trusted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from palpate.data.annotations.annotation import IGNORE
from palpate.data.annotations.labels import BoxLabels, MaskLabels
from palpate.data.layouts.voc import MAX_XML, PascalVoc, voc_splits
from palpate.data.table import read_table
from palpate.errors import InputError
from tests.data.layouts import OBJECT, annotation, voc
from tests.data.pictures import noise, save

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">'
    + "".join(f'<!ENTITY {letter} "{f"&{before};" * 10}">' for before, letter in zip("bcdefg", "cdefgh", strict=True))
    + "]><annotation>&h;</annotation>"
)

CELL = OBJECT.format(1, 1, 3, 2, name="cell", difficult=0)


def test_boxes_of_the_test_split(tmp_path: Path) -> None:
    table = read_table(PascalVoc(voc(tmp_path)), BoxLabels(("cell", "clot")))
    assert [case.name for case in table] == ["JPEGImages/000000.jpg", "JPEGImages/000001.jpg"]
    # Pixels 1 to 3 of 8, 1 to 2 of 6: edges 0 to 3 and 0 to 2.
    np.testing.assert_allclose(table.annotation(0).boxes, [[0, 0, 3 / 8, 2 / 6]], rtol=1e-6)  # type: ignore[arg-type]
    assert len(table.annotation(1).boxes) == 0  # type: ignore[arg-type]


def test_difficult_boxes_are_kept_when_asked_for(tmp_path: Path) -> None:
    annotated = read_table(PascalVoc(voc(tmp_path), difficult=True), BoxLabels(("cell", "clot"))).annotation(0)
    np.testing.assert_allclose(annotated.boxes, [[0, 0, 3 / 8, 2 / 6], [1 / 8, 1 / 6, 1, 1]], rtol=1e-6)  # type: ignore[arg-type]
    assert annotated.classes is not None and annotated.classes.tolist() == [0, 1]


def test_splits(tmp_path: Path) -> None:
    assert voc_splits(voc(tmp_path)) == {"test": 2, "train": 1}
    assert [case.name for case in read_table(PascalVoc(tmp_path, "train"), BoxLabels())] == ["JPEGImages/000002.jpg"]
    with pytest.raises(InputError, match=r"no split 'val' .*Set data\.split to one of: test, train"):
        read_table(PascalVoc(tmp_path, "val"), BoxLabels())
    shutil.rmtree(tmp_path / "ImageSets")
    assert len(read_table(PascalVoc(tmp_path), BoxLabels())) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not XML"),
        ("<annotation>", "is not XML"),
        (annotation(size=""), "does not say the size of its image"),
        (annotation(size="<size><width>0</width><height>0</height></size>"), "does not say the size"),
        (annotation(CELL, size="<size><width>6</width><height>8</height></size>"), "is 6 x 8 .* and the file is 8 x 6"),
        (annotation(OBJECT.format(1, 1, "x", 2, name="cell", difficult=0)), "object 1: bndbox/xmax is 'x'"),
        (annotation("<object><name>cell</name></object>"), "bndbox/xmin is empty"),
        (
            annotation(OBJECT.format(1, 1, 3, 2, name="cow", difficult=0)),
            "holds 'cow', which is not one of the classes",
        ),
        (annotation(OBJECT.format(4, 1, 3, 2, name="cell", difficult=0)), "has no area"),
        (annotation(OBJECT.format(1, 1, 30, 2, name="cell", difficult=0)), "extends beyond"),
        (BOMB, "declares a DOCTYPE or entities"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "declares a DOCTYPE or entities"),
        ("<a>" * (MAX_XML // 3 + 1), "is larger than"),
    ],
)
def test_bad_xml_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (voc(tmp_path) / "Annotations/000000.xml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_table(PascalVoc(tmp_path), BoxLabels(("cell", "clot"))).annotation(0)


def test_entities_do_not_hide_in_another_encoding(tmp_path: Path) -> None:
    (voc(tmp_path) / "Annotations/000000.xml").write_bytes(BOMB.replace("?>", ' encoding="utf-16"?>').encode("utf-16"))
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_table(PascalVoc(tmp_path), BoxLabels())


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no folder Annotations"):
        read_table(PascalVoc(tmp_path), BoxLabels())
    root = voc(tmp_path)
    (root / "JPEGImages/000001.jpg").unlink()
    with pytest.raises(InputError, match="JPEGImages holds no image '000001'"):
        read_table(PascalVoc(root), BoxLabels())
    (root / "Annotations/000001.xml").unlink()
    with pytest.raises(InputError, match=r"000001\.xml does not exist"):
        read_table(PascalVoc(root), BoxLabels())
    (root / "ImageSets/Main/test.txt").write_text("000000\n000000\n")
    with pytest.raises(InputError, match="'000000' appears twice"):
        read_table(PascalVoc(root), BoxLabels())
    (root / "ImageSets/Main/test.txt").write_text("../../x\n")
    with pytest.raises(InputError, match=r"lists '\.\./\.\./x', which names no annotation"):
        read_table(PascalVoc(root), BoxLabels())


def drawn(folder: Path) -> Path:
    """Two images with masks of 0 to 2 and outlines of 255; `val` lists one of them."""
    for number in range(2):
        save(folder / f"JPEGImages/{number}.jpg", noise(6, 8, seed=number))
        mask = np.zeros((6, 8), dtype=np.uint8)
        mask[1:3], mask[3], mask[4:] = 1, 255, 2
        save(folder / f"SegmentationClass/{number}.png", mask)
    (folder / "ImageSets/Segmentation").mkdir(parents=True)
    (folder / "ImageSets/Segmentation/val.txt").write_text("1\n")
    return folder


def test_masks_and_their_outlines(tmp_path: Path) -> None:
    root = drawn(tmp_path)
    table = read_table(PascalVoc(root), MaskLabels(["front", "back"]))
    assert [case.name for case in table] == ["JPEGImages/1.jpg"]
    labels = table.annotation(0).labels  # type: ignore[union-attr]
    assert labels is not None and labels[:, 0].tolist() == [0, 1, 1, IGNORE, 2, 2]
    with pytest.raises(
        InputError, match=r"has no split 'test' in ImageSets/Segmentation\. Set data\.split to one of: val"
    ):
        read_table(PascalVoc(root, "test"), MaskLabels(["front", "back"]))
    (root / "SegmentationClass/1.png").unlink()
    with pytest.raises(InputError, match=r"SegmentationClass holds no mask '1'"):
        read_table(PascalVoc(root), MaskLabels(["front", "back"]))
    (root / "ImageSets/Segmentation/val.txt").unlink()
    assert len(read_table(PascalVoc(root), MaskLabels(["front", "back"]))) == 1
    (root / "SegmentationClass/0.png").unlink()
    with pytest.raises(InputError, match=r"has no masks in SegmentationClass"):
        read_table(PascalVoc(root), MaskLabels(["front", "back"]))
