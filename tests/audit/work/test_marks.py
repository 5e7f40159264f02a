"""Outlines and boxes: where they lie on the picture, how few points they need."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from palpate.annotations import Boxes, Detections, Masks
from palpate.audit.work.marks import MOST_MARKS, boxes_of, outlines, simplified, stack_of


def area(points: np.ndarray) -> float:
    """Signed area of a polygon (shoelace)."""
    x, y = points[:, 0], points[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def test_a_rectangle_lies_where_its_pixels_lie() -> None:
    mask = np.zeros((1, 20, 40), dtype=bool)
    mask[0, 5:15, 10:30] = True
    (mark,) = outlines(mask)
    points = np.array(mark["points"])
    assert (mark["part"], mark["kind"], mark["score"]) == (0, "contour", None)
    assert points.min(axis=0).tolist() == pytest.approx([10 / 40, 5 / 20])
    assert points.max(axis=0).tolist() == pytest.approx([30 / 40, 15 / 20])
    # Corners are cut by half a pixel, and nothing else.
    assert abs(area(points)) * 800 == pytest.approx(200, abs=1.0) and len(points) <= 9


def test_holes_islands_and_borders_have_outlines() -> None:
    mask = np.zeros((2, 16, 16), dtype=bool)
    mask[0] = True
    mask[0, 4:8, 4:8] = False
    mask[1, 3, 3] = mask[1, 10, 12] = True
    marks = outlines(mask)
    assert sorted(mark["part"] for mark in marks) == [0, 0, 1, 1]
    whole = np.array(marks[0]["points"])
    assert whole.min() == 0 and whole.max() == 1
    (_, hole, *islands) = (np.array(mark["points"]) for mark in marks)
    assert np.sign(area(whole)) == -np.sign(area(hole))
    assert {tuple(np.round(points[:-1].mean(axis=0) * 16 - 0.5)) for points in islands} == {(3, 3), (12, 10)}


def test_an_empty_mask_has_no_outline() -> None:
    assert outlines(np.zeros((3, 8, 8), dtype=bool)) == []


@given(arrays(bool, (1, 12, 12)))
@settings(max_examples=50, deadline=None)
def test_outlines_enclose_the_mask(mask: np.ndarray) -> None:
    # Holes turn the other way, so signed areas add up to the mask's, up to the corners that are cut.
    total = abs(sum(area(np.array(mark["points"])) for mark in outlines(mask)) * 144)
    corners = 0.5 * sum(len(mark["points"]) for mark in outlines(mask))
    assert abs(total - mask.sum()) <= corners + 1e-6


def test_simplified_lines_keep_their_distance_and_their_limit() -> None:
    angle = np.linspace(0, 2 * np.pi, 500)
    circle = 40 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    few = simplified(circle, 0.25)
    assert len(few) < 60 and np.array_equal(few[0], circle[0]) and np.array_equal(few[-1], circle[-1])
    radii = np.linalg.norm((few[1:] + few[:-1]) / 2, axis=1)
    assert radii.min() >= 40 - 0.25 - 1e-9
    assert len(simplified(circle, 0.25, most=10)) <= 10


def test_label_maps_and_overlapping_masks_are_read_alike() -> None:
    labels = torch.tensor([[0, 1, 2], [2, 255, 1]])
    stack = stack_of(labels, 2, 2)
    assert stack is not None and stack.tolist() == [
        [[False, True, False], [False, False, True]],
        [[False, False, True], [True, False, False]],
    ]
    overlapping = Masks(torch.tensor([[[1, 0]], [[1, 255]]]), torch.tensor([0.7, 0.7]))
    stack = stack_of(overlapping, 2, 2)
    assert stack is not None and stack.tolist() == [[[True, False]], [[True, False]]]
    assert stack_of(torch.tensor(3), 2, 2) is None and stack_of(torch.tensor([1, 0, -1]), 2, 2) is None


def test_boxes_are_marks_without_padding_largest_first() -> None:
    corners = torch.tensor([[0.1, 0.1, 0.2, 0.2], [0.0, 0.0, 0.5, 0.75], [0.0, 0.0, 0.0, 0.0]])
    found = boxes_of(Detections(corners, torch.tensor([1, 0, -1]), torch.tensor([0.9, 0.75, 0.0])))
    assert found == [
        {"part": 0, "kind": "box", "points": [[0.0, 0.0], [0.5, 0.75]], "score": 0.75},
        {"part": 1, "kind": "box", "points": [[0.1, 0.1], [0.2, 0.2]], "score": 0.9},
    ]
    assert [mark["score"] for mark in boxes_of(Boxes(corners, torch.tensor([1, 0, -1])))] == [None, None]
    assert boxes_of(torch.tensor(1)) == [] and boxes_of(Masks(torch.zeros(4, 4), None)) == []


def test_of_very_many_marks_the_largest_are_kept() -> None:
    corners = torch.tensor([[0.0, 0.0, size / 1000, 1.0] for size in range(1, 400)])
    marks = boxes_of(Boxes(corners, torch.zeros(399, dtype=torch.int64)))
    assert len(marks) == MOST_MARKS and marks[0]["points"][1][0] == pytest.approx(0.399)
