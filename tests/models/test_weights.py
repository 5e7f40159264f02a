"""Weights: every tensor arrives, or a sentence says which one did not; no pickle runs unless asked for."""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import importlib
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from palpate.errors import InputError
from palpate.models.fit import fit
from palpate.models.loading import ModelSource, load_model, weights_digest
from palpate.models.stored.states import Weights, read_weights
from tests.models.networks import Small, Trap, images, scripted, small

FACTORY = "tests.models.networks:Small"


def load(folder: Path, weights: str, *, allow_pickle: bool = False, **arguments: object) -> nn.Module:
    source = ModelSource(factory=FACTORY, arguments=arguments, weights=weights)
    return load_model(source, folder, allow_pickle=allow_pickle)


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in small().state_dict().items()}


WRAPPED = {
    "as it is": lambda: prefixed(""),
    "state_dict": lambda: {"epoch": 3, "state_dict": prefixed(""), "loss": torch.tensor(0.1)},
    "model_state_dict": lambda: {"model_state_dict": prefixed(""), "optimizer": {"lr": 0.1}},
    "model": lambda: {"model": prefixed("")},
    "nested": lambda: {"model": {"state_dict": prefixed("module.")}},
    "data parallel": lambda: prefixed("module."),
    "compiled": lambda: prefixed("_orig_mod."),
    "compiled in parallel": lambda: prefixed("module._orig_mod."),
    "lightning": lambda: {"state_dict": prefixed("model."), "hyper_parameters": {}},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_state_dicts(tmp_path: Path, name: str) -> None:
    torch.save(WRAPPED[name](), tmp_path / "w.pt")
    module = load(tmp_path, "w.pt").eval()
    assert torch.equal(module(images()), small()(images()))


@pytest.mark.parametrize("old", [False, True])
def test_formats_of_torch(tmp_path: Path, old: bool) -> None:
    torch.save(small().state_dict(), tmp_path / "w.bin", _use_new_zipfile_serialization=not old)
    assert weights_digest(load(tmp_path, "w.bin")) == weights_digest(small())


def test_safetensors(tmp_path: Path) -> None:
    save_file(small().state_dict(), tmp_path / "w.safetensors")
    assert weights_digest(load(tmp_path, "w.safetensors")) == weights_digest(small())


def test_half_precision_weights_become_the_model_s_precision(tmp_path: Path) -> None:
    torch.save(
        {name: t.half() if t.is_floating_point() else t for name, t in small().state_dict().items()}, tmp_path / "w.pt"
    )
    assert load(tmp_path, "w.pt").head.weight.dtype == torch.float32


def test_counters_of_batches_may_be_missing(tmp_path: Path) -> None:
    state = small().state_dict()
    del state["norm.num_batches_tracked"]
    torch.save(state, tmp_path / "w.pt")
    assert torch.equal(load(tmp_path, "w.pt").eval()(images()), small()(images()))


def test_a_prefix_that_the_model_has_itself_stays() -> None:
    network = nn.ModuleDict({"model": small()})
    fit(network, small(1).state_dict(prefix="model."), Path("w.pt"))
    assert weights_digest(network["model"]) == weights_digest(small(1))


def test_names_and_shapes_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    state = small(classes=5).state_dict()
    state["extra.weight"] = state.pop("first.weight")
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(InputError) as caught:
        load(tmp_path, "w.pt")
    text = str(caught.value)
    assert "w.pt does not fit" in text
    assert "missing in the file: first.weight" in text
    assert "unknown to the model: extra.weight" in text
    assert "of another shape: head.weight (5x4 in the file, 3x4 in the model), head.bias (5 in the file, 3 in" in text
    assert "arguments (classes, channels, architecture)" in text


def test_only_the_first_few_names_are_listed(tmp_path: Path) -> None:
    torch.save({f"layer{n}.weight": torch.zeros(1) for n in range(100)}, tmp_path / "w.pt")
    with pytest.raises(
        InputError, match=r"unknown to the model: layer0.weight, layer1.weight, layer2.weight and 97 more"
    ):
        load(tmp_path, "w.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_must_be_finite(tmp_path: Path, value: float) -> None:
    state = small().state_dict()
    state["head.bias"][1] = value
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"head.bias contains NaN or infinity"):
        load(tmp_path, "w.pt")


def test_files_that_hold_no_weights(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"contains dict with epoch, lr, and no tensors by name"):
        load(tmp_path, "w.pt")
    torch.save([torch.zeros(2)], tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"contains list, and no tensors by name"):
        load(tmp_path, "w.pt")
    (tmp_path / "w.pt").write_text("hello")
    with pytest.raises(InputError, match=r"neither safetensors nor a whole torch file"):
        load(tmp_path, "w.pt")
    (tmp_path / "w.pt").write_bytes(b"")
    with pytest.raises(InputError, match=r"neither safetensors nor a whole torch file"):
        load(tmp_path, "w.pt")
    with pytest.raises(InputError, match=r"v.pt does not exist. Its folder contains w.pt"):
        load(tmp_path, "v.pt")
    with pytest.raises(InputError, match=r"There is no folder"):
        load(tmp_path, "none/v.pt")
    with pytest.raises(InputError, match=r"cannot be read"):
        load(tmp_path, ".")


def test_a_whole_model_given_as_weights(tmp_path: Path) -> None:
    scripted(small(), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"w.pt is a whole model. Give it as torchscript"):
        load(tmp_path, "w.pt")


def test_weights_without_a_factory(tmp_path: Path) -> None:
    torch.save(small().state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"the plan does not name their network"):
        load_model(ModelSource(weights="w.pt"), tmp_path)


def test_cut_files(tmp_path: Path) -> None:
    torch.save(small().state_dict(), tmp_path / "new.pt")
    torch.save(small().state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file(small().state_dict(), tmp_path / "w.safetensors")
    for name in ("new.pt", "old.pt", "w.safetensors"):
        data = (tmp_path / name).read_bytes()
        for part in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
            (tmp_path / name).write_bytes(data[: int(part * len(data))])
            with pytest.raises(InputError, match=f"{name} (is damaged|is neither|cannot be loaded)"):
                load(tmp_path, name)


# -- pickles


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickle_is_refused_and_does_not_run(tmp_path: Path, old: bool, wrapped: bool) -> None:
    trap = Trap(tmp_path / "sprung")
    value = {"state_dict": small().state_dict(), "callback": trap} if wrapped else trap
    torch.save(value, tmp_path / "w.pt", _use_new_zipfile_serialization=not old)
    with pytest.raises(
        InputError, match=r"contains pickled objects \((posix|nt) mkdir\), which can run.*--allow-pickle"
    ):
        load(tmp_path, "w.pt")
    assert not (tmp_path / "sprung").exists()
    if wrapped:
        load(tmp_path, "w.pt", allow_pickle=True)
        assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_bare_pickle_is_refused(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "w.pt").write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=protocol))
    with pytest.raises(InputError, match=r"w.pt contains pickled objects \((posix|nt) mkdir\)"):
        load(tmp_path, "w.pt")
    assert not (tmp_path / "sprung").exists()


