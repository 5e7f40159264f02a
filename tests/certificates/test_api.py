"""`palpate.certify` in a notebook."""

from __future__ import annotations

import pytest
import torch

import palpate
from palpate.defences.smoothing import Smoothing
from palpate.tasks.detection import Detection
from palpate.tasks.segmentation import Segmentation
from tests.certificates.models import PixelThreshold, Plane, at_distance

FEW = {"samples": 100, "select": 40, "steps": 4, "draws": 4, "bounds": (0, 255)}


def test_both_bounds_come_back_with_their_radii():
    images, labels = torch.cat([at_distance(4.0), at_distance(0.5)]), torch.tensor([1, 1])
    found = palpate.certify(Plane(16), images, labels, "2%", radii=[1, 20], **FEW)
    assert found.sigma == 5.1 and found.radii == (0, 1, 20)
    assert found.least[:, 0].tolist() == [1, 1, 0] and found.most[:, 0].tolist() == [1, 1, 0]
    assert bool((found.least <= found.most).all()) and 1 < found.radius[0] < 4 and found.prediction[0] == 1
    assert found.describe().splitlines()[1].startswith("L2 1: at least 0.500, at most 1.000")
    assert found.forwards > 280 and found.backwards >= 2 * 2 * 4 * 2
    again = palpate.certify(Plane(16), images, labels, "2%", radii=[1, 20], batch=7, **FEW)
    assert again.radius.tolist() == found.radius.tolist() and again.least.tolist() == found.least.tolist()


def test_a_smoothed_victim_is_not_smoothed_twice():
    victim = palpate.Victim(Plane(16), (0, 255), defences=(Smoothing(5.0, draws=2, votes=4),))
    few = {name: value for name, value in FEW.items() if name != "bounds"}
    found = palpate.certify(victim, at_distance(4.0), torch.tensor([1]), 5.0, attack=False, radii=[1], **few)
    plain = palpate.certify(Plane(16), at_distance(4.0), torch.tensor([1]), 5.0, attack=False, radii=[1], **FEW)
    assert found.radius.tolist() == plain.radius.tolist() and found.forwards == 140


def test_masks_have_bounds_of_their_score():
    truth = torch.zeros(1, 4, 4, dtype=torch.int64)
    truth[:, 1:3, 1:3] = 1
    image = (100 + 8.0 * (2 * truth - 1)[:, None]).float()
    found = palpate.certify(PixelThreshold(), image, truth, 4.0, task=Segmentation(1), attack=False, **FEW)
    assert found.least[0, 0] == 1 and found.least[-1, 0] == 0 and bool(found.radius.isnan().all())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sigma": "five"}, "sigma: 'five' is not a budget"),
        ({"sigma": True}, "sigma: True is not a size"),
        ({"radii": ["x"]}, "radii: 'x' is not a budget"),
        ({"samples": 5}, "samples: 5 samples can certify nothing"),
        ({"confidence": 2.0}, "confidence: 2 must be between"),
    ],
)
def test_what_cannot_be_used_is_said(changed, said):
    given = {"sigma": 5.0, **FEW, **changed}
    with pytest.raises(palpate.InputError, match=said):
        palpate.certify(Plane(16), at_distance(4.0), torch.tensor([1]), **given)


def test_boxes_are_refused():
    from palpate.annotations import Boxes, Candidates

    class Detector(torch.nn.Module):
        def forward(self, images):
            count = len(images)
            return Candidates(torch.full((count, 2, 1), -2.0), torch.tensor([[0.1, 0.1, 0.4, 0.4]]).expand(count, 2, 4))

    boxes = Boxes(torch.tensor([[[0.0, 0, 0.5, 0.5]]]), torch.zeros(1, 1, dtype=torch.int64))
    with pytest.raises(palpate.InputError, match="boxes"):
        palpate.certify(Detector(), at_distance(4.0), boxes, 5.0, task=Detection(1), **FEW)
