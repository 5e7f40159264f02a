from importlib import resources

import numpy as np
import pytest
import torch
from safetensors.torch import load as read_safetensors

from palpate.data.phantoms import COUNTS, fundus_set
from palpate.models.demo import fundus as demo


@pytest.fixture(scope="module")
def shipped():
    return resources.files("palpate.models.demo").joinpath(demo.WEIGHTS).read_bytes()


@pytest.fixture(scope="module")
def said():
    """Grades of 100 phantoms of a seed that the training never draws, and what the network says of them."""
    images, grades = fundus_set(100, seed=20_000_001)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (demo.MEAN, demo.STD))
    with torch.inference_mode():
        logits = demo.load()((torch.from_numpy(images).permute(0, 3, 1, 2) - mean) / std)
    return grades, logits


def test_weights_are_small_and_half_precision(shipped):
    assert len(shipped) < 1_000_000
    kinds = {value.dtype for value in read_safetensors(shipped).values() if value.is_floating_point()}
    assert kinds == {torch.float16}


def test_weights_fit_the_network(shipped):
    stored, built = read_safetensors(shipped), demo.build().state_dict()
    assert {name: value.shape for name, value in stored.items()} == {name: v.shape for name, v in built.items()}
    assert all(torch.isfinite(value).all() for value in stored.values())


def test_the_network_comes_in_eval_mode_and_full_precision():
    network = demo.load()
    assert not any(module.training for module in network.modules())
    assert {value.dtype for value in network.parameters()} == {torch.float32}


def test_it_grades_fresh_phantoms(said):
    grades, logits = said
    assert logits.shape == (100, len(demo.CLASSES)) and len(demo.CLASSES) == len(COUNTS)
    assert (logits.argmax(1).numpy() == grades).mean() >= 0.9


def test_it_mistakes_neighbours_only(said):
    grades, logits = said
    assert np.abs(logits.argmax(1).numpy() - grades).max() <= 1


def test_referable_disease_is_told_by_the_disease_grades(said):
    grades, logits = said
    score = logits.softmax(1)[:, list(demo.DISEASE)].sum(1).numpy()
    assert ((score > 0.5) == np.isin(grades, demo.DISEASE)).mean() >= 0.95


def test_normalisation_is_that_of_the_phantoms():
    images, _ = fundus_set(30, seed=20_000_002)
    for channel in range(3):
        values = images[..., channel]
        assert abs(values.mean() - demo.MEAN[channel]) < 0.15 * demo.STD[channel]
        assert abs(values.std() / demo.STD[channel] - 1) < 0.15
