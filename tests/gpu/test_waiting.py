"""On a GPU an ascent waits for the device at the first step and at every fourth, and at no other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from palpate import Classification, Linf, Tuning, Victim
from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.tasks.goals import Towards
from tests.gpu.waiting import as_on_a_gpu

STEPS, EVERY = 9, 4


@pytest.mark.parametrize("tuning", [Tuning(), Tuning(layout="channels_last", fold=True)], ids=["exact", "tuned"])
@pytest.mark.parametrize("task", [Classification(3), Classification(3, Towards((1, 2)))], ids=["untargeted", "towards"])
@pytest.mark.parametrize("recipe", [recipes.pgd, recipes.apgd_ce, recipes.mi, recipes.smia])
def test_steps_between_two_checks_read_nothing_back(
    monkeypatch: pytest.MonkeyPatch, recipe: type[Ascent], task: Classification, tuning: Tuning
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    images = torch.rand(4, 1, 8, 8)
    labels = network(images).argmax(1)
    with as_on_a_gpu(monkeypatch) as waits:
        recipe(Linf(1 / 255), steps=STEPS)(Victim(network, (0, 1), tuning=tuning), task, images, labels)
    asked = {step for step in range(STEPS) if step == 0 or (step + 1) % EVERY == 0}
    # The last iterate is scored and judged after the last step.
    found = {step: names for step, names in waits.seen.items() if names and 0 <= step < STEPS - 1}
    assert set(found) <= asked and 3 in found, {step: found[step] for step in sorted(set(found) - asked)}
