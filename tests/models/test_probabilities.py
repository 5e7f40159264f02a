"""Models that return probabilities, read as logits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from palpate.errors import InputError
from palpate.models.blackbox import FromProbabilities

SCORES = torch.tensor([[2.0, -1.0, 0.5], [0.0, 300.0, -300.0]])


class Pair(nn.Module):
    def forward(self, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return given, given


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_logits_decide_and_rank_as_the_probabilities_did(kind: str) -> None:
    p = SCORES.softmax(1) if kind == "softmax" else SCORES.sigmoid()
    found = FromProbabilities(nn.Identity(), kind)(p)
    assert torch.isfinite(found).all()
    assert torch.allclose(found.softmax(1) if kind == "softmax" else found.sigmoid(), p, atol=1e-6)
    wanted = SCORES.log_softmax(1) if kind == "softmax" else SCORES
    assert torch.allclose(found[0], wanted[0], atol=1e-5)


def test_gradients_come_through() -> None:
    scores = SCORES[:1].clone().requires_grad_()
    found = FromProbabilities(nn.Softmax(1), "softmax")(scores)
    (gradient,) = torch.autograd.grad(found[0, 0], scores)
    (wanted,) = torch.autograd.grad(scores.log_softmax(1)[0, 0], scores)
    assert torch.allclose(gradient, wanted, atol=1e-5)


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(InputError, match=r"some are outside 0 to 1"):
        FromProbabilities(nn.Identity(), "sigmoid")(torch.tensor([[0.5, value]]))


def test_what_is_no_tensor_is_refused() -> None:
    with pytest.raises(InputError, match="one tensor of scores, and the model returned tuple"):
        FromProbabilities(Pair(), "softmax")(SCORES)
