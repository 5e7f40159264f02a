"""Average precision against pycocotools, the FROC curve against MONAI, weights against repeated images, by hand."""

import contextlib
import io

import numpy as np
import pytest

from palpate.metrics.detection import COCO, Matches
from palpate.storage.lists import Lists

CLASSES = 3


def lists(rows):
    return Lists.of(rows)


def drawn(images=12, seed=0):
    """Boxes per image, and detections near them, of other classes and elsewhere; some images have neither."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for index in range(images):
        corner = rng.uniform(0, 0.7, (index % 5, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(0.05, 0.3, corner.shape)], axis=1)
        labels = rng.integers(0, CLASSES, len(boxes))
        proposed, classes = [], []
        for box, label in zip(boxes, labels, strict=True):
            for _ in range(rng.integers(0, 4)):
                proposed.append(box + rng.uniform(-0.02, 0.02, 4))
                classes.append(label if rng.random() < 0.8 else rng.integers(0, CLASSES))
        for _ in range(rng.integers(0, 4)):
            place = rng.uniform(0, 0.8, 2)
            proposed.append(np.concatenate([place, place + rng.uniform(0.05, 0.2, 2)]))
            classes.append(rng.integers(0, CLASSES))
        truth.append(np.column_stack([labels, boxes]).ravel())
        parts = [[c, rng.random(), *b] for c, b in zip(classes, proposed, strict=True)]
        found.append(np.asarray(sorted(parts, key=lambda part: -part[1])).ravel())
    return lists(truth), lists(found)


def matches(truth, found, among=None):
    return Matches.of(truth, found, np.ones(len(truth), dtype=bool) if among is None else among, CLASSES)


def one(statistic, count):
    return float(statistic(np.ones((1, count)))[0])


def coco(truth, found):
    """mAP at 0.5:0.95 and at 0.5 by pycocotools."""
    tools = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    from pycocotools.cocoeval import COCOeval

    annotations, results = [], []
    for index in range(len(truth)):
        for label, x1, y1, x2, y2 in truth[index].reshape(-1, 5):
            box = [x1, y1, x2 - x1, y2 - y1]
            size = {"area": box[2] * box[3], "iscrowd": 0, "id": len(annotations) + 1}
            annotations.append({"image_id": index, "category_id": int(label), "bbox": box, **size})
        for label, confidence, x1, y1, x2, y2 in found[index].reshape(-1, 6):
            box = [x1, y1, x2 - x1, y2 - y1]
            results.append({"image_id": index, "category_id": int(label), "bbox": box, "score": confidence})
    with contextlib.redirect_stdout(io.StringIO()):
        truths = tools.COCO()
        truths.dataset = {
            "images": [{"id": index} for index in range(len(truth))],
            "categories": [{"id": label} for label in range(CLASSES)],
            "annotations": annotations,
        }
        truths.createIndex()
        evaluation = COCOeval(truths, truths.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0], evaluation.stats[1]


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_pycocotools(seed):
    truth, found = drawn(seed=seed)
    read = matches(truth, found)
    expected = coco(truth, found)
    assert one(read.average_precision(COCO), 12) == pytest.approx(expected[0], abs=1e-9)
    assert one(read.average_precision((0.5,)), 12) == pytest.approx(expected[1], abs=1e-9)
    assert expected[1] > expected[0] > 0


def test_a_class_without_boxes_is_left_out_as_in_pycocotools():
    truth, found = drawn(seed=3)
    kept = [row.reshape(-1, 5) for row in truth]
    truth = lists([row[row[:, 0] != 1].ravel() for row in kept])
    read = matches(truth, found)
    assert one(read.average_precision(), 12) == pytest.approx(coco(truth, found)[0], abs=1e-9)
    assert np.isnan(one(read.average_precision(label=1), 12))


@pytest.mark.parametrize("seed", range(3))
def test_froc_is_that_of_monai(seed):
    from monai.metrics.froc import compute_froc_curve_data, compute_froc_score

    truth, found = drawn(images=40, seed=seed)
    read = matches(truth, found)
    row = read.hit[0]
    # MONAI wants the confidence of each lesion's best hit, and 0 for a missed one.
    hits = np.concatenate([read.confidence[row], np.zeros(read.boxes - row.sum())])
    alarms, recall = compute_froc_curve_data(read.confidence[~row], hits, read.boxes, 40)
    rates = (0.125, 0.25, 0.5, 1, 2, 4, 8)
    assert one(read.froc_score(), 40) == pytest.approx(compute_froc_score(alarms, recall, rates))
    mine = read.froc()
    points = set(zip(np.round(alarms, 9), np.round(recall, 9), strict=True))
    assert set(zip(*np.round(mine, 9), strict=True)) <= points | {(0.0, 0.0)}
    assert mine[0][-1] == pytest.approx(alarms.max()) and mine[1][-1] == pytest.approx(recall.max())


STATISTICS = {
    "map": lambda read: read.average_precision(),
    "map50 of a class": lambda read: read.average_precision((0.5,), label=2),
    "recall": lambda read: read.recall(0.4),
    "recall of a class": lambda read: read.recall(0.4, 0.75, label=0),
    "false positives": lambda read: read.false_positives(0.4),
    "froc": lambda read: read.froc_score(),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_a_weight_counts_an_image_as_often_as_it_says(name):
    truth, found = drawn(seed=1)
    rng = np.random.default_rng(4)
    weights = rng.integers(0, 4, (6, 12)).astype(np.float64)
    values = STATISTICS[name](matches(truth, found))(weights)
    for row, value in zip(weights, values, strict=True):
        again = np.repeat(np.arange(12), row.astype(int))
        repeated = STATISTICS[name](matches(truth[again], found[again]))
        assert value == pytest.approx(one(repeated, len(again)), nan_ok=True)
    assert len(set(values)) > 1


@pytest.mark.parametrize("name", STATISTICS)
def test_images_without_a_record_do_not_count(name):
    truth, found = drawn(seed=2)
    among = np.arange(12) % 3 != 0
    part = STATISTICS[name](matches(truth, found, among))
    alone = STATISTICS[name](matches(truth[among], found[among]))
    assert one(part, 12) == pytest.approx(one(alone, int(among.sum())), nan_ok=True)


@pytest.mark.parametrize("name", STATISTICS)
def test_nothing_annotated_is_undefined_and_no_images_are_too(name):
    nothing = lists([[], []])
    read = Matches.of(nothing, lists([[0, 0.9, 0, 0, 1, 1], []]), np.ones(2, dtype=bool), CLASSES)
    value = one(STATISTICS[name](read), 2)
    assert value == 0.5 if name == "false positives" else np.isnan(value)
    none = Matches.of(nothing, nothing, np.zeros(2, dtype=bool), CLASSES)
    assert np.isnan(one(STATISTICS[name](none), 2))
    assert none.froc()[0].size == 0


def test_recall_and_false_positives_by_hand():
    truth = lists([[0, 0, 0, 0.5, 0.5, 1, 0.5, 0.5, 1, 1], [0, 0, 0, 0.5, 0.5]])
    # A hit, its duplicate, a box of another class, and one below the operating point.
    first = [0, 0.9, 0, 0, 0.5, 0.5, 0, 0.8, 0, 0, 0.5, 0.45, 0, 0.7, 0.5, 0.5, 1, 1, 1, 0.3, 0.5, 0.5, 1, 1]
    read = Matches.of(truth, lists([first, []]), np.ones(2, dtype=bool), 2)
    assert one(read.recall(0.5), 2) == pytest.approx(1 / 3)
    assert one(read.recall(0.2), 2) == pytest.approx(2 / 3)
    assert one(read.false_positives(0.5), 2) == pytest.approx(2 / 2)
    assert one(read.false_positives(0.75), 2) == pytest.approx(1 / 2)
    assert one(read.average_precision((0.5,), label=0), 2) == pytest.approx(51 / 101)
    # The only detection of class 1 finds its only box.
    assert one(read.recall(0.2, label=1), 2) == 1
    assert one(read.false_positives(0.2, label=1), 2) == 0
    assert one(read.froc_score(label=1), 2) == 1
