"""MONAI bundle folders: their network with its weights, and nothing of what their configuration could run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from palpate.errors import InputError
from palpate.models.bundle import BundleFacts, bundle_facts, is_bundle, network_of
from palpate.models.loading import ModelSource, load_model
from tests.models.networks import Trap, scripted, small

SETTINGS = {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, "channels": (4, 8), "strides": (2,)}
METADATA = {
    "network_data_format": {
        "inputs": {"image": {"num_channels": 1, "spatial_shape": [96, "16*n"], "value_range": [-1, 1]}},
        "outputs": {"pred": {"channel_def": {"0": "background", "10": "liver", "2": "spleen"}}},
    }
}


def net() -> torch.nn.Module:
    from monai.networks.nets.unet import UNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet(**SETTINGS).eval()


def config(folder: Path, **changed: Any) -> dict[str, Any]:
    """An inference configuration as bundles have them: full of code, none of which the network needs."""
    network = {"_target_": "UNet", "_desc_": "tiny", **SETTINGS, "out_channels": "@count", "strides": "@sizes::strides"}
    held = {
        "imports": ["$import glob", f"$__import__('os').mkdir({str(folder / 'sprung')!r})"],
        "device": "$torch.device('cuda:0')",
        "count": 3,
        "sizes": {"strides": [2]},
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [96, 96], "sw_batch_size": 4, "overlap": 0.5},
    }
    return json.loads(json.dumps({**held, **changed}))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny_bundle"
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    write(folder, config(folder))
    (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    torch.save(net().state_dict(), folder / "models" / "model.pt")
    return folder


def write(folder: Path, held: dict[str, Any]) -> None:
    (folder / "configs" / "inference.json").write_text(json.dumps(held))


def load(folder: Path, *, allow_pickle: bool = False) -> torch.nn.Module:
    return load_model(ModelSource(bundle=folder.name), folder.parent, allow_pickle=allow_pickle)


def test_the_network_of_a_bundle_answers_as_it_was_saved_and_no_other_entry_runs(bundle: Path) -> None:
    images = torch.rand(2, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(load(bundle).eval()(images), net()(images))
    assert is_bundle(bundle) and not is_bundle(bundle.parent)
    assert not (bundle / "sprung").exists()


def test_a_configuration_in_yaml_is_read(bundle: Path) -> None:
    (bundle / "configs" / "inference.json").unlink()
    (bundle / "configs" / "inference.yaml").write_text(yaml.safe_dump(config(bundle)))
    images = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(load(bundle).eval()(images), net()(images))
    (bundle / "configs" / "inference.yaml").write_text("a: &a [1, 2]\nb: [*a, *a]\n")
    with pytest.raises(InputError, match="YAML aliases"):
        load(bundle)
    (bundle / "configs" / "inference.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(InputError, match="is not YAML"):
        load(bundle)


def code(folder: Path) -> str:
    return f"$__import__('os').mkdir({str(folder / 'sprung')!r})"


PLANTED: dict[str, Any] = {
    "an expression": lambda folder: {"network_def": {"_target_": "UNet", **SETTINGS, "out_channels": code(folder)}},
    "an expression that is referred to": lambda folder: {"count": code(folder)},
    "an expression in a list": lambda folder: {"sizes": {"strides": [code(folder)]}},
    "any function": lambda folder: {"network_def": {"_target_": "os.mkdir", "path": str(folder / "sprung")}},
    "a function of MONAI": lambda folder: {
        "network_def": {"_target_": "monai.bundle.download", "name": "x", "bundle_dir": str(folder / "sprung")}
    },
    "a module's import": lambda folder: {
        "network_def": {"_target_": "monai.networks.nets.unet.warnings.warn", "message": "x"}
    },
    "an expression as target": lambda folder: {"network_def": {"_target_": code(folder)}},
    "a function as argument": lambda folder: {
        "network_def": {
            "_target_": "UNet",
            **SETTINGS,
            "norm": {"_target_": "os.mkdir", "path": str(folder / "sprung")},
        }
    },
    "a function of MONAI's networks": lambda folder: {
        "network_def": {"_target_": "monai.networks.utils.save_state", "src": {}, "path": str(folder / "sprung")}
    },
    "a call in an expression": lambda folder: {"count": f"$os.mkdir({str(folder / 'sprung')!r})"},
    "a debugger": lambda folder: {"network_def": {"_target_": "UNet", **SETTINGS, "_mode_": "debug"}},
    "what it requires": lambda folder: {"network_def": {"_target_": "UNet", **SETTINGS, "_requires_": code(folder)}},
    "another file": lambda folder: {"network_def": "%other.json::network_def", "net": {"_target_": "%x.json::a"}},
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_configuration_that_runs_code_is_refused_before_any_of_it_runs(bundle: Path, what: str) -> None:
    write(bundle, config(bundle, **json.loads(json.dumps(PLANTED[what](bundle)))))
    with pytest.raises(InputError, match=r"model\.bundle: .*(could run any code|has no network_def)"):
        load(bundle)
    assert not (bundle / "sprung").exists()


def test_a_plain_expression_needs_no_consent_and_names_no_file(bundle: Path) -> None:
    write(bundle, config(bundle, count="$len(@sizes::labels) + 1", sizes={"strides": [2], "labels": ["a", "b"]}))
    images = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(load(bundle).eval()(images), net()(images))
    called = "$monai.networks.nets.resnet.resnet10(True, spatial_dims=2, n_input_channels=1)"
    write(bundle, config(bundle, network_def=called, network="$@network_def.to(@device)"))
    assert type(network_of(bundle)).__name__ == "ResNet", "and its pretrained weights are not asked for"


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_a_package_that_a_network_needs_is_named(bundle: Path) -> None:
    write(bundle, config(bundle, network_def={"_target_": "TorchVisionFCModel", "model_name": "resnet18"}))
    with pytest.raises(InputError, match="network_def needs the package torchvision, which is not installed"):
        load(bundle)


def test_with_consent_a_configuration_may_run_its_code(bundle: Path) -> None:
    network = {"_target_": "UNet", **SETTINGS, "out_channels": "$1 + 2"}
    write(bundle, config(bundle, imports=[], network_def=network))
    images = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(load(bundle, allow_pickle=True).eval()(images), net()(images))


def test_a_bundle_of_code_falls_back_on_its_torchscript(bundle: Path) -> None:
    write(bundle, config(bundle, count=code(bundle)))
    scripted(small(), bundle / "models" / "model.ts")
    images = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(load(bundle)(images), small()(images))
    assert not (bundle / "sprung").exists()


def test_nothing_is_downloaded(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it asked the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    wanted = {"_target_": "EfficientNetBN", "model_name": "efficientnet-b0", "pretrained": True, "num_classes": 2}
    for network in (wanted, {key: value for key, value in wanted.items() if key != "pretrained"}):
        write(bundle, config(bundle, network_def=network))
        assert network_of(bundle) is not None


def test_weights_are_never_unpickled(bundle: Path) -> None:
    torch.save({"trap": Trap(bundle / "sprung")}, bundle / "models" / "model.pt")
    with pytest.raises(InputError, match="pickled objects"):
        load(bundle)
    assert not (bundle / "sprung").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"count": 4}, "does not fit the network"),
        ({"count": "@nowhere"}, '"@nowhere" refers to nothing'),
        ({"count": "@count"}, "network_def cannot be built"),
        ({"network_def": {"_target_": "UNet", "depth": 3}}, r"network_def cannot be built \(.*TypeError: .*depth"),
        ({"network_def": {"_target_": "UNetti"}}, '"UNetti" is not a network class'),
        ({"network_def": None, "network": None}, "has no network_def"),
    ],
)
def test_what_does_not_fit_is_said(bundle: Path, changed: dict[str, Any], said: str) -> None:
    write(bundle, config(bundle, **changed))
    with pytest.raises(InputError, match=said):
        load(bundle)


def test_what_is_missing_is_said(bundle: Path) -> None:
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(InputError, match=r"models has none of model\.pt"):
        load(bundle)
    (bundle / "configs" / "inference.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        load(bundle)
    (bundle / "configs" / "inference.json").write_text("[]")
    with pytest.raises(InputError, match="contains list"):
        load(bundle)
    with pytest.raises(InputError, match=r"has no configs/inference\.json"):
        load(bundle / "models")
    with pytest.raises(InputError, match="is not a folder"):
        load(bundle / "nowhere")


def test_the_digest_tells_changes_of_configuration_and_weights(bundle: Path) -> None:
    def digest() -> str:
        return ModelSource(bundle=bundle.name).digest(bundle.parent)

    first = digest()
    assert digest() == first
    write(bundle, config(bundle, count=2))
    second = digest()
    torch.save({}, bundle / "models" / "model.pt")
    assert len({first, second, digest()}) == 3


def test_what_a_bundle_says_of_itself(bundle: Path) -> None:
    assert bundle_facts(bundle) == BundleFacts(
        channels=1,
        size=None,
        values=(-1.0, 1.0),
        classes=("background", "spleen", "liver"),
        window=(96, 96),
        overlap=0.5,
        mode="constant",
    )
    write(bundle, config(bundle, inferer={"_target_": "SimpleInferer"}))
    (bundle / "configs" / "metadata.json").unlink()
    assert bundle_facts(bundle) == BundleFacts()
