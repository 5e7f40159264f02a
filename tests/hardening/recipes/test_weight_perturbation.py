"""Adversarial weight perturbation: uphill inside the block, to the bit as before after it."""

import pytest
import torch

from palpate.errors import InputError
from palpate.hardening.recipes.weight_perturbation import perturbed
from tests.hardening.recipes.scenes import SCENES


@pytest.fixture
def scene():
    made = SCENES["softmax"]()
    made.module.train()
    return made


def loss_of(scene):
    situation = scene.situation()
    return lambda: situation.loss(scene.module(scene.images), scene.targets).mean()


def state(scene):
    return {key: value.clone() for key, value in scene.module.state_dict().items()}


def test_each_layer_moves_by_its_share_along_its_gradient_and_comes_back(scene):
    before = state(scene)
    weights = dict(scene.module.named_parameters())
    with torch.random.fork_rng():
        slopes = dict(zip(weights, torch.autograd.grad(loss_of(scene)(), list(weights.values())), strict=True))
    scene.module.load_state_dict(before)
    with perturbed(scene.module, loss_of(scene), 0.01):
        for name, weight in weights.items():
            change = weight.detach() - before[name]
            if weight.ndim < 2:
                assert not change.any(), name
                continue
            assert torch.allclose(change.norm(), 0.01 * before[name].norm()), name
            assert torch.allclose(change / change.norm(), slopes[name] / slopes[name].norm()), name
    assert all(torch.equal(value, before[name]) for name, value in scene.module.state_dict().items())


def test_the_loss_is_higher_inside(scene):
    scene.module.eval()
    before = float(loss_of(scene)().detach())
    with perturbed(scene.module, loss_of(scene), 0.02):
        assert float(loss_of(scene)().detach()) > before
    assert float(loss_of(scene)().detach()) == before


def test_the_search_leaves_gradients_buffers_and_random_numbers(scene):
    loss_of(scene)().backward()
    gradients = {name: weight.grad.clone() for name, weight in scene.module.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in scene.module.named_buffers()}
    random = torch.get_rng_state()
    with perturbed(scene.module, loss_of(scene), 0.01):
        assert all(torch.equal(weight.grad, gradients[name]) for name, weight in scene.module.named_parameters())
        assert all(torch.equal(buffer, buffers[name]) for name, buffer in scene.module.named_buffers())
        assert torch.equal(random, torch.get_rng_state())


def test_gradients_of_the_training_step_are_those_at_the_perturbed_weights(scene):
    scene.module.eval()
    with perturbed(scene.module, loss_of(scene), 0.05):
        loss_of(scene)().backward()
    inside = {name: weight.grad.clone() for name, weight in scene.module.named_parameters()}
    scene.module.zero_grad()
    loss_of(scene)().backward()
    assert not torch.allclose(scene.module.head.weight.grad, inside["head.weight"])


def test_weights_come_back_after_an_error_too(scene):
    before = state(scene)
    with pytest.raises(RuntimeError), perturbed(scene.module, loss_of(scene), 0.5):
        raise RuntimeError
    assert all(torch.equal(value, before[name]) for name, value in scene.module.state_dict().items())


def test_frozen_weights_and_a_size_of_zero_change_nothing(scene):
    before = state(scene)
    scene.module.head.weight.requires_grad_(False)
    with perturbed(scene.module, loss_of(scene), 0.1):
        assert torch.equal(scene.module.head.weight, before["head.weight"])
    with perturbed(scene.module, lambda: 1 / 0, 0.0):
        assert all(torch.equal(value, before[name]) for name, value in scene.module.state_dict().items())
    with (
        pytest.raises(InputError, match="weight_perturbation: -1 must be at least 0"),
        perturbed(scene.module, loss_of(scene), -1),
    ):
        pass


def test_a_gradient_that_is_nan_or_absent_moves_nothing(scene):
    before = state(scene)
    with perturbed(scene.module, lambda: scene.module.head.weight.sum() * torch.nan, 0.1):
        assert all(torch.equal(value, before[name]) for name, value in scene.module.state_dict().items())
