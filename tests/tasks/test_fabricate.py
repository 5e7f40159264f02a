"""A class that a detector hardly sees anywhere can still be climbed to."""

import pytest
import torch

from palpate.annotations import Boxes, Candidates
from palpate.tasks.detection import Detection
from palpate.tasks.detection_goals import Fabricate

SIDE = 32
RARE = 1


def unsure(head):
    """A grid of boxes, each below the threshold: a little of class 0, hardly any of class 1; one box is annotated."""
    place = torch.arange(SIDE) / SIDE
    top, left = (axis.flatten() for axis in torch.meshgrid(place, place, indexing="ij"))
    boxes = torch.stack([left, top, left + 1 / SIDE, top + 1 / SIDE], 1)[None].double()
    logits = torch.full((1, SIDE * SIDE, 2 + (head == "softmax")), -2.0, dtype=torch.float64)
    logits[..., RARE] = -25.0
    if head == "softmax":
        logits[..., -1] = 2.0
    return logits, boxes, Boxes(boxes[:, 5:6].float(), torch.tensor([[RARE]]))


@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("climbed", ["loss", "margin", "soft_score", "pieces"])
def test_a_class_that_is_nowhere_is_climbed_to_and_reached(head, count, climbed):
    logits, boxes, truth = unsure(head)
    task = Detection(2, Fabricate(count, (RARE,)), head=head)
    logits.requires_grad_()
    value = getattr(task, climbed)(Candidates(logits, boxes), truth)
    value = value.margin if climbed == "pieces" else value
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    risen = gradient[..., RARE] * (1 if climbed == "loss" else -1) > 0
    assert risen.sum() == count
    assert not risen[0, 5]
    with torch.no_grad():
        assert task.margin(Candidates(logits, boxes), truth) > 0
        raised = logits.clone()
        raised[..., RARE] += 60 * risen
        assert task.margin(Candidates(raised, boxes), truth) <= 0
