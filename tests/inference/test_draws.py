"""Models that draw random numbers are attacked and judged in expectation."""

import random
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import palpate
from palpate import catalog
from palpate.attacks.cascade.stages import Cascade, Stage
from palpate.attacks.recipes import bim
from palpate.checks import victims
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Tuning, Victim
from palpate.victim.draws import JUDGED, SEARCHED

OFFSET = 2.0
"""Change at which the expected decision of the linear victim is lost."""


class Noisy(nn.Module):
    """A linear network whose margin has noise; its expected decision is that of the network."""

    def __init__(self, noise=1.5, images=None):
        super().__init__()
        weights = torch.full(images.shape[1:], 1.0 / images[0].numel())
        self.network, self.noise = victims.Linear(weights, OFFSET), noise

    def forward(self, images):
        logits = self.network(images)
        return logits + self.noise * torch.randn_like(logits[:, :1]) * torch.tensor([0.5, -0.5])


def world(draws=1, noise=1.5):
    images = victims.level_images().float()
    return Victim(Noisy(noise, images), (0, 255), draws=draws), images, torch.zeros(len(images), dtype=torch.int64)


def attacks(threat):
    pgd, square = catalog.make("pgd", threat, steps=30), catalog.make("square", threat, queries=40)
    cascade = Cascade(threat, (Stage("pgd", pgd), Stage("square", square, gradient=False)))
    return {"noise": catalog.make("noise", threat, tries=40), "pgd": pgd, "square": square, "cascade": cascade}


@pytest.mark.parametrize("name", ["noise", "square", "pgd", "cascade"])
def test_luck_beats_a_random_model_once_and_not_in_expectation(name):
    attack = attacks(Linf(OFFSET / 4))[name]
    task = Classification(2)
    victim, images, labels = world()
    torch.manual_seed(0)
    lucky = attack(victim, task, images[:2], labels[:2])
    assert lucky.success[lucky.eligible].all()
    victim, images, labels = world(draws=16)
    # A quarter of the way to the boundary of the mean, no image is beaten.
    assert not attack(victim, task, images[:1], labels[:1]).success.any()


def test_what_the_search_beats_is_judged_with_other_draws():
    # Close to the boundary the draws of search and verdict differ: only the verdict counts.
    victim, images, labels = world(draws=4, noise=2.0)
    task = Classification(2)
    found = [
        bim(Linf(eps), steps=4)(victim, task, images[:1], labels[:1]) for eps in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 9.0)
    ]
    with victim:
        for one in found:
            assert torch.equal(task.margin(victim.judge(one.images), labels[:1]), one.margin)
        assert not torch.equal(victim.judge(images[:1]), victim.score(images[:1]))
    assert found[-1].success.all()


def test_an_image_gets_the_same_mean_alone_and_in_any_batch():
    victim, images, _ = world(draws=3)
    torch.manual_seed(5)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    with victim:
        whole = victim.judge(images)
        for row in range(len(images)):
            assert torch.equal(victim.judge(images[row : row + 1]), whole[row : row + 1])
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]
    assert torch.equal(before[0], after[0]) and before[1] == after[1] and (before[2] == after[2]).all()


def test_it_is_the_mean_over_the_seeds_that_are_said():
    victim, images, _ = world(draws=3)
    by_hand = []
    for seed in range(JUDGED, JUDGED + 3):
        torch.manual_seed(seed)
        by_hand.append(victim.module(images[:1]))
    with victim:
        assert torch.allclose(victim.judge(images[:1]), torch.stack(by_hand).mean(0))
    assert JUDGED - SEARCHED >= 10_000


def test_gradients_are_means_too():
    class Gated(nn.Module):
        def forward(self, images):
            total = images.flatten(1).sum(1, keepdim=True) * torch.randint(0, 2, (1,))
            return torch.cat([total, -total], 1)

    victim, images = Victim(Gated(), (0, 255), draws=64), victims.level_images().float()
    with victim:
        place = images[:1].requires_grad_()
        gradient = victim.gradient(victim.search(place)[:, 0], place)
    assert 0.3 < float(gradient.flatten()[0]) < 0.7


def test_python_and_numpy_draws_are_fixed_as_well():
    class Others(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :2] + random.random() + np.random.rand()

    victim, images = Victim(Others(), (0, 255), draws=2), victims.level_images().float()
    with victim:
        assert torch.equal(victim.judge(images), victim.judge(images))
    assert not victim.exact and Victim(Others()).exact and not Victim(Others(), tuning=Tuning(fold=True)).exact


def test_outputs_without_a_mean_are_refused():
    class Two(NamedTuple):
        logits: Tensor
        boxes: Tensor

    class Changing(nn.Module):
        def forward(self, images):
            count = int(torch.randint(1, 9, (1,)))
            return Two(torch.zeros(len(images), count, 2), torch.zeros(len(images), count, 4))

    with Victim(Changing(), draws=8) as victim, pytest.raises(InputError, match="changes from draw to draw"):
        victim.judge(torch.zeros(1, 1, 4, 4))
    with pytest.raises(InputError, match="draws: 0 must be at least 1"):
        Victim(Changing(), draws=0)


def test_the_call_attacks_a_random_model_in_expectation_and_says_so():
    victim, images, labels = world()
    with pytest.warns(UserWarning, match="draws random numbers.*mean over 16 draws"):
        result = palpate.attack(victim.module, images[:2], labels[:2], "noise", eps=OFFSET / 4, bounds=(0, 255))
    assert not result.success.any()
    with pytest.warns(UserWarning, match="draws random numbers"):
        palpate.attack(victim, images[:1], labels[:1], "noise", eps=0.1)
    assert victim.draws == 16


def test_outputs_that_are_not_numbers_are_not_random(recwarn):
    class Broken(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :2] * torch.nan

    with pytest.raises(InputError, match="NaN or infinite"):
        palpate.attack(Broken(), torch.rand(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64), "noise", eps=0.1)
    assert not recwarn.list