def test_a_pickled_module_needs_the_flag(tmp_path: Path) -> None:
    torch.save(small(), tmp_path / "whole.pt")
    with pytest.raises(InputError, match=r"contains pickled objects .*networks Small"):
        load_model(ModelSource(weights="whole.pt"), tmp_path)
    module = load_model(ModelSource(weights="whole.pt"), tmp_path, allow_pickle=True)
    assert isinstance(module, Small) and torch.equal(module(images()), small()(images()))
    assert weights_digest(load(tmp_path, "whole.pt", allow_pickle=True)) == weights_digest(small())


def test_the_class_of_a_pickled_module_may_lie_beside_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_net.py").write_text("from torch import nn\nclass Net(nn.Linear): pass\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        torch.save(importlib.import_module("beside_net").Net(2, 3), tmp_path / "whole.pt")
        del sys.modules["beside_net"]
    module = load_model(ModelSource(weights="whole.pt"), tmp_path, allow_pickle=True)
    assert type(module).__name__ == "Net"


class Settings:
    """A class of a trainer's own, which is never made where its checkpoint is read."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        self.rate = 0.1

    def __setstate__(self, state: object) -> None:
        type(self).made += 1


BESIDE = {
    "a path": lambda: Path("runs/best"),
    "a scalar of numpy": lambda: np.float64(0.93),
    "an array of numpy": lambda: np.arange(3.0),
    "arguments": lambda: argparse.Namespace(lr=1e-3, out=Path("runs")),
    "a date": lambda: datetime.datetime(2024, 5, 3, 12, 0),
    "a set": lambda: {1, 2},
    "a default": lambda: collections.defaultdict(list, a=[1]),
    "settings": Settings,
    "a partial": lambda: functools.partial(nn.functional.cross_entropy, label_smoothing=0.1),
    "a class": lambda: Settings,
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("old", [False, True])
def test_what_trainers_keep_beside_weights_needs_no_flag_and_is_not_made(tmp_path: Path, name: str, old: bool) -> None:
    held = {"state_dict": small().state_dict(), "beside": BESIDE[name](), "epoch": 3}
    torch.save(held, tmp_path / "w.pt", _use_new_zipfile_serialization=not old)
    before = Settings.made
    module = load(tmp_path, "w.pt").eval()
    assert torch.equal(module(images()), small()(images()))
    load(tmp_path, "w.pt", allow_pickle=True)
    assert Settings.made == before


def test_a_pickled_module_whose_class_is_gone(tmp_path: Path) -> None:
    data = pickle.dumps(nn.Linear(1, 1), protocol=2).replace(b"torch.nn.modules.linear", b"torch.nn.modules.lineal")
    (tmp_path / "w.pt").write_bytes(data)
    with pytest.raises(InputError, match=r"w.pt cannot be loaded"):
        load_model(ModelSource(weights="w.pt"), tmp_path, allow_pickle=True)


def test_read_weights_gives_tensors_by_name(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2), "note": "x"}, tmp_path / "w.pt")
    held = read_weights(tmp_path / "w.pt")
    assert isinstance(held, Weights) and list(held.tensors) == ["a"]


# -- the digest


def test_digest_tells_every_change_of_what_is_computed() -> None:
    def changed(name: str, value: object) -> str:
        network = small()
        setattr(network, name, value)
        return weights_digest(network)

    bias = small().head.bias.detach().clone()
    bias[0] += 1e-6
    moved = small()
    moved.norm.running_mean[0] += 1
    digests = [
        weights_digest(small()),
        weights_digest(small(1)),
        weights_digest(small().double()),
        weights_digest(small(mean=1.0)),
        weights_digest(moved),
        changed("plain", torch.tensor([2.0])),
        changed("plain", torch.tensor([[1.0]])),
        changed("plane", torch.tensor([1.0])),
    ]
    edited = small()
    edited.head.bias.data = bias
    digests.append(weights_digest(edited))
    assert len(set(digests)) == len(digests)


def test_digest_does_not_depend_on_mode_gradients_layout_or_order() -> None:
    network = small().train().requires_grad_(False).to(memory_format=torch.channels_last)
    assert weights_digest(network) == weights_digest(small())
    first, second = nn.Module(), nn.Module()
    for module, names in ((first, "ab"), (second, "ba")):
        for name in names:
            module.register_buffer(name, torch.tensor(float(ord(name))))
    assert weights_digest(first) == weights_digest(second)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.bool, torch.complex64, torch.int8])
def test_digest_reads_every_type(dtype: torch.dtype) -> None:
    def digest(value: int) -> str:
        module = nn.Module()
        module.register_buffer("a", torch.tensor([value, 0], dtype=dtype))
        module.register_buffer("scalar", torch.tensor(value, dtype=dtype))
        module.register_buffer("empty", torch.zeros(0, dtype=dtype))
        return weights_digest(module)

    assert digest(1) != digest(0) and digest(1) == digest(1)


def test_digest_is_of_bytes_not_of_values() -> None:
    zero, minus = (nn.ParameterList([torch.tensor(np.float32(value))]) for value in (0.0, -0.0))
    assert weights_digest(zero) != weights_digest(minus)
