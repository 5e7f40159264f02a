"""The loss of detectors whose own loss is not known: what it asks for, and that a trained detector is kept."""

import torch

from palpate.annotations import Boxes, Candidates
from palpate.data.phantoms.endoscopy import endoscopy_set
from palpate.hardening.losses.boxes import QualityAndPlace
from palpate.models.demo import endoscopy
from palpate.tasks.detection import Detection

TASK = Detection(2)
BOX = torch.tensor([[[0.2, 0.2, 0.6, 0.6]]])
TARGETS = Boxes(BOX, torch.tensor([[1]]))


def outputs(*candidates):
    """Candidates of one image: box, and the logits of both classes."""
    boxes = torch.tensor([[box for box, _ in candidates]])
    return Candidates(torch.tensor([[list(logits) for _, logits in candidates]]).requires_grad_(), boxes)


def slopes(*candidates):
    made = outputs(*candidates)
    loss = QualityAndPlace(TASK)(made, TARGETS)
    return float(loss.detach()), torch.autograd.grad(loss.sum(), made.logits)[0][0]


def test_a_perfect_detection_costs_nothing_and_a_lost_one_much():
    perfect, _ = slopes(((0.2, 0.2, 0.6, 0.6), (-12.0, 12.0)))
    lost, (slope,) = slopes(((0.2, 0.2, 0.6, 0.6), (-12.0, -3.0)))
    assert perfect < 1e-4 and lost > 2
    assert slope[1] < -0.5 and abs(slope[0]) < 1e-4


def test_background_is_pushed_down_and_duplicates_are_left_to_suppression():
    own = ((0.2, 0.2, 0.6, 0.6), (-9.0, 4.0))
    duplicate = ((0.21, 0.2, 0.6, 0.6), (-9.0, -1.0))
    far = ((0.7, 0.7, 0.9, 0.9), (0.0, -9.0))
    _, slope = slopes(own, duplicate, far)
    assert slope[1].abs().max() == 0
    assert slope[2, 0] > 0


def test_the_best_candidate_learns_a_box_that_none_covers():
    _, slope = slopes(((0.3, 0.3, 0.5, 0.5), (-3.0, -3.0)), ((0.8, 0.8, 0.9, 0.9), (-3.0, -3.0)))
    assert slope[0, 1] < 0 < slope[1, 1]


def test_images_without_boxes_teach_the_background_alone():
    empty = Boxes(torch.zeros(1, 1, 4), torch.tensor([[-1]]))
    made = outputs(((0.2, 0.2, 0.6, 0.6), (2.0, -9.0)))
    loss = QualityAndPlace(TASK)(made, empty)
    (slope,) = torch.autograd.grad(loss.sum(), made.logits)
    assert loss.isfinite().all() and slope[0, 0, 0] > 0


def test_a_trained_detector_stays_as_good_as_it_was():
    """Steps on clean images of a loss that fights its own assignment would lower F1 at once."""
    stored, corners, labels = endoscopy_set(8, 11)
    most = max(len(one) for one in labels)
    boxes = Boxes(torch.zeros(8, most, 4), torch.full((8, most), -1))
    for row, (mine, said) in enumerate(zip(corners, labels, strict=True)):
        boxes.boxes[row, : len(mine)] = torch.as_tensor(mine) / endoscopy.SIZE
        boxes.labels[row, : len(said)] = torch.as_tensor(said)
    images = torch.as_tensor(stored).permute(0, 3, 1, 2).float()
    network = endoscopy.load().eval()
    task = Detection(len(endoscopy.CLASSES), confidence=endoscopy.CONFIDENCE)
    inputs = (images - torch.tensor(endoscopy.MEAN)[:, None, None]) / torch.tensor(endoscopy.STD)[:, None, None]
    loss = QualityAndPlace(task)

    def score():
        with torch.no_grad():
            return float(task.score(network(inputs), boxes).nanmean())

    before = score()
    optimiser = torch.optim.AdamW(network.parameters(), 4e-4)
    for _ in range(8):
        optimiser.zero_grad()
        loss(network(inputs), boxes).mean().backward()
        optimiser.step()
    assert before > 0.6
    assert score() > before - 0.02
