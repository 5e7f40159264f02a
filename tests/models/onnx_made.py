"""ONNX files of a small network, and the same network in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Twin(nn.Module):
    """What `write` puts into a file: a convolution, its mean, a linear layer."""

    def __init__(self, channels: int = 1, classes: int = 3):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first = nn.Conv2d(channels, 4, 3, padding=1)
            self.head = nn.Linear(4, classes)
            # Centred over random images, so that each class is decided for some of them.
            with torch.no_grad():
                features = self.first(torch.rand(64, channels, 8, 8) * 4).relu().mean((2, 3))
                self.head.weight.mul_(20)
                self.head.bias.copy_(-(self.head.weight @ features.mean(0)))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.first(images).relu().mean((2, 3)))


def write(
    path: Path,
    twin: Twin,
    *,
    batch: int | str = "batch",
    size: int = 8,
    dtype: str = "FLOAT",
    outside: str | None = None,
    more: tuple[Any, ...] = (),
    outputs: tuple[str, ...] = ("scores",),
) -> Path:
    """Write the twin as ONNX; `more` nodes are added, `outputs` named, and weights kept in the file `outside`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    channels = twin.first.in_channels
    held = {name: value.detach().numpy().astype(np.float32) for name, value in twin.state_dict().items()}
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["cast", "first.weight", "first.bias"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head.weight", "head.bias"], ["scores"], transB=1),
        *more,
    ]
    kind = getattr(TensorProto, dtype)
    graph = helper.make_graph(
        nodes,
        "twin",
        [helper.make_tensor_value_info("image", kind, [batch, channels, size, size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)])
    model.ir_version = 8
    place = {"save_as_external_data": True, "location": outside, "size_threshold": 0} if outside else {}
    onnx.save(model, path, **place)
    return path
