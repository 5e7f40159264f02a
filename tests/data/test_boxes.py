"""Boxes: fractions of each image's own size, images without boxes kept, and every wrong line named."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from palpate.data.annotations.box_modes import BoxMode
from palpate.data.annotations.labels import BoxLabels, MaskLabels
from palpate.data.layouts.csv_table import CsvTable
from palpate.data.listing import About
from palpate.data.table import Table, read_table
from palpate.errors import InputError
from tests.data.pictures import noise, save, shared

HEADER = "image,label,xmin,ymin,xmax,ymax,split,patient"
CLASSES = ("red", "white")


def boxes(folder: Path, *lines: str, header: str = HEADER, name: str = "boxes.csv") -> Path:
    """A CSV as it stands, beside images of 20 x 10 (width x height) named a to d."""
    for number, image in enumerate("abcd"):
        save(folder / f"{image}.png", noise(10, 20, seed=number))
    (folder / name).write_text("\n".join([header, *lines]) + "\n")
    return folder / name


def read(folder: Path, *lines: str, group: str | None = None, where: dict[str, object] | None = None) -> Table:
    """The table of some lines."""
    layout = CsvTable(boxes(folder, *lines), about=About(group), where=where or {})
    return read_table(layout, BoxLabels(CLASSES))


def line(*corners: object, image: str = "a.png", label: str = "red") -> str:
    return ",".join(map(str, (image, label, *corners, "test", "p1")))


def test_boxes_are_fractions_of_width_and_height(tmp_path: Path) -> None:
    table = read(tmp_path, line(2, 1, 10, 5), line(0, 0, 20, 10, image="b.png"), line(4.5, 0, 5, 10, label="white"))
    first, second = table.annotation(0), table.annotation(1)
    assert first.boxes is not None and first.boxes.dtype == np.float32 and first.classes is not None
    np.testing.assert_allclose(first.boxes, [[0.1, 0.1, 0.5, 0.5], [0.225, 0, 0.25, 1]], rtol=1e-6)
    assert first.classes.tolist() == [0, 1] and first.classes.dtype == np.int64
    np.testing.assert_array_equal(second.boxes, [[0, 0, 1, 1]])
    assert [(case.name, case.label, case.origin) for case in table] == [("a.png", -1, 0), ("b.png", -1, 1)]
    assert table.classes == CLASSES and first.labels is None and table.shape_of(1) == (1, 10, 20)


def test_classes_may_be_numbers(tmp_path: Path) -> None:
    path = boxes(tmp_path, line(0, 0, 5, 5, label="1"), line(0, 0, 5, 5, label="0"))
    table = Table.from_boxes(path, tmp_path)
    assert table.classes == ("0", "1") and table.annotation(0).classes.tolist() == [1, 0]  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"column 'label' holds names.*classes = \[\"red\"\]"):
        Table.from_boxes(boxes(tmp_path, line(0, 0, 5, 5)), tmp_path)


def test_a_line_without_corners_is_an_image_without_boxes(tmp_path: Path) -> None:
    table = read(tmp_path, line(0, 0, 5, 5), "c.png,,,,,,test,p2")
    empty = table.annotation(1)
    assert empty.boxes is not None and empty.boxes.shape == (0, 4) and empty.boxes.dtype == np.float32
    assert empty.classes is not None and empty.classes.shape == (0,) and empty.classes.dtype == np.int64


def test_a_listing_names_images_without_boxes_and_chooses_among_them(tmp_path: Path) -> None:
    path = boxes(tmp_path, line(0, 0, 5, 5, image="b.png"), line(0, 0, 5, 5, image="d.png"))
    listing = boxes(tmp_path, "a,x,1", "b,x,2", "c,x,2", "d,y,3", header="file,part,unit", name="images.csv")
    table = read_table(
        CsvTable(listing, tmp_path, file="file", about=About(group="unit"), where={"part": "x"}),
        BoxLabels(CLASSES, boxes=path),
    )
    assert [(case.name, case.group, case.origin) for case in table] == [
        ("a.png", "1", 0), ("b.png", "2", 1), ("c.png", "2", 2)
    ]  # fmt: skip
    assert [len(table.annotation(row).classes) for row in range(3)] == [0, 1, 0]  # type: ignore[arg-type]
    healthy = read_table(CsvTable(listing, tmp_path, file="file", where={"unit": "1"}), BoxLabels(CLASSES, boxes=path))
    assert len(healthy) == 1 and len(healthy.annotation(0).classes) == 0  # type: ignore[arg-type]


def test_boxes_of_other_images_than_the_listing(tmp_path: Path) -> None:
    listing = boxes(tmp_path, "c.png", "d.png", header="image", name="images.csv")
    with pytest.raises(InputError, match=r"boxes\.csv holds no box of the 2 images\. Check its column 'image'"):
        read_table(CsvTable(listing, file="image"), BoxLabels(CLASSES, boxes(tmp_path, line(0, 0, 5, 5))))


def test_a_limit_takes_images_with_their_boxes(tmp_path: Path) -> None:
    table = read(tmp_path, *(line(0, 0, 5 + size, 5, image=f"{name}.png") for size, name in enumerate("abcd")))
    small, large = table.limit(2), table.limit(3)
    assert len(small) == 2 and set(small) < set(large) < set(table)
    for row, case in enumerate(small):
        np.testing.assert_array_equal(small.annotation(row).boxes, table.annotation(case.origin).boxes)


def test_without_a_listing_the_filter_and_the_groups_are_those_of_the_boxes(tmp_path: Path) -> None:
    lines = ("a.png,red,0,0,5,5,train,p1", "b.png,red,0,0,5,5,test,p2", "b.png,white,1,1,5,5,test,p2")
    table = read(tmp_path, *lines, where={"split": "test"}, group="patient")
    assert [(case.name, case.group) for case in table] == [("b.png", "p2")]
    assert table.annotation(0).classes.tolist() == [0, 1]  # type: ignore[union-attr]


def test_other_columns(tmp_path: Path) -> None:
    path = boxes(tmp_path, "a,red,2,1,10,5", header="file,kind,x1,y1,x2,y2")
    table = read_table(
        CsvTable(path, tmp_path), BoxLabels(CLASSES, box_file="file", label="kind", corners=("x1", "y1", "x2", "y2"))
    )
    np.testing.assert_allclose(table.annotation(0).boxes, [[0.1, 0.1, 0.5, 0.5]], rtol=1e-6)


def test_a_margin_of_a_pixel_is_clipped(tmp_path: Path) -> None:
    table = read(tmp_path, line(-1, -0.5, 21, 10.9))
    np.testing.assert_array_equal(table.annotation(0).boxes, [[0, 0, 1, 1]])


def test_the_identity_is_that_of_images_and_boxes(tmp_path: Path) -> None:
    first = read(tmp_path, line(2, 1, 10, 5)).fingerprint()
    assert first == read(tmp_path, line(2.0, 1, 10, 5), line(0, 0, 1, 1, image="b.png")).take([0]).fingerprint()
    others = {
        read(tmp_path, line(2, 1, 10, 6)).fingerprint(),
        read(tmp_path, line(2, 1, 10, 5, label="white")).fingerprint(),
        read(tmp_path, line(2, 1, 10, 5), line(2, 1, 10, 5)).fingerprint(),
    }
    assert len(others) == 3 and first not in others


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corners", [(0, 0, 22, 5), (-2, 0, 5, 5), (0, 0, 5, 11.5), (0, -9, 5, 5), (20, 0, 21, 5)])
def test_a_box_out_of_its_image(tmp_path: Path, corners: tuple[float, ...]) -> None:
    table = read(tmp_path, line(0, 0, 5, 5), line(*corners))
    words = ", ".join(f"{corner:g}" for corner in corners)
    with pytest.raises(InputError, match=rf"boxes\.csv, line 3: the box \({words}\) extends beyond a\.png, .*20 x 10"):
        table.annotation(0)


@pytest.mark.parametrize("corners", [(5, 1, 5, 5), (5, 5, 1, 8), (1, 5, 5, 5)])
def test_a_box_without_area(tmp_path: Path, corners: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"boxes\.csv, line 3: the box .* has no area\. Take the line out"):
        read(tmp_path, line(0, 0, 5, 5), line(*corners))


@pytest.mark.parametrize("label", ["green", ""])
def test_a_class_that_is_not_known(tmp_path: Path, label: str) -> None:
    with pytest.raises(
        InputError, match=rf"line 2: column 'label' holds '{label}', which is not one of the classes red"
    ):
        read(tmp_path, line(0, 0, 5, 5, label=label))


@pytest.mark.parametrize("cell", ["five", "nan", "inf", ""])
def test_corners_that_are_no_numbers(tmp_path: Path, cell: str) -> None:
    with pytest.raises(InputError, match=rf"line 2: column 'xmax' holds '{cell}', which is not a number"):
        read(tmp_path, line(0, 0, cell, 5))


def test_images_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"boxes\.csv: 1 of 2 image files do not exist.*'gone\.png' \(line 3\)"):
        read(tmp_path, line(0, 0, 5, 5), line(0, 0, 5, 5, image="gone.png"))


def test_an_image_of_two_groups(tmp_path: Path) -> None:
    lines = ("a.png,red,0,0,5,5,test,p1", "a.png,red,0,0,6,6,test,p2")
    with pytest.raises(InputError, match=r"line 3: a\.png has 'p2' in column 'patient', and 'p1' before"):
        read(tmp_path, *lines, group="patient")


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    path = boxes(tmp_path, line(0, 0, 5, 5))
    with pytest.raises(InputError, match=r"boxes\.csv has no column 'file'"):
        read_table(CsvTable(path), BoxLabels(CLASSES, box_file="file"))
    with pytest.raises(InputError, match=r"boxes\.csv has no column 'part'"):
        read_table(CsvTable(path, where={"part": "x"}), BoxLabels(CLASSES))


# -- real data ---------------------------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize(("split", "count"), [(None, 364), ("train", 205), ("val", 87), ("test", 72)])
def test_real_blood_cells(split: str | None, count: int) -> None:
    folder = shared("det_blood_cells_bccd")
    where = {"split": split} if split else None
    table = Table.from_boxes(folder / "boxes.csv", folder, where=where, classes=("RBC", "WBC", "Platelets"))
    assert len(table) == count
    found: Counter[str] = Counter()
    for row in range(len(table)):
        annotation = table.annotation(row)
        assert annotation.boxes is not None and annotation.classes is not None
        assert (annotation.boxes >= 0).all() and (annotation.boxes <= 1).all()
        found.update(table.classes[number] for number in annotation.classes.tolist())
    if split is None:
        assert found == {"RBC": 4153, "WBC": 372, "Platelets": 361}
    with open(folder / "boxes.csv", newline="") as handle:
        assert found == Counter(box["label"] for box in csv.DictReader(handle) if split in (None, box["split"]))


@pytest.mark.shared
def test_real_polyps_lie_inside_their_boxes() -> None:
    folder = shared("seg_polyp_kvasir")
    listing = folder / "labels.csv"
    where = {"split": "test"}
    drawn = read_table(CsvTable(listing, folder, file="image", where=where), MaskLabels(values=(255,)))
    boxed = read_table(
        CsvTable(listing, folder, file="image", where=where), BoxLabels(("polyp",), boxes=folder / "boxes.csv")
    )
    assert [case.name for case in boxed] == [case.name for case in drawn] and len(boxed) == 200
    for row in range(len(boxed)):
        labels, corners = drawn.annotation(row).labels, boxed.annotation(row).boxes
        assert labels is not None and corners is not None
        covered = np.zeros_like(labels, dtype=bool)
        for left, top, right, bottom in np.rint(corners * np.tile(labels.shape[::-1], 2)).astype(int):
            covered[top:bottom, left:right] = True
            assert labels[top:bottom, left:right].any()
        assert (covered | (labels == 0)).mean() > 0.99


@pytest.mark.parametrize(
    ("mode", "numbers"),
    [("xyxy", (2, 1, 5, 7)), ("xywh", (2, 1, 3, 6)), ("xxyy", (2, 5, 1, 7)), ("ccwh", (3.5, 4, 3, 6))],
)
def test_what_the_four_numbers_are(tmp_path: Path, mode: BoxMode, numbers: tuple[float, ...]) -> None:
    save(tmp_path / "a.png", noise(10, 8))
    save(tmp_path / "b.png", noise(10, 8))
    cells = ",".join(map(str, numbers))
    (tmp_path / "boxes.csv").write_text(f"patientId,x,y,width,height,Target\na,{cells},1\nb,,,,,0\nb,nan,NaN,,,0\n")
    columns = ("x", "y", "width", "height")
    table = read_table(
        CsvTable(tmp_path / "boxes.csv", tmp_path),
        BoxLabels(["1"], box_file="patientId", label="Target", corners=columns, box_mode=mode),
    )
    boxes = table.annotation(0).boxes  # type: ignore[union-attr]
    assert boxes is not None and boxes.tolist() == [pytest.approx([2 / 8, 1 / 10, 5 / 8, 7 / 10])]
    assert len(table) == 2 and len(table.annotation(1).boxes) == 0  # type: ignore[union-attr,arg-type]


def test_fractions_are_refused_as_pixels_and_read_as_fractions(tmp_path: Path) -> None:
    save(tmp_path / "a.png", noise(10, 8))
    (tmp_path / "boxes.csv").write_text("image,label,cx,cy,w,h\na.png,clot,.5,.5,.25,1\n")
    columns = ("cx", "cy", "w", "h")
    with pytest.raises(InputError, match=r'boxes\.csv: all boxes lie between 0 and 1.*data\.box_unit = "fractions"'):
        read_table(CsvTable(tmp_path / "boxes.csv", tmp_path), BoxLabels(["clot"], corners=columns, box_mode="ccwh"))
    table = read_table(
        CsvTable(tmp_path / "boxes.csv", tmp_path),
        BoxLabels(["clot"], corners=columns, box_mode="ccwh", box_unit="fractions"),
    )
    assert table.annotation(0).boxes.tolist() == [pytest.approx([0.375, 0, 0.625, 1])]  # type: ignore[union-attr]
    assert b"fractions" in table.annotations.content(table[0])  # type: ignore[union-attr]


def test_sizes_that_are_read_as_corners(tmp_path: Path) -> None:
    save(tmp_path / "a.png", noise(10, 8))
    (tmp_path / "boxes.csv").write_text("image,label,x,y,w,h\na.png,clot,5,5,2,2\n")
    with pytest.raises(InputError, match=r'has no area.*data\.box_mode = "xywh"'):
        read_table(CsvTable(tmp_path / "boxes.csv", tmp_path), BoxLabels(["clot"], corners=("x", "y", "w", "h")))


def test_boxes_of_a_single_class_need_no_column_of_classes(tmp_path: Path) -> None:
    save(tmp_path / "a.png", noise(10, 8))
    (tmp_path / "boxes.csv").write_text("image,xmin,ymin,xmax,ymax\na.png,1,1,5,5\n")
    table = Table.from_boxes(tmp_path / "boxes.csv", tmp_path, classes=["wheat"])
    assert table.annotation(0).classes.tolist() == [0]  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"has no column 'label'"):
        Table.from_boxes(tmp_path / "boxes.csv", tmp_path, classes=["wheat", "weed"])
