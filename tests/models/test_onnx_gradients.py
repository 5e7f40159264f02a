"""ONNX files as torch modules. They need onnx2torch and torchvision, and are skipped where one is missing."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import pytest
import torch

from palpate.errors import InputError
from palpate.models.loading import ModelSource, load_model
from palpate.models.stored.onnx_models import OnnxGradients
from tests.models import torchvision_beside
from tests.models.onnx_made import Twin, write
from tests.models.test_onnx import expected, images

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

HERE = torchvision_beside.load() is not None and importlib.util.find_spec("onnx2torch") is not None
needs_it = pytest.mark.skipif(not HERE, reason="onnx2torch, or torchvision which it needs, is not installed")


@needs_it
def test_outputs_and_gradients_are_those_of_the_network(tmp_path: Path) -> None:
    double = onnx.helper.make_node("Add", ["scores", "scores"], ["twice"])
    write(tmp_path / "m.onnx", Twin(), more=(double,), outputs=("scores", "twice"))
    module = load_model(ModelSource(onnx="m.onnx", onnx_gradients=True, output="twice"), tmp_path)
    given = images().requires_grad_()
    found = module(given)
    assert torch.allclose(found, 2 * expected(images()), atol=1e-4)
    (gradient,) = torch.autograd.grad(found[:, 0].sum(), given)
    own = images().requires_grad_()
    (wanted,) = torch.autograd.grad(2 * Twin()(own)[:, 0].sum(), own)
    assert wanted.any() and torch.allclose(gradient, wanted, atol=1e-5)
    assert torch.equal(copy.deepcopy(module)(images()), found)


@needs_it
def test_a_module_that_disagrees_with_onnxruntime_is_refused(tmp_path: Path) -> None:
    module = OnnxGradients(write(tmp_path / "m.onnx", Twin()))
    with torch.no_grad():
        next(module.network.parameters()).mul_(1.1)
    with pytest.raises(InputError, match=r"outputs that differ by .* compared with onnxruntime"):
        module(images())
    with pytest.raises(InputError, match="compared with onnxruntime"):
        module(images())


@needs_it
def test_operators_that_torch_does_not_get_are_refused(tmp_path: Path) -> None:
    odd = onnx.helper.make_node("Det", ["square"], ["det"])
    square = onnx.helper.make_node("MatMul", ["cast", "cast"], ["square"])
    path = write(tmp_path / "m.onnx", Twin(), more=(square, odd), outputs=("det",))
    with pytest.raises(InputError, match="cannot be turned into a torch module"):
        OnnxGradients(path)


def test_where_onnx2torch_is_missing_the_fix_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx2torch", None)
    with pytest.raises(InputError, match="pip install onnx2torch"):
        OnnxGradients(write(tmp_path / "m.onnx", Twin()))
