"""TorchScript and exported programs: as modules they compute what the network computes, and run no pickle."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from palpate.errors import InputError
from palpate.models.inputs.module import require_alone
from palpate.models.loading import ModelSource, load_model, weights_digest
from palpate.models.stored.exported import Exported
from palpate.victim import Tuning, Victim
from tests.models.networks import Trap, exported, images, repack, saved, scripted, small


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(small(), tmp_path_factory.mktemp("exported") / "m.pt2")


def load_exported(path: Path, *, allow_pickle: bool = False) -> nn.Module:
    return load_model(ModelSource(exported=path.name), path.parent, allow_pickle=allow_pickle)


def load_script(path: Path) -> nn.Module:
    return load_model(ModelSource(torchscript=path.name), path.parent)


# -- TorchScript


@pytest.mark.parametrize("frozen", [False, True])
def test_torchscript_is_a_victim_like_any_other(tmp_path: Path, frozen: bool) -> None:
    module = load_script(scripted(small(), tmp_path / "m.ts", frozen=frozen))
    check_victim(module)


def check_victim(module: nn.Module) -> None:
    for tuning in (Tuning(), Tuning(layout="channels_last", fold=True)):
        for count in (3, 1):
            batch = images(count).requires_grad_()
            with Victim(module, tuning=tuning) as victim:
                outputs = victim.search(batch)
                gradient = victim.gradient(outputs[:, 0], batch)
                judged = victim.judge(batch.detach())
            expected = small()(images(count).requires_grad_())
            torch.testing.assert_close(judged, expected)
            torch.testing.assert_close(outputs, expected)
            again = images(count).requires_grad_()
            (wanted,) = torch.autograd.grad(small()(again)[:, 0].sum(), again)
            torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm2d(1), nn.Dropout2d(0.5)])
def test_torchscript_traced_in_training_mode_is_refused(tmp_path: Path, layer: nn.Module) -> None:
    for training in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(layer.train(training), images(), check_trace=False)
            traced.save(tmp_path / "m.ts")
            torch.jit.script(layer.train(training)).save(tmp_path / "scripted.ts")
        if training:
            with pytest.raises(InputError, match=r"m.ts was traced in training mode.*model.eval\(\)"):
                load_script(tmp_path / "m.ts")
        else:
            load_script(tmp_path / "m.ts")
        module = load_script(tmp_path / "scripted.ts")
        assert torch.equal(module(images()), layer.eval()(images()))


@pytest.mark.parametrize("frozen", [False, True])
def test_digest_of_torchscript(tmp_path: Path, frozen: bool) -> None:
    digests = [
        weights_digest(load_script(scripted(network, tmp_path / f"{number}.ts", frozen=frozen)))
        for number, network in enumerate((small(), small(), small(1), small(mean=1.0)))
    ]
    assert digests[0] == digests[1] and len(set(digests)) == 3
    if not frozen:
        assert digests[0] != weights_digest(small(1))


def test_files_that_are_no_torchscript(tmp_path: Path, program: Path) -> None:
    with pytest.raises(InputError, match=r"is an exported program. Give it as exported"):
        load_script(program)
    torch.save(small().state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"w.pt is not TorchScript"):
        load_script(tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"does not exist"):
        load_script(tmp_path / "none.pt")


def test_damaged_torchscript(tmp_path: Path) -> None:
    path = scripted(small(), tmp_path / "m.ts")

    def spoil(name: str, data: bytes) -> bytes:
        return b"nonsense" if name.endswith("networks.py") else data

    with pytest.raises(InputError, match=r"model.torchscript: .*spoilt.ts cannot be loaded"):
        load_script(repack(path, tmp_path / "spoilt.ts", spoil, {}))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"m.ts is not TorchScript"):
        load_script(path)


# -- exported programs


def test_an_exported_program_is_a_victim_like_any_other(program: Path) -> None:
    check_victim(load_exported(program))


def test_modes_of_an_exported_program_can_be_set(program: Path) -> None:
    module = load_exported(program)
    assert not any(part.training for part in module.modules())
    assert module.train() is module and module.eval() is module
    assert not any(part.training for part in module.modules())
    assert torch.equal(module(images()), small()(images()))


def test_digest_of_an_exported_program(program: Path) -> None:
    module = load_exported(program)
    first = weights_digest(module)
    assert first == weights_digest(load_exported(program))
    for name in ("mean", "plain", "head.bias", "norm.running_var"):
        held = module.program.get_submodule(name.rpartition(".")[0])
        tensor = getattr(held, name.rpartition(".")[2])
        with torch.no_grad():
            tensor += 1
            assert weights_digest(module) != first, name
            tensor -= 1


def test_a_fixed_batch_is_said_at_first_use(tmp_path: Path) -> None:
    module = load_exported(exported(small(), tmp_path / "one.pt2", any_batch=False, count=1))
    assert torch.equal(module(images(1)), small()(images(1)))
    with pytest.raises(InputError, match=r"shape \(1, 1, 8, 8\) and got \(3, 1, 8, 8\). Export it for any batch"):
        module(images(3))


def test_another_size_is_said_at_first_use(program: Path) -> None:
    module = load_exported(program)
    with pytest.raises(InputError, match=r"shape \(any, 1, 8, 8\) and got \(2, 1, 9, 9\). .*preprocess.size"):
        module(images(size=9))
    with pytest.raises(InputError, match=r"got \(1, 8, 8\)"):
        module(images()[0])


class Attending(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.1 if self.training else 0.0)


TRAINING = {
    "dropout": (lambda: nn.Sequential(nn.Dropout(0.5), nn.Flatten()), "dropout stays random"),
    "batch norm": (lambda: nn.BatchNorm2d(1), "its normalisation follows the batch"),
    "attention": (Attending, "dropout stays random"),
}


@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize("decomposed", [False, True])
def test_a_program_of_training_mode_is_refused(name: str, decomposed: bool) -> None:
    make, words = TRAINING[name]
    for training in (True, False):
        program = torch.export.export(make().train(training), (images(),))
        program = program.run_decompositions() if decomposed else program
        if training:
            with pytest.raises(InputError, match=f"m.pt2 was exported in training mode, so that {words}.*eval"):
                Exported(program, Path("m.pt2"))
        else:
            Exported(program, Path("m.pt2"))


@pytest.mark.parametrize("decomposed", [False, True])
def test_instance_norm_is_not_taken_for_training(decomposed: bool) -> None:
    program = torch.export.export(nn.InstanceNorm2d(1).eval(), (images(),))
    module = Exported(program.run_decompositions() if decomposed else program, Path("m.pt2"))
    torch.testing.assert_close(module(images()), nn.InstanceNorm2d(1).eval()(images()))


class TwoInputs(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


def test_further_inputs_are_given_as_at_export_and_refused_where_the_plan_names_none() -> None:
    for placed, named in (((images(), images()), {}), ((images(),), {"b": images()})):
        module = Exported(torch.export.export(TwoInputs(), placed, named), Path("m.pt2"))
        assert module.further == ("b",)
        torch.testing.assert_close(module(images(), b=2 * images()), 3 * images())
    with pytest.raises(InputError, match=r"takes 2 inputs, and palpate gives one.*\[model.inputs\] with b"):
        require_alone(module)


def test_files_that_are_no_exported_programs(tmp_path: Path, program: Path) -> None:
    scripted(small(), tmp_path / "m.ts")
    with pytest.raises(InputError, match=r"m.ts is not an exported program"):
        load_exported(tmp_path / "m.ts")
    with pytest.raises(InputError, match=r"does not exist"):
        load_exported(tmp_path / "none.pt2")


def test_damaged_program(tmp_path: Path, program: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def spoil(name: str, data: bytes) -> bytes:
        return b"{}" if name.endswith("models/model.json") else data

    path = repack(program, tmp_path / "spoilt.pt2", spoil, {})
    with pytest.raises(InputError, match=r"spoilt.pt2 cannot be loaded .*Export it again with torch"):
        load_exported(path)
    assert "Traceback" not in capfd.readouterr().err


Change = Callable[[str, bytes], bytes]


def in_sample_inputs(trap: Trap) -> tuple[Change, dict[str, bytes]]:
    return (lambda name, data: saved(((trap,), {})) if name.endswith("sample_inputs/model.pt") else data), {}


def in_weights(trap: Trap) -> tuple[Change, dict[str, bytes]]:
    def change(name: str, data: bytes) -> bytes:
        if name.endswith("weights_config.json"):
            config = json.loads(data)
            next(iter(config["config"].values()))["use_pickle"] = True
            return json.dumps(config).encode()
        return saved(trap) if name.endswith("weights/weight_0") else data

    return change, {}


def in_constants(trap: Trap) -> tuple[Change, dict[str, bytes]]:
    def change(name: str, data: bytes) -> bytes:
        if name.endswith("constants_config.json"):
            config = json.loads(data)
            entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
            config["config"]["trap"] = entry
            return json.dumps(config).encode()
        return data

    return change, {"m/data/constants/opaque_obj_0": pickle.dumps(trap)}


@pytest.mark.parametrize("place", [in_sample_inputs, in_weights, in_constants])
def test_pickles_inside_a_program_are_refused_and_do_not_run(
    tmp_path: Path, program: Path, place: Callable[[Trap], tuple[Change, dict[str, bytes]]]
) -> None:
    before = pickle.loads
    path = repack(program, tmp_path / "m.pt2", *place(Trap(tmp_path / "sprung")))
    with pytest.raises(InputError, match=r"m.pt2 (contains pickled objects|cannot be loaded)"):
        load_exported(path)
    assert not (tmp_path / "sprung").exists()
    assert pickle.loads is before


def test_the_flag_lets_pickles_run(tmp_path: Path, program: Path) -> None:
    path = repack(program, tmp_path / "m.pt2", *in_sample_inputs(Trap(tmp_path / "sprung")))
    load_exported(path, allow_pickle=True)
    assert (tmp_path / "sprung").exists()
