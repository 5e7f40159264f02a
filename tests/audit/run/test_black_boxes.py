"""Audits of models that give outputs alone: an ONNX file and an HTTP service, against the same network in torch."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from palpate.audit.run.runner import audit
from palpate.errors import NotAskedError
from palpate.report.model.description import failed_attacks, read_description
from palpate.storage.runs import RunFolder
from tests.audit import tiny

ATTACKS = """
[[attacks]]
attack = "square"
queries = 40

[[attacks]]
attack = "noise"
tries = 2

[[attacks]]
attack = "pgd"
steps = 2

[run]
batch = 3
shard = 6
layout = "contiguous"
"""
HEAD, REST = tiny.PLAN[: tiny.PLAN.index("[[attacks]]")], ATTACKS
FACTORY = 'factory = "model.py:build"\nweights = "weights.safetensors"\n'
SAME = ("attack", "eps", "row", "success", "eligible", "first_success", "clean_right", "prediction")


def plan(source: str) -> str:
    return HEAD.replace(FACTORY, source) + REST


def network(folder: Path) -> nn.Module:
    made = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
    made.load_state_dict(load_file(folder / "weights.safetensors"))
    return made.eval()


def as_onnx(folder: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    helper = onnx.helper
    held = load_file(folder / "weights.safetensors")
    nodes = [
        helper.make_node("Conv", ["image", "0.weight", "0.bias"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("AveragePool", ["relu"], ["pool"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "4.weight", "4.bias"], ["scores"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [1, 3])],
        [onnx.numpy_helper.from_array(value.numpy(), name) for name, value in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, folder / "model.onnx")


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """A service that runs the tiny network on what it is sent: its URL, and all that it was sent."""
    tiny.write(tmp_path)
    held, lock, bodies = network(tmp_path), threading.Lock(), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock, torch.no_grad():
                bodies.append(str(self.headers).encode() + body)
                scores = held(torch.from_numpy(np.load(io.BytesIO(body)))[None])[0]
            text = json.dumps({"result": {"scores": scores.tolist()}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/tiny", bodies
    server.shutdown()
    server.server_close()


def records(folder: Path, attacks: tuple[str, ...] = ("square", "noise")) -> list[tuple[object, ...]]:
    frame = RunFolder(folder).frame()
    kept = np.isin(frame["attack"], attacks)
    return sorted(zip(*(frame[name][kept].tolist() for name in SAME), strict=True))


def test_an_onnx_file_has_the_records_of_its_network(tmp_path: Path) -> None:
    white = audit(tiny.write(tmp_path, plan(FACTORY)), tmp_path / "white")
    as_onnx(tmp_path)
    black = audit(tiny.rewrite(tmp_path, plan('onnx = "model.onnx"\n')), tmp_path / "black")
    assert white.status == "finished" and not white.failed
    assert black.failed == ("pgd",)
    (said,) = [finding.text for finding in black.findings if finding.subject == "gradients"]
    assert "black box" in said and "square" in said and "of strongest its search" in said
    # What could not run is no record; what could has the same ones.
    wanted = records(tmp_path / "white")
    assert any(row[3] for row in wanted) and not all(row[3] for row in wanted)
    stored = RunFolder(tmp_path / "black").path / "records"
    assert len(list(stored.glob("*.parquet"))) == 2 * len({row[0] for row in wanted})
    only = audit(
        tiny.rewrite(tmp_path, plan('onnx = "model.onnx"\n').replace('[[attacks]]\nattack = "pgd"\nsteps = 2\n', "")),
        tmp_path / "black",
        update=True,
    )
    assert only.status == "finished"
    assert records(tmp_path / "black") == wanted


def test_a_service_has_the_records_of_its_network_within_its_budget(tmp_path: Path, asked) -> None:
    url, bodies = asked
    without = '[[attacks]]\nattack = "pgd"\nsteps = 2\n'
    white = audit(tiny.rewrite(tmp_path, plan(FACTORY).replace(without, "")), tmp_path / "white")
    assert white.status == "finished"

    def serviced(budget: int) -> str:
        table = (
            f'\n[model.endpoint]\nurl = "{url}"\nscores = "result.scores"\nper_second = 1000000\nbudget = {budget}\n\n'
            "[model.preprocess]"
        )
        return plan("").replace("\n[model.preprocess]", table, 1).replace(without, "")

    # A spent budget stops the audit, and is no failure of an attack.
    with pytest.raises(NotAskedError, match="all 600 queries of this start are spent"):
        audit(tiny.rewrite(tmp_path, serviced(600)), tmp_path / "black")
    described = read_description(RunFolder(tmp_path / "black"))
    assert described.status == "unfinished" and not failed_attacks(described)
    assert len(bodies) == 600 and any((tmp_path / "black" / "records").glob("*.parquet"))
    # The same command has a budget of its own and goes on where the first one stopped.
    again = audit(tiny.rewrite(tmp_path, serviced(600)), tmp_path / "black")
    assert again.status == "finished" and not again.failed and len(bodies) <= 1200
    assert records(tmp_path / "black") == records(tmp_path / "white")
    for name in (b"image", b"patient", b"tiny_", str(tmp_path).encode()):
        assert not any(name in body.lower() for body in bodies)
