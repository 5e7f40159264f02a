"""Probes on models whose answer is known on paper."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from palpate import Classification, Victim
from palpate.attacks import recipes
from palpate.checks.victims import Linear, level_images
from palpate.errors import InputError
from palpate.quality import Estimated, Setting, Surrogate, probe
from palpate.quality.agreement import agreement
from palpate.quality.probes import (
    AGREES,
    ESTIMATED,
    FREE,
    LARGE,
    STARTS,
    STEPS,
    largest,
    longer,
    planned,
)
from palpate.streams import Streams
from palpate.threats.ball import L1, L2, Linf

COUNT = 2
TASK = Classification(2)


class Detached(nn.Module):
    """The linear model without its graph, plus a tiny wrong gradient."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        tiny = 1e-9 * images.flatten(1)[:, :1]
        return self.inner(images.detach()) + torch.cat([tiny, -tiny], 1)


def linear(offset: float) -> Linear:
    """The mean of all values counts. The smallest beating change is `offset` in L-inf."""
    return Linear(torch.full((3, 8, 8), 1 / 192, dtype=torch.float64), offset)


def run(module: nn.Module, eps: float, steps: int = 10) -> dict[str, tuple[int, int]]:
    threat = Linf(eps)
    setting = Setting(recipes.pgd(threat, steps=steps), threat, 255.0, "pgd")
    labels = torch.zeros(COUNT, dtype=torch.int64)
    found = probe(setting, Victim(module, (0, 255)), TASK, level_images(COUNT), labels, range(COUNT))
    return {one.probe: (len(one.tried), len(one.won)) for one in found}


def test_nothing_wins_below_the_smallest_beating_change_and_the_large_radius_always_does():
    found = run(linear(4.0), 3.9)
    assert found.pop(LARGE) == (COUNT, COUNT)
    assert set(found.values()) == {(COUNT, 0)} and len(found) == 7


def test_the_plan_of_passes_is_what_the_probes_spend_where_nothing_wins():
    threat, labels = Linf(3.9), torch.zeros(COUNT, dtype=torch.int64)
    for base, done in (
        (recipes.pgd(threat, steps=10), ()),
        (None, ()),
        (recipes.pgd(threat, steps=10), (STARTS, FREE)),
    ):
        setting = Setting(base, threat, 255.0, "pgd", done)
        found = probe(setting, Victim(linear(4.0), (0, 255)), TASK, level_images(COUNT), labels, range(COUNT))
        assert not {one.probe for one in found} & set(done)
        small = sum(one.forwards + one.backwards for one in found if one.probe != LARGE) / COUNT
        large = 22 if base is not None else 250
        assert small == pytest.approx(planned(setting) - large, abs=8)


def test_more_steps_win_what_a_short_climb_left_and_the_others_have_nothing_to_try():
    found = run(linear(3.0), 8.0, steps=1)
    assert found[STEPS] == (COUNT, COUNT) and STARTS not in found and ESTIMATED not in found


def test_differences_of_outputs_win_behind_a_detached_graph():
    found = run(Detached(linear(4.0)), 8.0)
    assert found[AGREES] == (COUNT, COUNT) and found[STEPS] == found[STARTS] == (COUNT, 0)
    assert found[ESTIMATED] == (COUNT, COUNT) and FREE not in found


def test_a_model_without_gradients_is_only_searched():
    threat = Linf(8.0)
    setting = Setting(None, threat, 255.0)
    labels = torch.zeros(COUNT, dtype=torch.int64)
    found = probe(setting, Victim(linear(9.0), (0, 255)), TASK, level_images(COUNT), labels, range(COUNT))
    assert [one.probe for one in found] == [ESTIMATED, FREE, LARGE]
    assert not any(one.backwards for one in found)


def test_the_same_image_is_probed_alike_in_every_batch():
    threat = Linf(6.0)
    setting = Setting(recipes.pgd(threat, steps=3), threat, 255.0, "pgd")
    images, labels = level_images(COUNT), torch.zeros(COUNT, dtype=torch.int64)
    victim = Victim(Detached(linear(4.0)), (0, 255))
    whole = probe(setting, victim, TASK, images, labels, range(COUNT))
    alone = [probe(setting, victim, TASK, images[i : i + 1], labels[i : i + 1], [i]) for i in range(COUNT)]
    for one in whole:
        each = [other for part in alone for other in part if other.probe == one.probe]
        assert sum(len(other.won) for other in each) == len(one.won)
        assert sum(other.forwards for other in each) == one.forwards


@pytest.mark.parametrize("threat", [Linf(4.2), L2(4.2 * math.sqrt(192)), L1(4.2 * 192)])
def test_estimated_gradients_reach_the_optimum_of_a_linear_model_in_every_norm(threat):
    attack = Estimated(threat, steps=12, pairs=8)
    result = attack(Victim(linear(2.0), (0, 255)), TASK, level_images(2), torch.zeros(2, dtype=torch.int64))
    assert bool(result.success.all()) and bool((result.distance <= threat.eps * 1.001).all())
    assert not bool(result.backwards.any())


def test_the_steps_of_an_estimated_climb_shrink_from_a_half_to_a_twentieth():
    attack = Estimated(Linf(1.0), steps=10)
    assert attack.stride(0) == 0.5 and attack.stride(9) == pytest.approx(0.05)
    with pytest.raises(InputError, match="reach"):
        Estimated(Linf(1.0), reach=0.0)


def test_a_surrogate_counts_its_passes_and_wins_a_smooth_model():
    victim = Victim(linear(2.0), (0, 255))
    result = Surrogate(Linf(8.0), steps=5)(victim, TASK, level_images(2), torch.zeros(2, dtype=torch.int64))
    assert bool(result.success.all())
    assert int(result.forwards.sum()) == victim.forwards and int(result.backwards.sum()) == victim.backwards


def test_gradients_explain_a_linear_model_wholly_and_a_detached_one_not_at_all():
    images, labels = level_images(COUNT), torch.zeros(COUNT, dtype=torch.int64)
    for module, wanted in ((linear(4.0), 1.0), (Detached(linear(4.0)), 0.0)):
        victim = Victim(module, (0, 255))
        with victim:
            found = agreement(victim, TASK, images, labels, Linf(2.0), Streams(range(COUNT)), None)
        assert found == pytest.approx(wanted, abs=1e-4)


def test_a_longer_climb_has_three_times_the_steps_and_at_least_sixty():
    assert longer(recipes.pgd(Linf(1.0), steps=40)).steps == 120
    short = longer(recipes.pgd(Linf(1.0), steps=4, step=0.03))
    assert short.steps == 60 and short.step.size == pytest.approx(2.5 / 60)


def test_the_large_radius_reaches_plain_grey_in_every_norm():
    image = torch.tensor([0.0, 255.0, 255.0, 0.0])
    grey = torch.full_like(image, 127.5) - image
    assert largest("linf", 255.0, 4) == float(grey.abs().max())
    assert largest("l2", 255.0, 4) == pytest.approx(float(grey.norm()))
    assert largest("l1", 255.0, 4) == float(grey.abs().sum())
