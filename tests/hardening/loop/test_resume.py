"""Killed at any moment, a training goes on to the same bytes; what cannot be continued says so."""

import errno
import os
import random
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from palpate.errors import InputError, StorageError
from palpate.hardening.contracts import Course, Trained
from palpate.hardening.loop import Silence, train
from palpate.hardening.loop.checkpoint import Checkpoint
from palpate.hardening.loop.weights import digest
from tests.hardening.loop.tiny import Attacks, OneStep, Shuffled, course, network

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


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> str:
    """The digest of what a training that nothing disturbs gives."""
    return digest(train(course(), tmp_path_factory.mktemp("whole")).state)


# -- what cannot be continued ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A training that was killed after two epochs."""
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(KilledError):
        train(course(), folder, Armed(Bomb(12)), every=0)
    return folder


@pytest.fixture
def stopped(killed, tmp_path) -> Path:
    """The checkpoint of a copy of it in `tmp_path`."""
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "checkpoint"


class Heard(Silence):
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.message = self.messages.append


def test_a_finished_training_is_given_back_without_work(tmp_path):
    first = train(course(), tmp_path)

    class Asleep(Attacks):
        def examine(self, victim):
            raise AssertionError("it examines again")

    made_again = course()
    again = train(replace(made_again, examiner=Asleep(made_again.examiner.threat)), tmp_path)
    assert digest(again.state) == digest(first.state) and again.epochs[1:] == first.epochs[1:]
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == [f"epoch-{first.best}.pt", "state.pt"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rate": 0.02}, "harden.rate was 0.01 and is 0.02"),
        # Not a part of what a training is by default: checkpoints from before the field existed stay valid.
        ({"batch_norm": "frozen"}, "harden.batch_norm is new"),
        ({"lessons": Shuffled(seed=2)}, "training images differ"),
        ({"lessons": Shuffled(count=32)}, "batches of an epoch was 3 and is 4"),
        ({"module": network(1)}, "weights differ"),
        ({"eps": 9.0}, "eps was 10.0 and is 9.0"),
        ({"optimiser": partial(torch.optim.SGD, lr=0.01)}, "optimiser differs"),
    ],
    ids=["rate", "batch norm", "images", "count", "weights", "eps", "optimiser"],
)
def test_another_training_is_refused_by_what_differs(tmp_path, stopped, changes, text):
    before = (stopped / "state.pt").read_bytes()
    with pytest.raises(StorageError, match=text) as error:
        train(course(**changes), tmp_path)
    assert "another training" in str(error.value) and "delete this one" in str(error.value)
    assert (stopped / "state.pt").read_bytes() == before


def test_what_the_caller_knows_counts_too(tmp_path):
    train(course(), tmp_path, identity={"plan": "1"})
    with pytest.raises(StorageError, match="plan was 1 and is 2"):
        train(course(), tmp_path, identity={"plan": "2"})


def test_another_version_is_said_and_the_training_goes_on(tmp_path, stopped):
    place, heard = Checkpoint(stopped), Heard()
    contents = place.load()
    place.save({**contents, "versions": {**contents["versions"], "torch": "2.0.0"}})
    trained = train(course(), tmp_path, heard)
    assert trained.finished
    sentence, onward = heard.messages
    assert "Going on with epoch" in onward
    assert "may differ in the last digits: torch was 2.0.0 and is" in sentence


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file", b"\x80\x04K\x01."])
def test_a_damaged_checkpoint_is_a_sentence(tmp_path, stopped, damage):
    (stopped / "state.pt").write_bytes(damage)
    with pytest.raises(StorageError, match=r"state\.pt is (damaged|not a checkpoint).*Delete the folder"):
        train(course(), tmp_path)


def test_lost_weights_and_a_newer_format_are_sentences(tmp_path, stopped):
    contents = Checkpoint(stopped).load()
    (stopped / f"epoch-{contents['state']['last']}.pt").unlink()
    with pytest.raises(StorageError, match=r"epoch-\d\.pt is missing"):
        train(course(), tmp_path)
    torch.save({**contents, "format": 99}, stopped / "state.pt")
    with pytest.raises(StorageError, match="has format 99, and this palpate reads format 1"):
        train(course(), tmp_path)


@pytest.mark.parametrize("part", ["identity", "versions", "state", "learner"])
def test_missing_and_new_parts_of_a_checkpoint_are_sentences(tmp_path, stopped, part):
    contents = torch.load(stopped / "state.pt", weights_only=True)
    torch.save({name: value for name, value in contents.items() if name != part}, stopped / "state.pt")
    with pytest.raises(StorageError, match=r"state\.pt.* lacks parts of a checkpoint.*Delete the folder"):
        train(course(), tmp_path)
    if part == "state":
        torch.save({**contents, "state": {**contents["state"], "new": 1}}, stopped / "state.pt")
        with pytest.raises(StorageError, match=r"state\.pt, written by palpate \S+, lacks parts .*, or has others"):
            train(course(), tmp_path)


def test_weights_of_another_model_are_not_taken(tmp_path, stopped):
    last = Checkpoint(stopped).load()["state"]["last"]
    torch.save({"other": torch.zeros(1)}, stopped / f"epoch-{last}.pt")
    with pytest.raises(StorageError, match=r"epoch-\d\.pt holds the weights of another model"):
        train(course(), tmp_path)


def test_a_checkpoint_runs_no_code(tmp_path, stopped):
    class Code:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "it ran"),))

    torch.save({"format": 1, "state": Code()}, stopped / "state.pt")
    with pytest.raises(StorageError, match="damaged"):
        train(course(), tmp_path)
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize("write", [1, 5, 6, 7, 13, 18])
def test_a_full_disk_is_a_sentence_and_the_earlier_checkpoint_is_intact(tmp_path, monkeypatch, write, whole):
    replaced, done = os.replace, []

    def full(source: str, target: str) -> None:
        done.append(target)
        if len(done) == write:
            raise OSError(errno.ENOSPC, "No space left on device")
        replaced(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="The disk is full"):
        train(course(), tmp_path / "full", every=0)
    monkeypatch.undo()
    assert not list((tmp_path / "full").rglob("*.tmp"))
    assert digest(train(course(), tmp_path / "full").state) == whole


def test_an_optimiser_whose_state_cannot_be_kept_is_a_sentence(tmp_path):
    class Odd(torch.optim.SGD):
        def step(self, closure=None):
            self.state[self.param_groups[0]["params"][0]]["when"] = Path("somewhere")
            return super().step(closure)

    with pytest.raises(InputError, match=r"harden.optimiser: its state .* holds PosixPath"):
        train(course(optimiser=partial(Odd, lr=0.01)), tmp_path)
