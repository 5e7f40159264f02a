"""A plan that names a detector and says nothing about what it returns: decided boxes, a YOLO head, an ONNX file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from palpate.audit.plan.plan import load_plan
from palpate.audit.run.display import Lines
from palpate.audit.run.runner import audit
from palpate.storage.runs import RunFolder
from tests.audit import tiny_dense

CODE = '''
import torch
from torch import nn
from model import Cells

class Decided(nn.Module):
    """Boxes in pixels of the cells above 1/2, as torchvision returns them."""
    def __init__(self):
        super().__init__()
        self.cells = Cells()

    def forward(self, images):
        logits, boxes = self.cells(images)
        return [self.one(*row, images.shape[-1]) for row in zip(logits[..., 0], boxes)]

    def one(self, logits, boxes, side):
        kept = logits > 0
        labels = torch.ones(int(kept.sum()), dtype=torch.int64)
        return {"boxes": boxes[kept] * side, "labels": labels, "scores": logits[kept].sigmoid()}
'''


class Yolo(torch.nn.Module):
    """A raw head (B, 4 + 1, N) as YOLO's exports have it: centres and sizes in pixels, and a probability."""

    def forward(self, images):
        cells = torch.nn.functional.avg_pool2d(images, 4).flatten(2)
        places = torch.arange(16)
        boxes = torch.stack([places % 4 * 4 + 2, places // 4 * 4 + 2, places * 0 + 4, places * 0 + 4]).float()
        # The number of images becomes a constant of the program, as in real exports.
        return torch.cat([boxes.expand(len(images), -1, -1), ((cells - 120) / 10).sigmoid()], dim=1)


def write_onnx(path: Path) -> None:
    """The same cells with threshold and suppression inside, for one image: boxes, scores and labels."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    place = np.arange(16)
    left, top = place % 4 * 4.0, place // 4 * 4.0
    held: dict[str, Any] = {
        "every": np.stack([left, top, left + 4, top + 4], 1)[None].astype(np.float32),
        "kinds": np.zeros(16, np.int64),
        "flat": np.array([1, 1, 16]),
        "line": np.array([16]),
        "corners": np.array([16, 4]),
        "middle": np.float32(120),
        "width": np.float32(10),
        "most": np.array([100]),
        "half": np.array([0.5], np.float32),
        "two": np.array(2),
    }
    nodes = [
        helper.make_node("AveragePool", ["images"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Reshape", ["cells", "flat"], ["row"]),
        helper.make_node("Sub", ["row", "middle"], ["above"]),
        helper.make_node("Div", ["above", "width"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["p"]),
        helper.make_node("NonMaxSuppression", ["every", "p", "most", "half", "half"], ["picked"]),
        helper.make_node("Gather", ["picked", "two"], ["kept"], axis=1),
        helper.make_node("Reshape", ["every", "corners"], ["all"]),
        helper.make_node("Reshape", ["p", "line"], ["ps"]),
        helper.make_node("Gather", ["all", "kept"], ["boxes"]),
        helper.make_node("Gather", ["ps", "kept"], ["scores"]),
        helper.make_node("Gather", ["kinds", "kept"], ["labels"]),
    ]
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n"]),
        helper.make_tensor_value_info("labels", TensorProto.INT64, ["n"]),
    ]
    graph = helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 1, 16, 16])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@dataclass
class Run:
    status: str
    findings: list[dict[str, str]]
    frame: Any
    terminal: str

    def said(self, subject: str) -> str:
        return " ".join(found["text"] for found in self.findings if found["subject"] == subject)


def run(folder: Path, model: str, attacks: str) -> Run:
    tiny_dense.write(folder, "detection")
    (folder / "shipped.py").write_text(CODE)
    head, _, rest = (folder / "plan.toml").read_text().partition("[threat]")
    head = head.replace('factory = "model.py:Cells"', model).replace("[data]", "[data]\nlimit = 4")
    tail = rest.partition("[run]")[2]
    text = f'{head}[threat]\nnorm = "linf"\neps = [40]\n{attacks}[run]{tail}'
    (folder / "plan.toml").write_text(text)
    terminal = io.StringIO()
    outcome = audit(load_plan(folder / "plan.toml"), folder / "run", progress=Lines(Console(file=terminal)))
    kept = RunFolder(folder / "run")
    return Run(outcome.status, kept.describe()["findings"], kept.frame(), terminal.getvalue())


PGD = '[[attacks]]\nattack = "pgd"\nsteps = 5\n'
SQUARE = '[[attacks]]\nattack = "square"\nqueries = 20\n'


def test_decided_boxes_are_recognised_and_attacked_through_what_is_left(tmp_path):
    found = run(tmp_path / "decided", 'factory = "shipped.py:Decided"', PGD + SQUARE)
    assert found.status == "finished"
    assert "corners x1, y1, x2, y2 in pixels" in found.said("detector")
    assert "numbered from 1" in found.said("detector") and "own threshold and suppression" in found.said("detector")
    assert (found.frame["clean_score"] == 1).all()
    assert found.frame["success"][found.frame["attack"] == "pgd"].any()
    assert found.frame["success"][found.frame["attack"] == "square"].any()


def test_a_yolo_head_in_torchscript_is_audited_as_its_candidates_are(tmp_path):
    folder = tmp_path / "yolo"
    folder.mkdir()
    torch.jit.trace(Yolo().eval(), torch.zeros(1, 1, 16, 16)).save(folder / "yolo.ts")
    found = run(folder, 'torchscript = "yolo.ts"', PGD)
    assert "raw YOLO head without objectness; centre x, centre y, width, height in pixels" in found.said("detector")
    assert "a raw YOLO head without objectness" in found.terminal
    same = run(tmp_path / "candidates", 'factory = "model.py:Cells"', PGD)
    assert not same.said("detector")
    for name in ("clean_score", "score", "success"):
        assert found.frame[name].tolist() == pytest.approx(same.frame[name].tolist())


def test_an_onnx_file_with_suppression_inside_is_attacked_by_its_answers_alone(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    folder = tmp_path / "onnx"
    folder.mkdir()
    write_onnx(folder / "cells.onnx")
    found = run(folder, 'onnx = "cells.onnx"', SQUARE)
    assert found.status == "finished"
    assert "boxes, scores and labels" in found.said("detector") and "black box" in found.said("gradients")
    assert (found.frame["clean_score"] == 1).all() and found.frame["success"].any()
