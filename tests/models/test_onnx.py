"""ONNX files as black boxes: the right numbers for any batch, no gradient, and nothing that a file could run."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from palpate.attacks.recipes import pgd
from palpate.attacks.square import Square
from palpate.errors import InputError
from palpate.models.loading import ModelSource, load_model
from palpate.models.stored.onnx_files import onnx_files
from palpate.models.stored.onnx_models import OnnxModel
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Tuning, Victim
from palpate.victim.tuning import choose
from tests.models.onnx_made import Twin, write

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def images(count: int = 5, channels: int = 1, size: int = 8) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(1)) * 4


def expected(given: Tensor) -> Tensor:
    with torch.no_grad():
        return Twin(given.shape[1])(given)


@pytest.mark.parametrize("batch", ["batch", 1, 2, 3, 7])
def test_any_number_of_images_is_answered_whatever_batch_the_file_was_made_for(tmp_path: Path, batch) -> None:
    write(tmp_path / "m.onnx", Twin(), batch=batch)
    module = load_model(ModelSource(onnx="m.onnx"), tmp_path)
    for count in (1, 2, 5):
        assert torch.allclose(module(images(count)), expected(images(count)), atol=1e-5)


@pytest.mark.parametrize(("dtype", "rounded"), [("DOUBLE", False), ("UINT8", True), ("INT16", True)])
def test_images_are_given_in_the_type_that_the_file_takes(tmp_path: Path, dtype: str, rounded: bool) -> None:
    module = OnnxModel(write(tmp_path / "m.onnx", Twin(), dtype=dtype))
    found = module(images())
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected(images().round() if rounded else images()), atol=1e-5)


def test_a_gradient_is_refused_before_the_file_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = OnnxModel(write(tmp_path / "m.onnx", Twin()))
    monkeypatch.setattr(module, "_run", None)
    with pytest.raises(InputError, match=r"an ONNX file, which gives no gradient.*square, hopskipjump, noise"):
        module(images().requires_grad_())


def test_square_beats_it_and_gradient_attacks_say_what_they_lack(tmp_path: Path) -> None:
    module = OnnxModel(write(tmp_path / "m.onnx", Twin()))
    victim, task = Victim(module, (0, 4)), Classification(3)
    labels = expected(images()).argmax(1)
    black = Square(Linf(2.0), queries=100)(victim, task, images(), labels, generator=torch.Generator())
    white = Square(Linf(2.0), queries=100)(Victim(Twin(), (0, 4)), task, images(), labels, generator=torch.Generator())
    assert black.success.any() and torch.allclose(black.images, white.images)
    for tuning in (Tuning(), Tuning("channels_last", fold=True)):
        victim.tuning = tuning
        with pytest.raises(InputError, match="gives no gradient"):
            pgd(Linf(1.0), steps=1)(victim, task, images(), labels)
    with pytest.raises(InputError, match="gives no gradient"):
        choose(victim, images())
    assert copy.deepcopy(module) is module


def test_one_of_several_outputs_is_chosen_by_name(tmp_path: Path) -> None:
    twice = onnx.helper.make_node("Add", ["scores", "scores"], ["twice"])
    shape = onnx.helper.make_node("Shape", ["scores"], ["shape"])
    cast = onnx.helper.make_node("Cast", ["shape"], ["flat_shape"], to=onnx.TensorProto.FLOAT)
    path = write(tmp_path / "m.onnx", Twin(), more=(twice, shape, cast), outputs=("scores", "twice", "flat_shape"))
    found = load_model(ModelSource(onnx="m.onnx", output="twice"), tmp_path)(images())
    assert torch.allclose(found, 2 * expected(images()), atol=1e-5)
    for output, said in (
        (None, "has several: scores, twice, flat_shape"),
        ("twise", "no output 'twise'. Did you mean 'twice'"),
    ):
        with pytest.raises(InputError, match=said):
            OnnxModel(path, output)
    with pytest.raises(InputError, match=r"flat_shape has shape \(2,\) for 5 images"):
        OnnxModel(path, "flat_shape")(images())


def test_weights_beside_the_file_are_read_and_in_the_digest(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", Twin(), outside="m.bin")
    assert torch.allclose(OnnxModel(path)(images()), expected(images()), atol=1e-5)
    assert onnx_files(path) == (path, tmp_path / "m.bin")
    source = ModelSource(onnx="m.onnx")
    before, data = source.digest(tmp_path), (tmp_path / "m.bin").read_bytes()
    (tmp_path / "m.bin").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert source.digest(tmp_path) != before
    (tmp_path / "m.bin").unlink()
    with pytest.raises(InputError, match=r"keeps weights in m\.bin, which does not exist"):
        source.digest(tmp_path)


def test_weights_outside_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = write(tmp_path / "inner" / "m.onnx", Twin(), outside="m.bin")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../m.bin"
    path.write_bytes(model.SerializeToString())
    (tmp_path / "inner" / "m.bin").rename(tmp_path / "m.bin")
    with pytest.raises(InputError, match="names weights outside its folder"):
        OnnxModel(path)


def test_files_that_cannot_be_run_are_refused(tmp_path: Path) -> None:
    own = onnx.helper.make_node("Sharpen", ["scores"], ["sharp"], domain="mine")
    with pytest.raises(InputError, match=r"needs its own operators \(mine\)"):
        OnnxModel(write(tmp_path / "own.onnx", Twin(), more=(own,), outputs=("sharp",)))
    unknown = onnx.helper.make_node("Sharpen", ["scores"], ["sharp"])
    with pytest.raises(InputError, match="cannot be run"):
        OnnxModel(write(tmp_path / "unknown.onnx", Twin(), more=(unknown,), outputs=("sharp",)))
    (tmp_path / "text.onnx").write_text("no network at all")
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name in ("text.onnx", "empty.onnx"):
        with pytest.raises(InputError, match=r"not an ONNX file|contains no network"):
            OnnxModel(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        OnnxModel(tmp_path / "none.onnx")


def test_images_of_another_shape_are_refused(tmp_path: Path) -> None:
    module = OnnxModel(write(tmp_path / "m.onnx", Twin()))
    with pytest.raises(InputError, match=r"images of shape \(1, 8, 8\) and got \(1, 9, 9\)"):
        module(images(size=9))
    with pytest.raises(InputError, match=r"got \(3, 8, 8\)"):
        module(images(channels=3))


def test_probabilities_are_read_as_logits(tmp_path: Path) -> None:
    softmax = onnx.helper.make_node("Softmax", ["scores"], ["p"], axis=1)
    sigmoid = onnx.helper.make_node("Sigmoid", ["scores"], ["p"])
    for name, node in (("softmax", softmax), ("sigmoid", sigmoid)):
        write(tmp_path / "m.onnx", Twin(), more=(node,), outputs=("p",))
        found = load_model(ModelSource(onnx="m.onnx", outputs=name), tmp_path)(images())
        logits = expected(images())
        wanted = logits.log_softmax(1) if name == "softmax" else logits
        assert torch.allclose(found, wanted, atol=1e-4)
    write(tmp_path / "m.onnx", Twin())
    with pytest.raises(InputError, match=r'outputs: "sigmoid" says .* some are outside 0 to 1'):
        load_model(ModelSource(onnx="m.onnx", outputs="sigmoid"), tmp_path)(images() / 4)
