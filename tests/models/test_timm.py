"""Networks of timm with local weights. They need timm and torchvision, and are skipped where one is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from palpate.errors import InputError
from palpate.models.loading import ModelSource, load_model
from palpate.models.timm_networks import build_timm
from tests.models import torchvision_beside

HERE = torchvision_beside.load() is not None and importlib.util.find_spec("timm") is not None
needs_timm = pytest.mark.skipif(not HERE, reason="timm, or torchvision which it needs, is not installed")

NAME = "resnet10t"
ARGUMENTS = {"num_classes": 3, "in_chans": 1}


def weighed(folder: Path) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_timm(NAME, ARGUMENTS).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
    save_file(network.state_dict(), folder / "w.safetensors")
    return network


@needs_timm
def test_a_network_answers_with_the_weights_that_are_given(tmp_path: Path) -> None:
    network = weighed(tmp_path)
    state = torch.get_rng_state()
    loaded = load_model(ModelSource(timm=NAME, weights="w.safetensors", arguments=ARGUMENTS), tmp_path).eval()
    assert torch.equal(torch.get_rng_state(), state)
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    found = loaded(images)
    assert found.shape == (2, 3) and torch.equal(found, network(images))
    (gradient,) = torch.autograd.grad(found.sum(), images)
    assert gradient.any()


@needs_timm
def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    weighed(tmp_path)
    with pytest.raises(InputError, match=r"does not fit the network; of another shape: fc\.weight"):
        load_model(ModelSource(timm=NAME, weights="w.safetensors", arguments={**ARGUMENTS, "num_classes": 4}), tmp_path)
    with pytest.raises(InputError, match=r'no network "resnet10x". Did you mean'):
        build_timm("resnet10x", {})
    with pytest.raises(InputError, match=r"model\.arguments: timm's resnet10t refuses them"):
        build_timm(NAME, {"colour": "red"})


@pytest.mark.parametrize("name", ["pretrained", "checkpoint_path", "pretrained_cfg"])
def test_downloads_are_refused_before_timm_is_asked(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} loads weights from elsewhere"):
        build_timm(NAME, {name: True})
    with pytest.raises(InputError, match="is in a hub"):
        build_timm("hf-hub:someone/something", {})


def test_a_name_alone_was_never_trained() -> None:
    with pytest.raises(InputError, match=r"model\.timm: without weights the network is not trained"):
        ModelSource(timm=NAME)


def test_where_timm_is_missing_the_fix_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(InputError, match=r"pip install 'palpate\[timm\]'"):
        build_timm(NAME, {})
