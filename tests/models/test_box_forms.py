"""Detectors whose boxes are pixels or centres, and those whose scores are probabilities, read as palpate reads them."""

import pytest
import torch
from torch import nn

from palpate.annotations import Candidates
from palpate.errors import InputError
from palpate.models.blackbox import FromProbabilities
from palpate.models.detectors.forms import FromBoxes

IMAGES = torch.zeros(2, 1, 10, 40)
"""Ten high and forty wide."""
WANTED = torch.tensor([0.1, 0.2, 0.5, 0.8])


class Fixed(nn.Module):
    def __init__(self, *box: float):
        super().__init__()
        self.box = nn.Parameter(torch.tensor(box))

    def forward(self, images):
        return Candidates(torch.full((len(images), 1, 1), 0.75), self.box.expand(len(images), 1, 4))


@pytest.mark.parametrize(
    ("form", "box"),
    [
        ("fractions", (0.1, 0.2, 0.5, 0.8)),
        ("pixels", (4.0, 2.0, 20.0, 8.0)),
        ("centres", (0.3, 0.5, 0.4, 0.6)),
        ("pixel centres", (12.0, 5.0, 16.0, 6.0)),
    ],
)
def test_each_form_becomes_corners_in_fractions_and_keeps_its_gradient(form, box):
    model = Fixed(*box)
    found = FromBoxes(model, form)(IMAGES)
    assert torch.allclose(found.boxes, WANTED.expand(2, 1, 4))
    assert torch.equal(found.logits, torch.full((2, 1, 1), 0.75))
    found.boxes.sum().backward()
    assert bool((model.box.grad != 0).any())


@pytest.mark.parametrize("training", [True, False])
def test_what_wraps_a_model_is_in_its_mode(training):
    model = Fixed(0.1, 0.2, 0.5, 0.8).train(training)
    assert FromBoxes(model, "pixels").training is FromProbabilities(model, "sigmoid").training is training


def test_what_are_no_candidates_are_refused():
    with pytest.raises(InputError, match=r"model\.boxes: .*the model returned Tensor"):
        FromBoxes(nn.Identity(), "pixels")(IMAGES)


def test_scores_of_candidates_become_logits_and_boxes_stay():
    found = FromProbabilities(Fixed(0.1, 0.2, 0.5, 0.8), "sigmoid")(IMAGES)
    assert torch.allclose(found.logits.sigmoid(), torch.full((2, 1, 1), 0.75))
    assert torch.equal(found.boxes[0, 0], WANTED)
