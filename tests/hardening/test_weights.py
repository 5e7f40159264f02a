from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from palpate.audit.plan.plan import load_plan
from palpate.audit.plan.tables import load_table
from palpate.errors import InputError, PlanError
from palpate.hardening import weights
from palpate.hardening.hardened_plan import with_model, write_hardened_plan
from palpate.hardening.material import load_material
from palpate.hardening.trainable import network_inside, require_trainable, require_trainable_source
from palpate.hardening.weights import SavedModel, save_model
from palpate.models.loading import load_model
from palpate.models.source import ModelSource
from tests.hardening import tiny


def changed(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.125)
    return module


def source(**fields):
    return ModelSource(factory="model.py:build", **fields)


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
@pytest.mark.parametrize("prefix", ["", "module.", "net."])
def test_weights_keep_their_format_and_names(tmp_path, ending, prefix):
    tiny.write(tmp_path)
    old = {prefix + name: value for name, value in load_file(tmp_path / "weights.safetensors").items()}
    old["criterion.weight"] = torch.ones(2)
    path = tmp_path / f"old.{ending}"
    if ending == "pt":
        torch.save(old, path)
    else:
        save_file(old, path)
    network = changed(load_model(source(weights=path.name), tmp_path))
    saved = save_model(network, source(weights=path.name), tmp_path, tmp_path / "out")
    new = torch.load(saved.path, weights_only=True) if ending == "pt" else load_file(saved.path)
    assert new.keys() == old.keys()
    assert torch.equal(new["criterion.weight"], torch.ones(2))
    assert torch.equal(new[f"{prefix}5.bias"], old[f"{prefix}5.bias"] + 0.125)
    again = load_model(source(weights=f"out/{path.name}"), tmp_path)
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_weights_of_a_factory_without_file_are_safetensors(tmp_path):
    tiny.write(tmp_path)
    network = load_model(source(), tmp_path)
    saved = save_model(network, source(), tmp_path, tmp_path / "out")
    assert saved == SavedModel(tmp_path / "out" / "weights.safetensors", "weights")
    assert load_file(saved.path).keys() == network.state_dict().keys()


def test_torchscript_comes_back_as_torchscript(tmp_path):
    module = tiny.network().eval()
    torch.jit.script(module).save(tmp_path / "model.ts")
    given = ModelSource(torchscript="model.ts")
    loaded = changed(load_model(given, tmp_path))
    require_trainable(loaded)
    save_model(loaded, given, tmp_path, tmp_path / "out")
    images = torch.rand(2, 1, 8, 8)
    again = load_model(ModelSource(torchscript="out/model.ts"), tmp_path)
    assert torch.equal(again(images), loaded.eval()(images))


@pytest.mark.parametrize("field", ["exported", "onnx"])
def test_fixed_graphs_are_refused_with_what_works_instead(field):
    with pytest.raises(InputError, match=rf"model.{field}: it cannot be trained.*defence = \"smoothing\""):
        require_trainable_source(ModelSource(**{field: "model.file"}))


def test_frozen_networks_are_refused():
    module = tiny.network().requires_grad_(False)
    with pytest.raises(InputError, match="all its parameters are frozen"):
        require_trainable(module)
    frozen = torch.jit.freeze(torch.jit.script(tiny.network().eval()))
    with pytest.raises(InputError, match="it has no parameters"):
        require_trainable(frozen)


def test_lazy_layers_are_refused_where_the_model_is_loaded(tmp_path):
    text = "from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(2))\n"
    (tmp_path / "model.py").write_text(text)
    with pytest.raises(InputError, match=r"model: a lazy layer .* pass one image through the network in the factory"):
        load_model(source(), tmp_path)


def test_a_pickled_module_is_refused_before_training_and_beside_a_factory_becomes_a_state_dict(tmp_path):
    with pytest.raises(InputError, match=r"model.weights: a pickled module .*name the function .* in model.factory"):
        require_trainable_source(ModelSource(weights="old.pt"))
    tiny.write(tmp_path)
    torch.save(tiny.network(), tmp_path / "old.pt")
    given = source(weights="old.pt")
    require_trainable_source(given)
    network = changed(load_model(given, tmp_path, allow_pickle=True))
    saved = save_model(network, given, tmp_path, tmp_path / "out", allow_pickle=True)
    again = load_model(source(weights="out/old.pt"), tmp_path)
    assert saved.path.name == "old.pt"
    assert all(torch.equal(again.state_dict()[name], value) for name, value in network.state_dict().items())


