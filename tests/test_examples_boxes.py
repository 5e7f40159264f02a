"""What the examples with boxes do to images, they do to the boxes too."""

import numpy as np
import pytest
import torch
from PIL import Image

from palpate.annotations import Boxes
from palpate.metrics.detection import Matches
from tests.test_examples import EXAMPLES, network

HEIGHT, WIDTH = 96, 128


@pytest.fixture
def detecting(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import detecting

    return detecting


def squares(count):
    """Images (N, 1, H, W) that are dark but for one bright rectangle each, and the boxes."""
    images, boxes = torch.zeros(count, 1, HEIGHT, WIDTH), torch.zeros(count, 1, 4)
    for index in range(count):
        left, top = 30 + 3 * index, 20 + 2 * index
        images[index, :, top : top + 20, left : left + 32] = 150
        boxes[index, 0] = torch.tensor([left / WIDTH, top / HEIGHT, (left + 32) / WIDTH, (top + 20) / HEIGHT])
    return images, Boxes(boxes, torch.zeros(count, 1, dtype=torch.int64))


def test_boxes_move_with_what_they_surround(detecting):
    images, boxes = squares(12)
    shown, marked = detecting.augmented(images, boxes, torch.Generator().manual_seed(0))
    assert not torch.allclose(shown, images)
    kept = marked.labels[:, 0] >= 0
    assert kept.sum() >= 6
    for image, (left, top, right, bottom) in zip(shown[kept, 0], marked.boxes[kept, 0].tolist(), strict=True):
        rows, columns = torch.nonzero(image > (image.amin() + image.amax()) / 2, as_tuple=True)
        found = (columns.min() / WIDTH, rows.min() / HEIGHT, (columns.max() + 1) / WIDTH, (rows.max() + 1) / HEIGHT)
        assert found == pytest.approx((left, top, right, bottom), abs=1.2 / HEIGHT)


def test_a_box_that_leaves_the_picture_is_not_annotated_any_more(detecting):
    images = torch.zeros(40, 1, HEIGHT, WIDTH)
    corner = torch.tensor([0.0, 0.0, 0.05, 0.05]).expand(40, 1, 4)
    _, marked = detecting.augmented(images, Boxes(corner, torch.zeros(40, 1).long()), torch.Generator().manual_seed(0))
    gone = marked.labels[:, 0] < 0
    assert gone.any() and not gone.all()
    assert (marked.boxes[gone] == 0).all()
    assert (marked.boxes >= 0).all() and (marked.boxes <= 1).all()


def test_prepared_boxes_are_read_where_they_were_drawn(detecting, tmp_path):
    import preparing

    (tmp_path / "source").mkdir()
    drawn = np.zeros((60, 80), np.uint8)
    Image.fromarray(drawn).save(tmp_path / "source" / "a.png")
    Image.fromarray(drawn).save(tmp_path / "source" / "healthy.png")
    images = [{"image": "a.png", "split": "test"}, {"image": "healthy.png", "split": "test"}]
    boxes = [{"image": "a.png", "label": "cell", "xmin": "8", "ymin": "6", "xmax": "40", "ymax": "60"}]
    preparing.resize_boxed(images, boxes, tmp_path / "source", tmp_path / "out", (30, 20))
    read, found = detecting.images_and_boxes(tmp_path / "out", "test", ("other", "cell"))
    assert read.shape[2:] == (30, 20)
    assert found.labels.tolist() == [[1], [-1]]
    assert found.boxes[0, 0].tolist() == pytest.approx([0.1, 0.1, 0.5, 1.0], abs=1e-3)


def test_the_operating_point_has_the_highest_f1(detecting):
    # Two boxes, found at 0.6 and 0.45; three false ones at 0.4: the best threshold is below 0.45 and at 0.4 or above.
    truth = ((0, 0, 0, 0.1, 0.1, 0, 0.5, 0.5, 0.6, 0.6),)
    false = [value for place in (0.2, 0.7, 0.8) for value in (0, 0.4, place, place, place + 0.1, place + 0.1)]
    found = ((0, 0.6, 0, 0, 0.1, 0.1, 0, 0.45, 0.5, 0.5, 0.6, 0.6, *false),)
    matched = Matches.of(truth, found, np.ones(1, dtype=bool), 1)
    assert detecting.operating_point(matched) == 0.4


@pytest.mark.parametrize("name", ["blood_cells", "polyp_boxes"])
def test_the_detectors_have_the_classes_of_their_plans(name):
    from palpate.audit.plan.plan import load_plan

    plan = load_plan(EXAMPLES / name / "plan.toml")
    with torch.no_grad():
        candidates = network(EXAMPLES / name / plan.model.factory)(torch.randn(1, 3, 64, 64))
    assert candidates.logits.shape[2] == len(plan.task.classes)
