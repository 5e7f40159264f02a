"""Objectives over pieces, worked by hand on pieces that a test hands out."""

from dataclasses import dataclass

import pytest
import torch

from palpate.attacks.objectives import Deviation, Own, SoftScore, Stabilised
from palpate.attacks.objectives_pieces import CosPGD, PieceMargin, SegPGD
from palpate.contracts import ObjectiveInputs, Pieces


@dataclass
class Handed:
    """A task whose pieces are (loss, margin, standing) = outputs * (2, 1, 0.5), against targets that are weights."""

    def pieces(self, outputs, targets):
        return Pieces(2 * outputs, outputs, outputs / 2, targets)

    def loss(self, outputs, targets):
        return (outputs * targets).sum(1)

    def soft_score(self, outputs, targets):
        return (outputs * targets).mean(1)

    def own(self, outputs, targets):
        return torch.full_like(targets, 7.0)


OUTPUTS = [[3.0, -1.0, 5.0, -100.0], [1.0, 1.0, -2.0, 4.0]]
WEIGHTS = [[1.0, 1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]]


def point(progress=0.0, outputs=OUTPUTS, weights=WEIGHTS):
    images = torch.tensor(outputs, dtype=torch.float64, requires_grad=True)
    return ObjectiveInputs(
        *(images, images, images, images, images, torch.tensor(weights, dtype=torch.float64), Handed(), progress),
        forward=None,
        forward_no_grad=None,
    )


def value_and_gradient(objective, at):
    value = objective.value(at)
    return value.tolist(), torch.autograd.grad(value.sum(), at.images)[0].tolist()


@pytest.mark.parametrize(("step", "steps", "fallen"), [(1, 10, 0.0), (6, 10, 0.25), (10, 10, 0.45), (3, 3, 1 / 3)])
def test_segpgd_weighs_fallen_pieces_by_the_share_of_steps_that_is_done(step, steps, fallen):
    assert fallen == pytest.approx((step - 1) / (2 * steps))
    value, gradient = value_and_gradient(SegPGD(), point(progress=(step - 1) / steps))
    by_hand = (6 * (1 - fallen) - 2 * fallen + 2 * 10 * (1 - fallen)) / 4
    assert value[0] == pytest.approx(by_hand)
    shares = [2 * (1 - fallen) / 4, 2 * fallen / 4, 2 * 2 * (1 - fallen) / 4, 0]
    assert gradient[0] == pytest.approx(shares)


def test_cospgd_weighs_by_what_stands_and_sends_no_gradient_through_it():
    value, gradient = value_and_gradient(CosPGD(), point())
    assert value[0] == pytest.approx((6 * 1.5 + 2 * 0.5 + 2 * 10 * 2.5) / 4)
    # With a gradient through the cosine it would be twice as much.
    assert gradient[0] == pytest.approx([2 * 1.5 / 4, 2 * -0.5 / 4, 2 * 2 * 2.5 / 4, 0])


def test_open_margins_leave_alone_what_fell():
    value, gradient = value_and_gradient(PieceMargin(), point())
    assert value == pytest.approx([-(3 + 2 * 5) / 4, -6 / 4])
    assert gradient[0] == pytest.approx([-1 / 4, 0, -2 / 4, 0])
    value, gradient = value_and_gradient(PieceMargin(open_only=False), point())
    assert value == pytest.approx([-(3 - 1 + 2 * 5) / 4, -4 / 4])
    assert gradient[0] == pytest.approx([-1 / 4, -1 / 4, -2 / 4, 0])


@pytest.mark.parametrize("objective", [SegPGD(), CosPGD(), PieceMargin(), PieceMargin(open_only=False)])
def test_what_does_not_count_has_no_say(objective):
    some = point(outputs=[[3.0, 2.0, float("inf")]], weights=[[1.0, 1.0, 0.0]])
    fewer = point(outputs=[[3.0, 2.0]], weights=[[1.0, 1.0]])
    assert objective.value(some).tolist() == pytest.approx(objective.value(fewer).tolist())
    nothing = point(outputs=[[3.0, 2.0]], weights=[[0.0, 0.0]])
    assert objective.value(nothing).tolist() == [0.0]


@pytest.mark.parametrize("objective", [SegPGD(), CosPGD(), PieceMargin()])
def test_a_larger_image_of_the_same_pieces_has_the_same_value(objective):
    twice = point(outputs=[row * 2 for row in OUTPUTS], weights=[row * 2 for row in WEIGHTS])
    assert objective.value(twice).tolist() == pytest.approx(objective.value(point()).tolist())


def test_soft_score_is_climbed_downwards():
    value, gradient = value_and_gradient(SoftScore(), point())
    assert value[0] == pytest.approx(-(3 - 1 + 10) / 4)
    assert gradient[0] == pytest.approx([-1 / 4, -1 / 4, -2 / 4, 0])


def test_own_looks_at_the_clean_decision_and_never_at_the_truth():
    for objective in (Deviation(), SoftScore(), SegPGD(), Stabilised(0.0)):
        own, other = point(), point(weights=[[0.0] * 4] * 2)
        sevens = point(weights=[[7.0] * 4] * 2)
        assert Own(objective).value(own).tolist() == objective.value(sevens).tolist()
        assert Own(objective).value(other).tolist() == objective.value(sevens).tolist()