def test_the_new_plan_names_the_new_weights_and_loses_its_training_table(tmp_path):
    plan = tiny.write(tmp_path)
    saved = SavedModel(tmp_path / "hardened" / "plan" / "weights.safetensors", "weights")
    path, kept = write_hardened_plan(plan, saved, tmp_path)
    assert (path, kept) == (tmp_path / "plan-hardened.toml", ())
    again = load_plan(path)
    assert again.model.weights == "hardened/plan/weights.safetensors"
    assert again.harden is None
    assert again.data == plan.data
    assert again.attacks == plan.attacks


def test_a_new_plan_in_another_folder_names_the_same_files(tmp_path):
    plan = tiny.write(tmp_path / "mine")
    saved = SavedModel(tmp_path / "other" / "out" / "weights.safetensors", "weights")
    path, _ = write_hardened_plan(plan, saved, tmp_path / "other" / "out")
    again = load_plan(path)
    assert again.root.resolve() == plan.root.resolve()
    assert (again.root / again.model.weights).resolve() == saved.path
    assert len(load_table(again)) == tiny.TESTED
    path.write_text(path.read_text().replace('paths_from = "', 'paths_from = "../nowhere/'))
    with pytest.raises(PlanError, match=r"paths_from: '\.\./nowhere/.*' is not a folder"):
        load_plan(path)


def test_a_plan_that_palpate_did_not_write_is_never_replaced(tmp_path):
    plan = tiny.write(tmp_path)
    first, second = (SavedModel(tmp_path / "hardened" / name, "weights") for name in ("a.pt", "b.pt"))
    path, _ = write_hardened_plan(plan, first, tmp_path)
    assert write_hardened_plan(plan, second, tmp_path) == (path, ()), "its own, unchanged file is replaced"
    assert load_plan(path).model.weights == "hardened/b.pt"
    path.write_text(mine := path.read_text().replace("Tiny", "My Tiny"))
    other, kept = write_hardened_plan(plan, first, tmp_path)
    assert (other.name, path.read_text()) == ("plan-hardened-2.toml", mine)
    assert kept == (f"{path} was changed since palpate wrote it, so it is not replaced.",)
    assert write_hardened_plan(plan, second, tmp_path) == (other, kept)


def test_the_new_plan_has_the_chosen_operating_point():
    saved = SavedModel(Path("/p/hardened/weights.safetensors"), "weights", confidence=0.35)
    made = with_model({"model": {}, "task": {"kind": "detection", "confidence": 0.5}}, saved, Path("/p"))
    assert made["task"] == {"kind": "detection", "confidence": 0.35}


def test_a_plan_without_training_images_is_told_how_to_give_them(tmp_path):
    with pytest.raises(PlanError, match=r"no \[harden\] table"):
        load_material(tiny.write(tmp_path, harden=""))
    with pytest.raises(PlanError, match=r"harden.data"):
        tiny.write(tmp_path, harden="\n[harden]\nepochs = 2\n")


def test_wrappers_of_palpate_are_looked_through():
    from palpate.models.blackbox import FromProbabilities
    from palpate.models.outputs import Chosen

    inside = tiny.network()
    assert network_inside(FromProbabilities(Chosen(inside, "out"), "softmax")) is inside


def test_equal_weights_are_equal_bytes(tmp_path):
    """The order of metadata would be random otherwise: of 12 files some would differ."""
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 2)}
    for number in range(12):
        weights._write(tmp_path / f"{number}.safetensors", tensors)
    assert len({(tmp_path / f"{number}.safetensors").read_bytes() for number in range(12)}) == 1
    found = load_file(tmp_path / "0.safetensors")
    assert {name: value.tolist() for name, value in found.items()} == {n: v.tolist() for n, v in tensors.items()}
