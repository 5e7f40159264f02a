"""Killed at any moment, a training goes on to the same bytes; what cannot be continued says so."""

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from palpate.hardening.contracts import Course, Trained
from palpate.hardening.loop import Silence, train
from palpate.hardening.loop.weights import digest
from tests.hardening.loop.tiny import Attacks, OneStep, course, network

ROOT = Path(__file__).resolve().parents[3]
KILLS = 20


class KilledError(Exception):
    """Stands for a kill: no code of the training catches it."""


class Bomb:
    """Raises at the n-th moment of a training: a batch, a crafting, a step or an examination."""

    def __init__(self, moments: int | None):
        self.left = moments

    def tick(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KilledError


class Armed(Silence):
    """A progress that may be the last thing that happens."""

    def __init__(self, bomb: Bomb):
        self.step = self.epoch = lambda _: bomb.tick()


def armed(make: "partial[Course]", bomb: Bomb) -> Course:
    """The course, with a bomb in its crafting and examination."""
    made = make()

    class Recipe(OneStep):
        def craft(self, batch, situation):
            bomb.tick()
            return super().craft(batch, situation)

        def __repr__(self) -> str:
            return "OneStep()"

    class Examiner(Attacks):
        def examine(self, victim):
            scores = super().examine(victim)
            bomb.tick()
            return scores

    return replace(made, recipe=Recipe(), examiner=Examiner(made.examiner.threat))


def killed_often(make: "partial[Course]", folder: Path, seed: int, kills: int) -> list[Trained]:
    """The results of trainings that together are killed so many times, at random moments."""
    chance, done, results = random.Random(seed), 0, []
    while done < kills:
        while True:
            bomb = Bomb(chance.randrange(1, 9) if done < kills else None)
            every = 0 if chance.random() < 0.6 else 1e9
            try:
                results.append(train(armed(make, bomb), folder / str(len(results)), Armed(bomb), every=every))
                break
            except KilledError:
                done += 1
    return results


def made(kind: str) -> "partial[Course]":
    adam = {"optimiser": partial(torch.optim.AdamW, lr=0.01)}
    sgd = {"optimiser": partial(torch.optim.SGD, lr=0.02, momentum=0.9)}
    choices = {
        "adamw": adam,
        "sgd": sgd,
        "no average": {**adam, "average": 0},
        "ramp": {**sgd, "epochs": 4, "eps_schedule": "ramp"},
    }
    return partial(lambda **changes: course(network(), **changes), **choices[kind])


@pytest.mark.parametrize("kind", ["adamw", "sgd", "no average", "ramp"])
def test_killed_at_twenty_random_moments_it_ends_with_the_same_bytes(tmp_path, kind):
    whole = train(made(kind)(), tmp_path / "whole")
    assert whole.best, "the weights of before would be compared"
    rows = [row._replace(seconds=0, loss=str(row.loss)) for row in whole.epochs]
    for pieces in killed_often(made(kind), tmp_path, seed=len(kind), kills=KILLS):
        assert digest(pieces.state) == digest(whole.state)
        assert [row._replace(seconds=0, loss=str(row.loss)) for row in pieces.epochs] == rows


def test_the_weights_depend_on_what_the_checkpoint_holds(tmp_path):
    # So the test above can fail: each of these starts from another place.
    one = train(made("adamw")(), tmp_path / "one")
    other = train(replace(made("adamw")(), seed=6), tmp_path / "other")
    assert one.best and other.best and digest(one.state) != digest(other.state), (
        "dropout has the same random numbers for every seed"
    )
