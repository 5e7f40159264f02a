"""A two-stage detector in torchvision's interface, attacked through the losses that it was trained with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import palpate
from palpate.annotations import Boxes
from palpate.defences.filters import Filter, Median
from palpate.errors import InputError
from palpate.models.detectors.shipped import Form, ShippedDetector
from palpate.models.detectors.training import training_losses
from palpate.tasks.detection import Detection
from palpate.tasks.detection_goals import Vanish

SIDE, CELL = 32, 8
FORM = Form("decided boxes", boxes="pixels", first_class=1)
LOSSES = ("loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg")


class TwoStage(nn.Module):
    """Cells of 8 x 8 pixels: the first stage proposes the four brightest, the second says which of them count."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(1), nn.Dropout(0.5)
        self.sharpness = nn.Parameter(torch.tensor(12.0))
        self.register_buffer("calls", torch.zeros(()))
        steps = torch.arange(SIDE // CELL) * float(CELL)
        top, left = torch.meshgrid(steps, steps, indexing="ij")
        self.register_buffer("cells", torch.stack([left, top, left + CELL, top + CELL], -1).reshape(-1, 4))

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        if self.training:
            self.calls += 1
            assert targets is not None
            each = [self._losses(image, target) for image, target in zip(images, targets, strict=True)]
            return {name: torch.stack([one[name] for one in each]).mean() for name in LOSSES}
        return [self._found(image) for image in images]

    def _stages(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = self.drop(self.norm(F.avg_pool2d(image[None], CELL))).flatten()
        objectness = self.sharpness * (seen - 0.4)
        chosen = objectness.detach().topk(4).indices
        moved = self.cells + (seen - 0.8)[:, None]
        return objectness, chosen, torch.cat([moved, self.sharpness * (seen - 0.5)[:, None]], 1)

    def _found(self, image: Tensor) -> dict[str, Tensor]:
        _, chosen, second = self._stages(image)
        scores = second[chosen, 4].sigmoid()
        sure = scores > 0.5
        labels = torch.ones(int(sure.sum()), dtype=torch.int64)
        return {"boxes": second[chosen, :4][sure], "labels": labels, "scores": scores[sure]}

    def _losses(self, image: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        objectness, _, second = self._stages(image)
        true = (self.cells[:, None] == target["boxes"].round()).all(-1).any(1)
        assert bool((target["labels"] == 1).all()) and int(true.sum()) == len(target["boxes"])
        negatives = (~true).nonzero().flatten()
        some = torch.cat([true.nonzero().flatten(), negatives[torch.randperm(len(negatives))[:8]]])
        moves = F.l1_loss(second[true, :4], self.cells[true])
        return {
            "loss_classifier": F.binary_cross_entropy_with_logits(second[some, 4], true[some].float()),
            "loss_box_reg": moves,
            "loss_objectness": F.binary_cross_entropy_with_logits(objectness[some], true[some].float()),
            "loss_rpn_box_reg": moves / 2,
        }


def images() -> Tensor:
    made = torch.full((2, 1, SIDE, SIDE), 0.1)
    made[0, :, :8, 8:16] = made[1, :, 16:24, 16:24] = made[1, :, 24:, :8] = 0.8
    return made


TRUTH = Boxes(
    torch.tensor([[[8.0, 0, 16, 8], [0, 0, 0, 0]], [[16.0, 16, 24, 24], [0, 24, 8, 32]]]) / SIDE,
    torch.tensor([[0, -1], [0, 0]]),
)


@pytest.fixture
def model() -> TwoStage:
    return TwoStage().eval()


def state(model: nn.Module) -> dict[str, bytes]:
    return {name: tensor.detach().numpy().tobytes() for name, tensor in model.state_dict().items()}


def test_the_value_of_an_image_is_the_sum_of_its_losses_with_frozen_norms_and_no_dropout(model: TwoStage) -> None:
    found = training_losses(model, images(), TRUTH)
    for row in range(2):
        known = TRUTH.labels[row] >= 0
        target = {"boxes": TRUTH.boxes[row][known] * SIDE, "labels": torch.ones(int(known.sum()), dtype=torch.int64)}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            wanted = sum(model._losses(images()[row], target).values())  # its parts are in evaluation mode
        torch.testing.assert_close(found[row], wanted)
    alone = training_losses(model, images()[1:], Boxes(TRUTH.boxes[1:], TRUTH.labels[1:]))
    assert torch.equal(alone, found[1:]), "and does not depend on the other images"


def test_nothing_of_the_model_changes_also_after_an_error(model: TwoStage) -> None:
    model.norm.train()  # a mode that a user chose is kept
    before, random = state(model), torch.get_rng_state()
    training_losses(model, images(), TRUTH)
    with pytest.raises(AssertionError):
        training_losses(model, images(), TRUTH, first_class=2)
    assert state(model) == before and torch.equal(torch.get_rng_state(), random)
    assert not model.training and model.norm.training and not model.drop.training
    detector = ShippedDetector(model.eval(), FORM, 1)
    palpate.attack(
        detector, images(), TRUTH, "pgd", eps=0.1, steps=3, objective="training", task=Detection(1, floor=0.9)
    )
    assert state(model) == before and not any(part.training for part in model.modules())


def test_what_the_threshold_removed_has_a_gradient(model: TwoStage) -> None:
    detector = ShippedDetector(model, FORM, 1, listed=True)
    shown = images().requires_grad_()
    (own,) = torch.autograd.grad(Detection(1).loss(detector(shown), TRUTH).sum(), shown)
    (trained,) = torch.autograd.grad(detector.training_losses(shown, TRUTH).sum(), shown)
    dark = images() < 0.5
    assert not own[dark].any() and trained[dark].any() and trained[~dark].any()


def test_an_attack_climbs_the_losses_and_is_judged_by_the_boxes(model: TwoStage) -> None:
    detector, task = ShippedDetector(model, FORM, 1), Detection(1)
    more: dict[str, Any] = {"steps": 8, "step": 0.2, "objective": "training", "task": task}
    weak, strong = (palpate.attack(detector, images(), TRUTH, "pgd", eps=eps, **more) for eps in (0.05, 0.45))
    assert weak.eligible.all() and not weak.success.any() and strong.success.all()
    margin = task.margin(detector(strong.images), TRUTH)
    assert torch.equal(margin <= 0, strong.success), "verdicts are those of the boxes in evaluation mode"
    climbed = training_losses(model, weak.images, TRUTH) - training_losses(model, images(), TRUTH)
    assert (weak.forwards > 8 * 2 - 2).all() and (climbed >= 0).all(), "each step is two passes"


class Plain(nn.Module):
    def forward(self, shown: Any) -> Any:
        return [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}]


class Answers(TwoStage):
    def forward(self, images: Any, targets: Any = None) -> Any:
        return super().forward(images) if targets is None else [torch.zeros(())]


def test_what_has_no_such_losses_is_refused(model: TwoStage) -> None:
    for other, said in ((Plain(), "Plain takes no targets"), (Answers(), "Answers returned no dict of losses")):
        with pytest.raises(InputError, match=said):
            ShippedDetector(other.eval(), FORM, 1).training_losses(images(), TRUTH)
    more: dict[str, Any] = {"eps": 0.1, "steps": 1, "objective": "training"}
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 2))
    detector = ShippedDetector(model, FORM, 1)
    with torch.no_grad():
        labels = classifier(images()).argmax(1)
    for given, targets, further, said in (
        (classifier, labels, {}, 'objective "training" is for detectors'),
        (detector, TRUTH, {"task": Detection(1, goal=Vanish())}, "lead to no other goal"),
        (
            detector,
            TRUTH,
            {"task": Detection(1), "objective": "mine"},
            "objective: 'mine' is not one of task, training",
        ),
        (
            detector,
            TRUTH,
            {"task": Detection(1), "defences": (Filter(Median(3)),)},
            "the losses do not see the defence",
        ),
    ):
        with pytest.raises(InputError, match=said):
            palpate.attack(given, images(), targets, "pgd", **{**more, **further})
