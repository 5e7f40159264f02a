"""One line for notebooks, and the sentences it answers bad input with."""

import pytest
import torch
from torch import nn

import palpate
from palpate.checks import victims
from palpate.errors import InputError
from palpate.tasks.segmentation import Segmentation


def world():
    network = victims.small_net(bounds=(0.0, 1.0))
    images = victims.images(12, seed=4, bounds=(0.0, 1.0)) * 0.5 + torch.rand(12, 3, 8, 8) * 0.4
    with torch.no_grad():
        return network, images, network(images).argmax(1)


def test_one_line_returns_the_full_result_and_leaves_the_model_alone():
    network, images, labels = world()
    network.train()
    result = palpate.attack(network, images, labels, "smia", eps=8 / 255)
    assert network.training
    assert result.success.any()
    assert result.robust_accuracy == pytest.approx(1 - float(result.success.double().mean()), abs=1)
    assert (result.images - images).abs().max() <= 8 / 255 + 1e-6


def test_seed_parameters_goal_and_vector_of_radii_are_passed_on():
    network, images, labels = world()
    radii = torch.linspace(1, 8, 12) / 255
    first = palpate.attack(network, images, labels, "pgd", eps=radii, steps=5, seed=1)
    again = palpate.attack(network, images, labels, "pgd", eps=radii, steps=5, seed=1)
    other = palpate.attack(network, images, labels, "pgd", eps=radii, steps=5, seed=2)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert (first.distance <= radii.double() + 1e-6).all()
    towards = palpate.attack(network, images, labels, "bim", eps=0.2, goal=1)
    assert (towards.prediction[towards.success] == 1).all()


def test_one_logit_models_are_recognised():
    class OneLogit(nn.Module):
        def forward(self, images):
            return (images.flatten(1).mean(1) - 0.5) * 10

    images = torch.rand(8, 1, 6, 6)
    labels = (images.flatten(1).mean(1) > 0.5).int()
    result = palpate.attack(OneLogit(), images, labels, "bim", eps=0.2)
    assert result.success.all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "pgdd"}, "Did you mean 'pgd'"),
        ({"eps": -1.0}, "positive"),
        ({"eps": 0.0}, "positive"),
        ({"eps": float("nan")}, "positive"),
        ({"eps": 3.0}, "wider than the whole range"),
        ({"eps": [0.1, 0.2]}, "2 radii were given for 12 images"),
        ({"norm": "linff"}, "Did you mean 'linf'"),
        ({"stepps": 3}, "Did you mean 'steps'"),
        ({"steps": 2.5}, "must be int"),
        ({"goal": 9}, "not one of the task's"),
    ],
)
def test_bad_arguments_get_one_sentence(change, word):
    network, images, labels = world()
    settings = {"name": "bim", "eps": 0.1, **change}
    with pytest.raises(palpate.PalpateError, match=word):
        palpate.attack(network, images, labels, settings.pop("name"), **settings)


def test_bad_images_and_labels_get_one_sentence():
    network, images, labels = world()
    cases = [
        (images * 255, labels, "bounds"),
        (images.masked_fill(images > 0.7, float("nan")), labels, "NaN"),
        ((images * 255).byte(), labels, "floating point"),
        (images, labels + 9, "row 0"),
        (images, labels[:3], "one per image"),
        (images, labels.float(), "integer classes"),
        (images[:0], labels[:0], "there is none"),
    ]
    for bad, wrong, word in cases:
        with pytest.raises(palpate.InputError, match=word):
            palpate.attack(network, bad, wrong, "bim", eps=0.01)


def test_a_model_that_returns_nan_is_named():
    network, images, labels = world()
    network.head.weight.data[0, 0] = torch.nan
    with pytest.raises(palpate.InputError, match="NaN or infinite for 12 of 12"):
        palpate.attack(network, images, labels, "bim", eps=0.01)


def test_probabilities_and_blocked_gradients_are_warned_of():
    network, images, labels = world()
    with pytest.warns(UserWarning, match="probabilities"):
        palpate.attack(nn.Sequential(network, nn.Softmax(1)), images, labels, "bim", eps=0.01)

    class Steps(nn.Module):
        def forward(self, images):
            return network((images * 4).round() / 4)

    with pytest.warns(UserWarning, match="gradient is exactly zero"):
        palpate.attack(Steps(), images, network((images * 4).round() / 4).argmax(1), "bim", eps=0.01)


