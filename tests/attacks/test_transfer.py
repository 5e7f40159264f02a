"""Transfer: what beats the surrogate is tried on the model, at two queries for each image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from palpate.attacks.black_box.transfer import Transfer
from palpate.attacks.curve import curve
from palpate.checks import victims
from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Victim

BOUNDS = (0.0, 255.0)


class Opaque(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images).detach()


def linear(sign: float, offset: float = 4.0) -> nn.Module:
    weights = torch.full((1, 6, 6), 0.01 * sign, dtype=torch.float64)
    return victims.Linear(weights, float(weights.abs().sum()) * offset)


def given(count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((count, 1, 6, 6), victims.LEVEL, dtype=torch.float64), torch.zeros(count, dtype=torch.int64)


def test_what_beats_an_equal_surrogate_beats_a_model_without_gradients():
    images, labels = given()
    victim, surrogate = Victim(Opaque(linear(1)), BOUNDS), Victim(linear(1), BOUNDS)
    found = Transfer(Linf(4.1), steps=10, surrogate=surrogate)(victim, Classification(2), images, labels)
    assert found.success.all() and found.forwards.tolist() == [2, 2, 2] and not found.backwards.any()
    assert victim.forwards == 6 and surrogate.forwards > 6
    # One and the same direction, in which the model does not fall: two images, and one for the clean image.
    held = Transfer(Linf(3.9), steps=10, surrogate=surrogate)(victim, Classification(2), images, labels)
    assert not held.success.any() and held.forwards.tolist() == [3, 3, 3]
    assert (held.margin < held.clean_margin).all()


def test_an_opposite_surrogate_gives_nothing():
    images, labels = given()
    victim, surrogate = Victim(Opaque(linear(1)), BOUNDS), Victim(linear(-1), BOUNDS)
    found = Transfer(Linf(20.0), steps=10, surrogate=surrogate)(victim, Classification(2), images, labels)
    assert not found.success.any() and torch.equal(found.images, images)


def test_where_the_surrogate_is_wrong_its_own_decision_is_left():
    # The surrogate calls every image 1; away from 1 is up, which also beats the model.
    images, labels = given()
    victim = Victim(Opaque(linear(-1)), BOUNDS)
    surrogate = Victim(victims.Linear(torch.full((1, 6, 6), 0.01, dtype=torch.float64), -0.1), BOUNDS)
    found = Transfer(Linf(5.0), steps=10, surrogate=surrogate)(victim, Classification(2), images, labels)
    assert found.success.all()


def test_each_sample_has_its_radius_its_limits_and_its_budget():
    images, labels = given(4)
    victim, surrogate = Victim(Opaque(linear(1)), BOUNDS), Victim(linear(1), BOUNDS)
    attack = Transfer(Linf((4.1, 3.0, 4.1, 3.0)), steps=5, surrogate=surrogate)
    limits = Limits(queries=torch.tensor([5, 5, 5, 2]))
    found = attack(victim, Classification(2), images, labels, generator=Streams(range(4)), limits=limits)
    assert found.success.tolist() == [True, False, True, False] and found.forwards.tolist() == [2, 3, 2, 2]
    budgets = curve(
        Transfer(Linf(1.0), 5, surrogate),
        victim,
        Classification(2),
        images,
        labels,
        (3.0, 4.1),
        generator=Streams(range(4)),
    )
    assert not budgets[0].result.success.any() and budgets[1].result.success.all()


def test_without_a_surrogate_the_model_is_its_own_and_everything_is_counted():
    images, labels = given()
    victim = Victim(linear(1), BOUNDS)
    found = Transfer(Linf(4.1), steps=5)(victim, Classification(2), images, labels)
    assert found.success.all() and victim.forwards == int(found.forwards.sum()) and (found.backwards > 0).all()


def test_other_bounds_and_no_steps_are_refused():
    images, labels = given()
    victim, surrogate = Victim(linear(1), BOUNDS), Victim(linear(1), (0.0, 1.0))
    with pytest.raises(InputError, match="surrogate: its bounds"):
        Transfer(Linf(4.0), surrogate=surrogate)(victim, Classification(2), images, labels)
    with pytest.raises(InputError, match="steps: 0 must be at least 1"):
        Transfer(Linf(4.0), steps=0)
