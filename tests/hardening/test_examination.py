"""What a model is scored at: the operating point of boxes."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from palpate import catalog
from palpate.annotations import Boxes, Candidates
from palpate.hardening.data.reading import Tensors
from palpate.hardening.examination import Examination
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.threats.ball import Linf
from palpate.victim import Victim

BOXES = torch.tensor([[0.1, 0.1, 0.4, 0.4], [0.6, 0.6, 0.9, 0.9]])


class Unsure(nn.Module):
    """Finds the first box with confidence 0.3, and a second one, which is not there, with 0.12."""

    def forward(self, images):
        logits = torch.tensor([0.3, 0.12]).logit()[None, :, None].expand(len(images), 2, 1)
        return Candidates(logits + 1e-6 * images.mean(), BOXES.expand(len(images), 2, 4))


def examination(choose, confidence=0.5):
    ball = Linf(1.0)
    reader = Tensors(torch.zeros(3, 1, 4, 4), Boxes(BOXES[:1].expand(3, 1, 4), torch.zeros(3, 1, dtype=torch.long)))
    judge = catalog.make("pgd", ball, steps=1)
    task = Detection(1, confidence=confidence)
    return Examination(reader, (0, 1, 2), task, judge, catalog.make("fgsm", ball), 2, 0, choose=choose)


def test_boxes_are_scored_at_the_confidence_with_the_best_clean_score():
    victim = Victim(Unsure().eval(), (0.0, 255.0))
    chosen, kept = examination(True), examination(False)
    # Between 0.12 and 0.3 the score is 1; the closest of these to the plan's 0.5 is taken.
    assert chosen.task_for(victim).confidence == pytest.approx(0.25)
    assert chosen.examine(victim).clean == 1 and chosen.examine(victim).robust == 1
    assert kept.task_for(victim) == kept.task and kept.examine(victim).clean == 0


def test_an_operating_point_that_is_as_good_as_any_is_kept():
    victim = Victim(Unsure().eval(), (0.0, 255.0))
    assert examination(True, 0.17).task_for(victim).confidence == 0.17


def test_other_tasks_have_no_operating_point():
    made = replace(examination(True), task=Classification(2))
    assert made.task_for(Victim(Unsure().eval(), (0.0, 255.0))) is made.task
