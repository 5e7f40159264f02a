"""Checkpoints as trainers write them: which part is taken, what is said of it, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from palpate.errors import InputError
from palpate.models.loading import Loaded, ModelSource, load_noted
from tests.models.networks import images, small

FACTORY = "tests.models.networks:Small"


def under(prefix: str, seed: int = 0) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in small(seed).state_dict().items()}


def load(folder: Path, held: Any, **fields: Any) -> Loaded:
    torch.save(held, folder / "w.pt")
    return load_noted(ModelSource(factory=FACTORY, weights="w.pt", **fields), folder)


def is_small(loaded: Loaded, seed: int = 0) -> bool:
    return torch.equal(loaded.module.eval()(images()), small(seed)(images()))


def test_a_plain_file_says_nothing(tmp_path: Path) -> None:
    loaded = load(tmp_path, under(""))
    assert is_small(loaded) and loaded.notes == ()


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"network_weights": under(""), "trainer_name": "nnUNetTrainer"}, ['the entry "network_weights" of w.pt']),
        ({"state_dict_ema": under(""), "epoch": 3}, ['the entry "state_dict_ema"']),
        ({"ema": {"module": under("")}}, ['the entry "ema.module"']),
        ({"my_unet": under(""), "optimizer": {"state": {0: {"step": torch.ones(1)}}}}, ['the entry "my_unet"']),
        ({"state_dict": under("model."), "hyper_parameters": {}}, ['"state_dict"', 'begin with "model."']),
        (
            {"state_dict": under("model.") | {"criterion.pos_weight": torch.ones(3), "auroc.preds": torch.ones(2)}},
            ['"state_dict"', 'begin with "model."', "left out: criterion.pos_weight, auroc.preds"],
        ),
        (under("") | {"criterion.weight": torch.ones(3)}, ["left out: criterion.weight"]),
        (under("module.encoder."), ['begin with "module.encoder."']),
    ],
)
def test_what_was_taken_is_said(tmp_path: Path, held: Any, said: list[str]) -> None:
    loaded = load(tmp_path, held)
    assert is_small(loaded)
    assert len(loaded.notes) == len(said)
    for note, words in zip(loaded.notes, said, strict=True):
        assert words in note and str(tmp_path) not in note


def test_averaged_weights_beside_plain_ones_are_named_and_can_be_chosen(tmp_path: Path) -> None:
    held = {"state_dict": under(""), "state_dict_ema": under("module.", seed=1)}
    loaded = load(tmp_path, held)
    assert is_small(loaded)
    assert 'the entry "state_dict" of w.pt. It also has state_dict_ema: weights_entry' in loaded.notes[0]
    assert is_small(load(tmp_path, held, weights_entry="state_dict_ema"), seed=1)
    with pytest.raises(InputError, match=r"model.weights_entry: .*w.pt has no entry 'teacher'"):
        load(tmp_path, held, weights_entry="teacher")


def test_several_networks_in_one_file_must_be_named(tmp_path: Path) -> None:
    held = {"student": under(""), "teacher": under("", seed=1)}
    with pytest.raises(InputError, match=r'several entries: student, teacher. .*weights_entry = "student"'):
        load(tmp_path, held)
    assert is_small(load(tmp_path, held, weights_entry="teacher"), seed=1)


def test_several_prefixes_must_be_named(tmp_path: Path) -> None:
    held = {"state_dict": under("model.") | under("averaged.", seed=1) | {"loss.weight": torch.ones(3)}}
    with pytest.raises(InputError, match=r'several prefixes: "model.", "averaged.". .*weights_entry = "model"'):
        load(tmp_path, held)
    assert is_small(load(tmp_path, held, weights_entry="averaged"), seed=1)


def test_a_small_part_of_a_file_is_not_taken_unasked(tmp_path: Path) -> None:
    held = under("head.") | {"encoder.weight": torch.ones(100, 100)}
    with pytest.raises(InputError, match=r'only the names under "head." fit the network, and they are the smaller'):
        load(tmp_path, held)
    assert is_small(load(tmp_path, held, weights_entry="head"))


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = small(2)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)


@pytest.mark.parametrize(("prefix", "said"), [("", 'begin with "net.", which was added'), ("model.", 'calls "model."')])
def test_a_prefix_that_only_the_network_has(tmp_path: Path, prefix: str, said: str) -> None:
    torch.save(under(prefix), tmp_path / "w.pt")
    source = ModelSource(factory="tests.models.test_checkpoints:Wrapped", weights="w.pt")
    loaded = load_noted(source, tmp_path)
    assert is_small(loaded) and said in loaded.notes[0]


def test_a_loss_beside_names_that_lack_the_prefix_of_the_network_is_left_out(tmp_path: Path) -> None:
    torch.save(under("") | {"criterion.weight": torch.ones(3)}, tmp_path / "w.pt")
    source = ModelSource(factory="tests.models.test_checkpoints:Wrapped", weights="w.pt")
    loaded = load_noted(source, tmp_path)
    assert is_small(loaded) and "left out: criterion.weight." in loaded.notes[1]


def test_another_shape_under_a_prefix_is_still_refused(tmp_path: Path) -> None:
    held = under("net.")
    held["net.head.bias"] = torch.ones(7)
    with pytest.raises(InputError, match=r"missing in the file: first.weight, .* and \d+ more"):
        load(tmp_path, held)


def test_a_whole_pickled_model_beside_a_factory_names_the_flag(tmp_path: Path) -> None:
    for held in (small(), {"model": small(), "epoch": 3}):
        with pytest.raises(InputError, match=r"w.pt contains pickled objects .*--allow-pickle"):
            load(tmp_path, held)


def test_the_factory_may_load_its_weights(tmp_path: Path) -> None:
    source = ModelSource(factory=FACTORY, weights="in factory")
    assert load_noted(source, tmp_path).notes == ()
    assert source.files(tmp_path) == ()
    with pytest.raises(InputError, match=r"model.weights: \"in factory\" is for a factory"):
        ModelSource(timm="resnet18", weights="in factory")
    with pytest.raises(InputError, match=r"model.weights_entry: it belongs to a file of weights"):
        ModelSource(factory=FACTORY, weights="in factory", weights_entry="a")
