"""Attacked images for training: the attack's own images, without verdicts, for every image to the end."""

from dataclasses import replace

import pytest
import torch

from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.attacks.cascade.stages import Cascade, Stage
from palpate.attacks.crafting import craft, never_beaten
from palpate.attacks.objectives import Apart, Own
from palpate.attacks.square import Square
from palpate.checks.scenarios import SCENARIOS
from palpate.checks.victims import Linear, images, level_images, small_net
from palpate.contracts import Limits
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tasks.kinds import kind_of
from palpate.threats.ball import L1, L2, Linf
from palpate.victim import Tuning, Victim

COUNT = 5


def streams():
    return Streams(range(COUNT))


def situation(**how):
    victim = Victim(small_net().double(), (0.0, 255.0), **how)
    clean = images(COUNT).double()
    with victim:
        labels = victim.judge(clean).argmax(1)
    labels[0] = (labels[0] + 1) % 4
    victim.forwards = 0
    return victim, Classification(4), clean, labels


@pytest.mark.parametrize("threat", [Linf(6.0), L2(40.0), L1(300.0)], ids=lambda threat: threat.norm)
@pytest.mark.parametrize("name", ["fgsm", "bim", "pgd", "mi", "ti", "apgd_ce", "apgd_margin", "smia"])
def test_a_crafted_image_is_the_last_iterate_of_the_attack_that_runs_to_its_end(name, threat):
    victim, task, clean, labels = situation()
    attack = getattr(recipes, name)(threat, **({} if name == "fgsm" else {"steps": 4}))
    seen = []

    class Watcher:
        def watch(self, event):
            seen.append(event)

    replace(attack, run_to_end=True)(victim, task, clean, labels, generator=streams(), watcher=Watcher())
    made = craft(attack, victim, task, clean, labels, streams=streams())
    last = seen[-1]
    # The audit leaves out the first image, which is wrong from the start; training does not.
    assert last.rows.tolist() == [1, 2, 3, 4]
    assert torch.equal(made[1:], last.images)
    assert not torch.equal(made[0], clean[0])


def test_passes_are_the_steps_and_one_forward_more_where_clean_outputs_are_needed():
    for objective, extra in ((None, 0), (Apart(), 1), (Own(Apart()), 1)):
        victim, task, clean, labels = situation()
        attack = recipes.pgd(Linf(4.0), steps=3)
        attack = attack if objective is None else replace(attack, objective=objective)
        craft(attack, victim, task, clean, labels, streams=streams())
        assert (victim.forwards, victim.backwards) == (COUNT * (3 + extra), COUNT * 3)


def test_directions_that_look_elsewhere_cost_no_pass_more():
    for attack in (recipes.ni(Linf(4.0), steps=3), recipes.di(Linf(4.0), steps=3)):
        victim, task, clean, labels = situation()
        craft(attack, victim, task, clean, labels, streams=streams())
        assert (victim.forwards, victim.backwards) == (COUNT * 3, COUNT * 3)


def test_restarts_are_left_out_and_an_empty_batch_stays_empty():
    victim, task, clean, labels = situation()
    one, many = (
        craft(recipes.pgd(Linf(4.0), steps=3, restarts=restarts), victim, task, clean, labels, streams=streams())
        for restarts in (1, 4)
    )
    assert torch.equal(one, many)
    none = craft(recipes.pgd(Linf(4.0)), victim, task, clean[:0], labels[:0], streams=Streams(()))
    assert none.shape == (0, *clean.shape[1:])


def test_where_the_loss_has_no_gradient_the_margin_is_climbed():
    clean = level_images()
    weights = torch.ones_like(clean[0])
    victim = Victim(Linear(weights, 1.0, scale=1e6), (0.0, 255.0))
    labels = torch.zeros(len(clean), dtype=torch.int64)
    made = craft(recipes.bim(Linf(2.0), steps=3), victim, Classification(2), clean, labels, streams=Streams(labels))
    assert torch.allclose(made, clean - 2)


@pytest.mark.parametrize("tuning", [Tuning(), Tuning(layout="channels_last", fold=True)])
def test_the_module_is_left_as_it_was(tuning):
    victim, task, clean, labels = situation(tuning=tuning)
    victim.module.train()
    before = {key: value.clone() for key, value in victim.module.state_dict().items()}
    random = torch.get_rng_state()
    craft(recipes.pgd(Linf(4.0), steps=2), victim, task, clean, labels, streams=streams())
    craft(Square(Linf(4.0), 5), victim, task, clean, labels, streams=streams())
    assert victim.module.training
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in victim.module.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in victim.module.parameters())


@pytest.mark.parametrize("name", ["masks_2d", "masks_3d", "findings", "boxes"])
def test_a_task_that_is_never_beaten_ranks_images_by_their_loss(name):
    scenario = SCENARIOS[name]()
    task = never_beaten(scenario.task)
    assert kind_of(task) == kind_of(scenario.task) == scenario.kind
    with scenario.victim:
        outputs = scenario.victim.judge(scenario.images)
    loss = scenario.task.loss(outputs, scenario.targets)
    margin = task.margin(outputs, scenario.targets)
    assert torch.equal(loss.argsort(), margin.argsort(descending=True))
    assert (margin > 0).all()
    assert torch.equal(task.scaled_margin(outputs, scenario.targets), margin)
    assert task.eligible(scenario.targets).all()
    assert not scenario.task.eligible(scenario.targets).all() or name in ("findings", "boxes", "masks_3d")
    assert torch.equal(task.score(outputs, scenario.targets).isnan(), scenario.task.score(
        outputs, scenario.targets).isnan())  # fmt: skip


def test_a_search_keeps_the_image_of_highest_loss_of_right_and_wrong_images():
    victim, task, clean, labels = situation()
    made = [
        craft(Square(Linf(8.0), queries), victim, task, clean, labels, streams=streams(), limits=Limits())
        for queries in (5, 60)
    ]
    with victim:
        losses = [task.loss(victim.judge(shown), labels) for shown in (clean, *made)]
    assert (losses[0] <= losses[1]).all()
    assert (losses[1] <= losses[2]).all()
    assert (losses[2] > losses[0]).all()


def test_a_cascade_gives_every_image_to_every_stage():
    victim, task, clean, labels = situation()
    climb = Ascent(Linf(8.0), 5, run_to_end=True)
    cascade = Cascade(Linf(8.0), (Stage("climb", climb), Stage("square", Square(Linf(8.0), 10))))
    craft(cascade, victim, task, clean, labels, streams=streams())
    # Two clean passes, five steps and the last iterate, ten queries.
    assert victim.forwards == COUNT * (2 + 6 + 10)
