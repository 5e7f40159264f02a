"""Columns of boxes by their names, and what their numbers are."""

from __future__ import annotations

from pathlib import Path

import pytest

from palpate.data.annotations.box_modes import BoxMode
from palpate.data.inspect.box_columns import BoxNames, box_names, boxed_lines, unit_and_mode
from palpate.data.sheets import Line
from tests.data.pictures import noise, save


@pytest.mark.parametrize(
    ("header", "mode", "columns"),
    [
        ("file,xmin,ymin,xmax,ymax", "xyxy", "xmin,ymin,xmax,ymax"),
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "xyxy", "xmin,ymin,xmax,ymax"),
        ("image_id,X_Min,y_min,x_max,y_max", "xyxy", "X_Min,y_min,x_max,y_max"),
        ("Image Index,Finding Label,Bbox [x,y,w,h]", "xywh", "Bbox [x,y,w,h]"),
        ("id,bbox_left,bbox_top,bbox_width,bbox_height", "xywh", "bbox_left,bbox_top,bbox_width,bbox_height"),
        ("id,xmin,ymin,w,h", "xywh", "xmin,ymin,w,h"),
        ("id,x_center,y_center,width,height", "ccwh", "x_center,y_center,width,height"),
        ("id,cx,cy,w,h", "ccwh", "cx,cy,w,h"),
    ],
)
def test_names(header: str, mode: BoxMode, columns: str) -> None:
    names = box_names(header.split(","))
    assert names is not None and (names.mode, ",".join(names.columns)) == (mode, columns)


@pytest.mark.parametrize("header", ["file,label", "file,x,y", "file,width,height", "id,xmin,ymin,label"])
def test_columns_without_boxes(header: str) -> None:
    assert box_names(header.split(",")) is None


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("4,4,8,8", (False, "xywh", False)),
        ("2,3,14,13", (False, "xywh", False)),
        ("8,8,14,14", (False, "ccwh", False)),
        (".2,.2,.3,.3", (True, "xywh", True)),
        (".5,.5,.8,.8", (True, "ccwh", False)),
        (".05,.05,.8,.8", (True, "xywh", False)),
    ],
)
def test_a_corner_or_a_centre(tmp_path: Path, cells: str, said: tuple[bool, BoxMode, bool]) -> None:
    image = save(tmp_path / "a.png", noise(16, 16))
    names = BoxNames(("x", "y", "w", "h"), "xywh", True)
    line = Line(2, dict(zip("xywh", cells.split(","), strict=True)))
    assert unit_and_mode(names, [line], [image]) == said


def test_lines_without_numbers_hold_no_box() -> None:
    names = BoxNames(("x", "y", "w", "h"), "xywh", True)
    lines = [Line(n, dict.fromkeys("xywh", cell)) for n, cell in enumerate(("1", "", "NaN", "None"))]
    assert boxed_lines(names, lines) == lines[:1]
