"""The losses that are compared on masks, against their definitions written apart, and how a table is read."""

from __future__ import annotations

import math

import pytest
import torch
from benchmarks.dense_stages.boxes import rows as box_rows
from benchmarks.dense_stages.losses import JensenShannon, MaskedLoss, MaskedSpherical
from benchmarks.dense_stages.masks import Case, rows
from benchmarks.dense_stages.victims import SmallUNet
from torch.distributions import Categorical, kl_divergence

from palpate.contracts import ObjectiveInputs
from palpate.tasks.segmentation import Segmentation
from palpate.victim import Victim


def inputs(outputs, labels):
    task, shown = Segmentation(2), torch.zeros(len(outputs), 1, 4, 4)
    return ObjectiveInputs(shown, shown, shown, outputs, outputs, labels, task, 0.0, lambda x: x, lambda x: x)


def drawn():
    random = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 4, 4, generator=random) * 2, torch.randint(0, 3, (2, 4, 4), generator=random)


def test_the_losses_are_those_of_the_paper():
    outputs, labels = drawn()
    p = outputs.softmax(1).movedim(1, -1)
    truth = torch.nn.functional.one_hot(labels, 3).float()
    middle = Categorical(probs=(p + truth) / 2)
    apart = (kl_divergence(Categorical(probs=truth), middle) + kl_divergence(Categorical(probs=p), middle)) / 2
    given = inputs(outputs, labels)
    assert JensenShannon().value(given).tolist() == pytest.approx(apart.flatten(1).mean(1).tolist(), rel=1e-4)
    right = (outputs.argmax(1) == labels).float()
    cross = torch.nn.functional.cross_entropy(outputs, labels, reduction="none")
    assert MaskedLoss().value(given).tolist() == pytest.approx((right * cross).flatten(1).mean(1).tolist(), rel=1e-5)
    unit = (outputs / outputs.norm(dim=1, keepdim=True)).gather(1, labels[:, None])[:, 0]
    assert MaskedSpherical().value(given).tolist() == pytest.approx(
        (-right * unit).flatten(1).mean(1).tolist(), rel=1e-5
    )
    assert (JensenShannon().value(given) < math.log(2)).all()


def test_the_tables_say_what_only_one_loss_does():
    case = Case("x", Victim(SmallUNet()), Segmentation(1), torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8), 1.0)
    lines = rows(case, {"a": torch.tensor([0.4, 0.8]), "b": torch.tensor([0.6, 0.7])})
    assert lines[0][2:] == ("0.6000", "1 of 2", "+0.1000", "1", "1")
    assert lines[1][2:] == ("0.6500", "0 of 2", "+0.0500", "1", "0")
    assert lines[2][2:4] == ("0.5500", "1 of 2")
    found = box_rows("g", {"a": torch.tensor([True, False]), "b": torch.tensor([True, True])}, 2)
    assert found[0][2:] == ("1 of 2", "0", "2") and found[1][2:] == ("2 of 2", "1", "1")
