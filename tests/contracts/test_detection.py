"""Detection, with both heads and every goal, against the contracts of a task and definitions written apart."""

import math

import pytest
import torch

from palpate.annotations import Boxes, Candidates
from palpate.checks import TASK_CONTRACTS
from palpate.tasks.detection import Detection
from palpate.tasks.detection_goals import Degrade, Fabricate, Mislabel, Vanish

CLASSES = 3


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def detections(logits, boxes, head):
    """(class, box, p) of one image, highest p first, in plain Python: threshold 0.5 and suppression 0.5."""
    proposed = []
    for row, box in zip(logits.tolist(), boxes.tolist(), strict=True):
        box = [min(max(side, 0.0), 1.0) for side in box]
        if head == "softmax":
            parts = [math.exp(value - max(row)) for value in row]
            p = [part / sum(parts) for part in parts][:-1]
            proposed.append((p.index(max(p)), box, max(p)))
        else:
            proposed += [(k, box, 1 / (1 + math.exp(-value))) for k, value in enumerate(row)]
    proposed = sorted((one for one in proposed if one[2] > 0.5), key=lambda one: -one[2])
    kept = []
    for one in proposed:
        if all(one[0] != other[0] or overlap(one[1], other[1]) <= 0.5 for other in kept):
            kept.append(one)
    return kept


def annotated(targets, row):
    pairs = zip(targets.labels[row].tolist(), targets.boxes[row].tolist(), strict=True)
    return [(label, box) for label, box in pairs if label >= 0]


def f1(found, truth):
    taken = set()
    for label, box, _ in found:
        fits = [
            (overlap(box, other), index)
            for index, (its, other) in enumerate(truth)
            if its == label and index not in taken and overlap(box, other) >= 0.5
        ]
        if fits:
            taken.add(max(fits)[1])
    return 2 * len(taken) / (len(found) + len(truth)) if found or truth else 1.0


def is_reached(goal, found, truth):
    if isinstance(goal, Degrade):
        return f1(found, truth) <= 0.5
    if isinstance(goal, Fabricate):
        free = [
            one
            for one in found
            if all(overlap(one[1], box) < 0.5 for _, box in truth) and (not goal.classes or one[0] in goal.classes)
        ]
        return len(free) >= goal.count
    covering = [[label for label, box, _ in found if overlap(box, other) >= 0.5] for _, other in truth]
    if isinstance(goal, Vanish):
        asked = [
            (label, seen)
            for (label, _), seen in zip(truth, covering, strict=True)
            if not goal.classes or label in goal.classes
        ]
        return bool(asked) and not any(label in seen for label, seen in asked)
    return any(seen and label not in seen for (label, _), seen in zip(truth, covering, strict=True))


def reached(goal, head):
    def decide(outputs, targets):
        rows = range(len(outputs.logits))
        return torch.tensor(
            [
                is_reached(goal, detections(outputs.logits[r], outputs.boxes[r], head), annotated(targets, r))
                for r in rows
            ]
        )

    return decide


def drawn(head, count=48, queries=24, most=4):
    """Candidates scattered around annotated boxes and elsewhere, at many levels of confidence."""
    generator = torch.Generator().manual_seed(5)
    corner = torch.rand(count, most, 2, generator=generator, dtype=torch.float64) * 0.6
    size = 0.15 + 0.2 * torch.rand(count, most, 2, generator=generator, dtype=torch.float64)
    boxes = torch.cat([corner, corner + size], 2)
    labels = torch.randint(0, CLASSES, (count, most), generator=generator)
    labels[torch.arange(most) >= torch.randint(0, most + 1, (count, 1), generator=generator)] = -1
    which = torch.randint(0, most, (count, queries), generator=generator)
    shift = 0.05 * torch.randn(count, queries, 4, generator=generator, dtype=torch.float64)
    near = boxes.gather(1, which[..., None].expand(-1, -1, 4)) + shift
    proposed = torch.cat([torch.minimum(near[..., :2], near[..., 2:] - 0.02), near[..., 2:]], 2)
    width = CLASSES + (head == "softmax")
    logits = torch.randn(count, queries, width, generator=generator, dtype=torch.float64) * 2
    # From images where nothing is found to images where much is.
    logits[..., :CLASSES] += torch.linspace(-6, 2, count, dtype=torch.float64)[:, None, None]
    right = labels.gather(1, which).clamp(min=0)[..., None]
    logits.scatter_add_(2, right, torch.full_like(right, 2, dtype=torch.float64))
    return Candidates(logits, proposed), Boxes(boxes, labels)


GOALS = [Degrade(), Vanish(), Vanish((0, 2)), Fabricate(), Fabricate(3), Fabricate(2, (1,)), Mislabel()]


@pytest.mark.parametrize("contract", TASK_CONTRACTS)
@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.describe())
def test_detection_keeps_contract(contract, head, goal):
    outputs, targets = drawn(head)
    task = Detection(CLASSES, goal, head=head)
    rows = task.eligible(targets).nonzero().flatten()
    outputs = Candidates(outputs.logits[rows], outputs.boxes[rows])
    TASK_CONTRACTS[contract](task, outputs, task.take(targets, rows), reached(goal, head))


@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.describe())
def test_the_drawn_images_reach_the_goal_and_miss_it(head, goal):
    outputs, targets = drawn(head)
    rows = Detection(CLASSES, goal, head=head).eligible(targets)
    decided = reached(goal, head)(outputs, targets)[rows]
    assert decided.any() and not decided.all()


@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
def test_predict_agrees_with_detections_written_apart(head):
    outputs, _ = drawn(head)
    found = Detection(CLASSES, head=head).predict(outputs)
    for row in range(len(outputs.logits)):
        expected = detections(outputs.logits[row], outputs.boxes[row], head)
        count = int((found.labels[row] >= 0).sum())
        assert found.labels[row, :count].tolist() == [one[0] for one in expected]
        assert torch.allclose(found.confidence[row, :count], torch.tensor([p for *_, p in expected]).double())
        assert torch.allclose(found.boxes[row, :count], torch.tensor([b for _, b, _ in expected]).double().view(-1, 4))


@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
def test_score_is_f1_written_apart(head):
    outputs, targets = drawn(head)
    expected = [
        f1(detections(outputs.logits[r], outputs.boxes[r], head), annotated(targets, r))
        for r in range(len(outputs.logits))
    ]
    assert torch.allclose(Detection(CLASSES, head=head).score(outputs, targets), torch.tensor(expected).double())
