"""What the reader writes into records: counts that agree with the metrics, and boxes that can be read back."""

import numpy as np
import pytest
import torch

from palpate.annotations import Boxes, Candidates
from palpate.errors import InputError
from palpate.measures.detection import LEAST, DetectionReader
from palpate.metrics.detection import Matches
from palpate.storage.lists import Lists
from palpate.tasks.detection import Detection
from palpate.tasks.detection_goals import Vanish

NAMES = ("bubbles", "blur")


def drawn(count=6, queries=20):
    generator = torch.Generator().manual_seed(8)
    corner = torch.rand(count, 3, 2, generator=generator) * 0.6
    boxes = torch.cat([corner, corner + 0.3], 2)
    labels = torch.tensor([[0, 1, 0], [1, 0, -1], [0, -1, -1], [-1, -1, -1], [1, 1, 1], [0, 0, 1]])
    which = torch.arange(queries).expand(count, -1) % 3
    near = boxes.gather(1, which[..., None].expand(-1, -1, 4))
    near = near + torch.rand(count, queries, 4, generator=generator) * 0.1
    return Candidates(torch.randn(count, queries, 2, generator=generator) * 3, near), Boxes(boxes, labels)


@pytest.fixture
def read():
    outputs, targets = drawn()
    task = Detection(2, Vanish(), confidence=0.6)
    return task, DetectionReader(task, NAMES), outputs, targets


def flat(rows):
    return Lists.of(rows)


def test_counts_are_those_that_the_metrics_make_of_the_boxes(read):
    _, reader, outputs, targets = read
    matches = Matches.of(flat(reader.truth(targets)), flat(reader.found(outputs)), np.ones(6, dtype=bool), 2)
    counts = np.asarray(reader.measure(outputs, targets))
    each = np.eye(6)
    boxes = matches.annotated.sum(1)
    assert counts[:, 1].tolist() == matches.false_positives(0.6)(each).tolist()
    recall = matches.recall(0.6)(each)
    assert np.allclose(counts[boxes > 0, 0] / boxes[boxes > 0], recall[boxes > 0])
    assert (counts[:, 0] + counts[:, 2]).tolist() == boxes.tolist()
    assert counts.sum(0).min() > 0


def test_found_has_what_the_decision_leaves_out_and_what_it_has_comes_first(read):
    task, reader, outputs, _ = read
    decided, below = task.predict(outputs), 0
    for row, flat_boxes in enumerate(reader.found(outputs)):
        boxes = np.asarray(flat_boxes).reshape(-1, 6)
        count = int((decided.labels[row] >= 0).sum())
        assert (np.diff(boxes[:, 1]) <= 0).all() and (boxes[:, 1] > LEAST).all()
        below += len(boxes) - count
        assert boxes[:count, 0].tolist() == decided.labels[row, :count].tolist()
        assert np.allclose(boxes[:count, 2:], decided.boxes[row, :count])
        assert (boxes[count:, 1] <= 0.6).all()
    assert below > 0


def test_truth_is_the_annotated_boxes_without_padding(read):
    _, reader, _, targets = read
    for row, flat_boxes in enumerate(reader.truth(targets)):
        boxes = np.asarray(flat_boxes).reshape(-1, 5)
        real = targets.labels[row] >= 0
        assert boxes[:, 0].tolist() == targets.labels[row][real].tolist()
        assert np.allclose(boxes[:, 1:], targets.boxes[row][real])


def test_one_measure_for_each_figure_and_one_name_for_each_class(read):
    task, reader, outputs, targets = read
    assert all(len(row) == len(reader.measures) for row in reader.measure(outputs, targets))
    with pytest.raises(InputError, match="1 names for 2 classes"):
        DetectionReader(task, ("bubbles",))