def test_importing_palpate_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, palpate; assert 'torch' not in sys.modules; palpate.Victim; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_masks_are_attacked_in_one_line_and_in_hounsfield_units():
    class Threshold(torch.nn.Module):
        """Lung is what is darker than -500."""

        def forward(self, images):
            return (-500 - images) / 50

    slices = torch.full((2, 1, 8, 8), 40.0)
    slices[:, :, 2:6, 2:6] = -800.0
    masks = (slices[:, 0] < -500).long()
    task = Segmentation(1, floor=0.6)
    settings = {"bounds": (-1024, 3071), "task": task}
    held = palpate.attack(Threshold(), slices, masks, "cospgd", eps=290, **settings)
    beaten = palpate.attack(Threshold(), slices, masks, "cospgd", eps=310, **settings)
    assert held.eligible.all() and not held.success.any()
    assert beaten.success.all() and bool((beaten.images - slices).abs().max() <= 310)


def test_a_goal_beside_a_task_is_refused():
    images, masks = torch.rand(1, 1, 4, 4), torch.zeros(1, 4, 4).long()
    with pytest.raises(InputError, match="it belongs to the task"):
        palpate.attack(torch.nn.Identity(), images, masks, eps=0.1, goal=1, task=Segmentation(1))


def test_changes_are_confined_as_a_threat_and_its_limits_say():
    network, images, labels = world()
    stored = (images * 255).round()
    region = torch.zeros(12, 1, 8, 8, dtype=torch.bool)
    region[..., :5] = True
    settings = {"bounds": (0, 255), "preprocess": lambda values: values / 255}
    threat = palpate.Confined(eps=20, lattice=True, region="the left part", tied=True)
    limits = palpate.Limits(region=region, step=torch.ones(12))
    result = palpate.attack(network, stored, labels, "bim", threat=threat, limits=limits, **settings)
    change = result.images - stored
    assert result.success.any() and change.abs().max() <= 20
    assert torch.equal(change, change.round())
    assert not change[..., 5:].any() and change[..., :5].any()
    assert torch.equal(change, change[:, :1].expand_as(change)), "one change for all channels"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "eps: it is missing"),
        ({"eps": 1.0, "threat": palpate.Confined(1.0)}, "eps: it belongs to the threat"),
        ({"eps": 1.0, "limits": palpate.Limits()}, "limits: a plain ball heeds none"),
        ({"threat": palpate.Confined(1.0, lattice=True)}, "lattice: the images have no stored steps"),
        ({"threat": palpate.Confined(1.0, region="inside body")}, "region: no mask was given"),
        ({"threat": palpate.Confined(1.0, channels=(1.0, 0.5))}, "2 shares were given, and the images have 3"),
        ({"eps": 0.1, "robust_to": ["jpg75"]}, "robust_to: 'jpg75' is no handling of images. Did you mean 'jpeg75'"),
        ({"eps": 0.1, "robust_to": ["rounded"]}, "robust_to: rounded: the images store floating point"),
        ({"eps": 0.1, "name": "square", "robust_to": ["blur1"]}, "robust_to: Square follows no gradient"),
    ],
)
def test_threats_and_handlings_that_cannot_be_used_get_one_sentence(change, word):
    network, images, labels = world()
    settings = {"name": "bim", **change}
    with pytest.raises(palpate.InputError, match=word):
        palpate.attack(network, images, labels, settings.pop("name"), **settings)


def test_what_is_found_can_be_asked_to_survive():
    network, images, labels = world()
    blur = palpate.parse_handling("blur1", palpate.Scale((0.0, 1.0), step=None))
    margins = {}
    for names in ((), ("blur1",)):
        result = palpate.attack(network, images, labels, "bim", eps=0.1, robust_to=names, run_to_end=True)
        with torch.no_grad():
            outputs = network(blur(result.images))
        chosen = outputs.gather(1, labels[:, None])[:, 0]
        margins[names] = chosen - outputs.scatter(1, labels[:, None], -torch.inf).amax(1)
    assert margins["blur1",].mean() < margins[()].mean()
    with_handling = palpate.attack(network, images, labels, "bim", eps=0.1, robust_to=[blur], run_to_end=True)
    with_name = palpate.attack(network, images, labels, "bim", eps=0.1, robust_to=["blur1"], run_to_end=True)
    assert torch.equal(with_handling.images, with_name.images)


def test_every_name_that_is_exported_is_there():
    assert all(getattr(palpate, name) is not None for name in palpate.__all__)
