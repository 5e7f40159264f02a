"""Models that may refuse to answer: beaten means wrong and answered; refused clean images are the price."""

import pytest
import torch

import palpate
from palpate.attacks.recipes import bim
from palpate.audit.plan.identity import encode
from palpate.checks import victims
from palpate.defences import Median, Reject
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.screening import Screened, accepted, screened
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import Linf
from palpate.victim import Victim

WRONG, RIGHT = [-2.0, 2.0], [2.0, -2.0]
OUTPUTS = Screened(torch.tensor([WRONG, WRONG, RIGHT, RIGHT]), torch.tensor([0.5, -0.5, 0.5, -0.5]))
LABELS = torch.zeros(4, dtype=torch.int64)
TASK = screened(Classification(2))


def test_only_a_wrong_answer_that_is_given_beats_an_image():
    assert torch.equal(TASK.margin(OUTPUTS, LABELS) <= 0, torch.tensor([False, True, False, False]))
    assert torch.equal(TASK.scaled_margin(OUTPUTS, LABELS) <= 0, torch.tensor([False, True, False, False]))


def test_without_an_answer_nothing_is_right():
    assert TASK.right(OUTPUTS, LABELS).tolist() == [False, False, False, True]
    assert TASK.score(OUTPUTS, LABELS).tolist() == [0, 0, 0, 1]


def test_a_climb_loses_what_the_detector_would_say():
    plain = Classification(2).loss(OUTPUTS.answer, LABELS)
    assert torch.allclose(TASK.loss(OUTPUTS, LABELS), plain - torch.tensor([0.5, 0.0, 0.5, 0.0]))


def test_without_a_detector_it_is_the_task():
    task = Classification(2)
    for name in ("loss", "margin", "soft_score", "right", "score"):
        assert torch.equal(getattr(TASK, name)(OUTPUTS.answer, LABELS), getattr(task, name)(OUTPUTS.answer, LABELS))
    assert accepted(OUTPUTS.answer) is None


@pytest.mark.parametrize("task", [Classification(3), MultiLabel(2), Segmentation(1)])
def test_it_is_another_task_with_another_identity(task):
    made = screened(task)
    assert isinstance(made, type(task)) and screened(made) is made
    assert encode(made)["type"] == f"Screened{type(task).__name__}" != encode(task)["type"]
    assert encode(made)["fields"] == encode(task)["fields"]


def test_boxes_are_refused():
    with pytest.raises(InputError, match="classes, findings or masks only"):
        screened(Detection(1))


def test_an_attack_ends_at_an_image_that_is_answered_or_at_the_clean_one():
    network, images = victims.small_net(1, 3, 2, (0, 255)), victims.images(12)[:, :1]
    labels = network(images).argmax(1)
    scores = Reject((Median(3),)).score(images, network).detach()
    detector = Reject((Median(3),), float(scores.max()) * 0.5)
    victim = Victim(network, (0, 255), defences=(detector,))
    result = bim(Linf(12.0), steps=10)(victim, TASK_OF_THREE, images, labels)
    with victim:
        judged = victim.judge(result.images)
    moved = (result.images != images).flatten(1).any(1)
    assert accepted(judged)[moved].all() and moved.any()
    assert torch.equal(result.success, result.eligible & (TASK_OF_THREE.margin(judged, labels) <= 0))
    undefended = bim(Linf(12.0), steps=10)(Victim(network, (0, 255)), TASK_OF_THREE, images, labels)
    assert result.success.sum() <= undefended.success.sum()


TASK_OF_THREE = screened(Classification(3))


def test_the_threshold_is_the_smallest_that_keeps_the_false_alarms():
    scores = torch.linspace(0.01, 1, 100)
    for share, most in ((0.05, 5), (0.0, 0), (0.5, 50)):
        detector = Reject((Median(3),), false_alarms=share).calibrated(scores)
        assert int((scores > detector.threshold).sum()) == most
    assert Reject((Median(3),), 0.3).calibrated(scores).threshold == 0.3


def test_the_call_sets_the_threshold_from_its_images_and_counts_what_it_rejects():
    network, images = victims.small_net(1, 3, 2, (0, 255)), victims.images(12)[:, :1]
    labels = network(images).argmax(1)
    around = (Reject((Median(3),), false_alarms=0.25),)
    result = palpate.attack(network, images, labels, "bim", eps=4, bounds=(0, 255), defences=around, steps=3)
    assert int((result.clean_outputs.excess > 0).sum()) == 3
    with pytest.raises(InputError, match=r"reject\.threshold: it is not set"), Victim(network, defences=around) as bare:
        bare.judge(images)
