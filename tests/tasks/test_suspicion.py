"""Probabilities in place of logits, for every kind of task; and what is no score at all."""

import pytest
import torch

from palpate.annotations import Boxes, Candidates, Masks
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.tasks.heads import Cumulative, OneLogit
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.output_checks import require_fractions
from palpate.tasks.segmentation import Segmentation
from palpate.tasks.suspicion import suspect

LABELS = torch.arange(6) % 2
DRAWN = torch.zeros(6, 4, 4, dtype=torch.int64)
DRAWN[:, :2] = 1
OVERLAPPING = torch.stack([DRAWN, DRAWN.flip(1)], 1)
BOXES = Boxes(torch.tensor([0.1, 0.1, 0.4, 0.4]).expand(6, 1, 4), torch.zeros(6, 1, dtype=torch.int64))


def logits(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3


def candidates(scores: torch.Tensor) -> Candidates:
    return Candidates(scores, torch.tensor([0.1, 0.1, 0.4, 0.4]).expand(*scores.shape[:2], 4))


def drawn(task: str):
    """Task, targets, raw outputs."""
    return {
        "classes": (Classification(3), LABELS, logits(6, 3)),
        "one logit": (Classification(2, head=OneLogit()), LABELS, logits(6, 1)),
        "flat logit": (Classification(2, head=OneLogit()), LABELS, logits(6)),
        "grades": (Classification(4, head=Cumulative()), LABELS, logits(6, 3)),
        "findings": (MultiLabel(3), torch.stack([LABELS, 1 - LABELS, LABELS - 1], 1), logits(6, 3)),
        "one mask": (Segmentation(1), Masks(DRAWN), logits(6, 1, 4, 4)),
        "two masks": (Segmentation(2), Masks(DRAWN), logits(6, 3, 4, 4)),
        "volumes": (Segmentation(1), Masks(DRAWN[:, None].expand(6, 2, 4, 4)), logits(6, 2, 2, 4, 4)),
        "overlapping": (Segmentation(2, exclusive=False), Masks(OVERLAPPING), logits(6, 2, 4, 4)),
        "boxes": (Detection(2), BOXES, candidates(logits(6, 5, 2))),
        "boxes or none": (Detection(2, head="softmax"), BOXES, candidates(logits(6, 5, 3))),
    }[task]


def squashed(task, outputs, how):
    if isinstance(outputs, Candidates):
        return candidates(outputs.logits.softmax(2) if how == "softmax" else outputs.logits.sigmoid())
    return outputs.softmax(1) if how == "softmax" else outputs.sigmoid()


SOFTMAX = ["classes", "two masks", "volumes", "boxes or none"]
SIGMOID = ["one logit", "flat logit", "grades", "findings", "one mask", "overlapping", "boxes"]


@pytest.mark.parametrize("name", [*SOFTMAX, *SIGMOID])
def test_logits_are_believed(name):
    task, targets, outputs = drawn(name)
    task.validate(outputs, targets)
    assert suspect(task, outputs, targets, "outputs") is None


@pytest.mark.parametrize(("name", "how"), [(n, "softmax") for n in SOFTMAX] + [(n, "sigmoid") for n in SIGMOID])
def test_probabilities_are_sure_and_the_sentence_names_the_field(name, how):
    task, targets, outputs = drawn(name)
    found = suspect(task, squashed(task, outputs, how), targets, "model.outputs")
    assert found is not None and found.sure and found.kind == how
    assert f'model.outputs = "{how}"' in found.text and 'model.outputs = "logits"' in found.text


@pytest.mark.parametrize("name", SOFTMAX)
def test_sigmoids_of_classes_that_exclude_each_other_leave_the_decision_and_are_not_sure(name):
    task, targets, outputs = drawn(name)
    found = suspect(task, squashed(task, outputs, "sigmoid"), targets, "outputs")
    assert found is not None and not found.sure and 'outputs = "sigmoid"' in found.text


def test_a_softmax_over_findings_is_told_to_be_another_task():
    task, targets, outputs = drawn("findings")
    found = suspect(task, squashed(task, outputs, "softmax"), targets, "outputs")
    assert found is not None and found.sure and "one answer among several" in found.text


def test_what_is_present_alone_is_no_proof():
    task, _, outputs = drawn("one logit")
    found = suspect(task, outputs.sigmoid(), torch.ones(6, dtype=torch.int64), "outputs")
    assert found is not None and not found.sure


@pytest.mark.parametrize("name", ["classes", "one logit", "findings", "one mask"])
@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda outputs: candidates(logits(6, 5, 2)), "as a detector does"),
        (lambda outputs: [outputs], r"returned a list.*model\.output"),
        (lambda outputs: outputs.sign().long(), "int64: decisions, not scores"),
        (lambda outputs: outputs > 0, "bool: decisions, not scores"),
        (lambda outputs: outputs.to(torch.complex64), "complex"),
        (lambda outputs: outputs.mean(), "without an axis for the images"),
        (lambda outputs: outputs[:5], "shape"),
        (lambda outputs: outputs[..., None], "shape"),
    ],
)
def test_what_is_no_score_gets_one_sentence(name, made, words):
    task, targets, outputs = drawn(name)
    with pytest.raises(InputError, match=words):
        task.validate(made(outputs), targets)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda scores, boxes: scores, r"returned Tensor of shape \[6, 5, 2\]"),
        (lambda scores, boxes: Candidates(scores, boxes.long()), "the boxes of its candidates are int64"),
        (lambda scores, boxes: Candidates(scores > 0, boxes), "the logits of its candidates are bool"),
        (lambda scores, boxes: Candidates(scores, None), "the boxes of its candidates are NoneType"),
        (lambda scores, boxes: Candidates(scores, boxes[..., :3]), "shape"),
    ],
)
def test_what_are_no_candidates_get_one_sentence(made, words):
    task, targets, outputs = drawn("boxes")
    with pytest.raises(InputError, match=words):
        task.validate(made(outputs.logits, outputs.boxes), targets)


def corners(*values: float) -> Candidates:
    scores = torch.tensor([3.0, -9.0]).expand(4, 2)[..., None]
    boxes = torch.tensor([values, [900.0, 900.0, 950.0, 950.0]]).expand(4, 2, 4)
    return Candidates(scores, boxes)


def test_boxes_in_pixels_or_as_centres_are_refused_by_the_surest_ones():
    require_fractions(corners(0.1, 0.1, 1.3, 0.9), 1, "")
    with pytest.raises(InputError, match=r"look like pixels.*\[8\.0, 8\.0, 20\.0, 20\.0\].*The fix"):
        require_fractions(corners(8, 8, 20, 20), 1, "The fix.")
    with pytest.raises(InputError, match=r"4 of the most confident boxes of 4 images have x2 below x1.*centre x"):
        require_fractions(corners(0.5, 0.5, 0.2, 0.1), 1, "The fix.")


def test_the_class_of_no_object_makes_no_box_sure():
    scores = torch.tensor([[3.0, -9.0, -9.0], [-9.0, -9.0, 9.0]]).expand(4, 2, 3)
    boxes = torch.tensor([[0.1, 0.1, 0.4, 0.4], [90.0, 90.0, 95.0, 95.0]]).expand(4, 2, 4)
    require_fractions(Candidates(scores, boxes), 2, "")
