"""Checkpoints of everyday trainers beside a model: the right weights are audited, or nothing is."""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from palpate import cli
from palpate.models.factory import build
from palpate.storage.runs import RunFolder

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(1, 1, 1)

    def forward(self, images):
        score = self.c(images).mean((2, 3))
        return torch.cat([-score, score], 1)

def build():
    return Net()
"""

ATTACK = '[[attacks]]\nattack = "noise"\ntries = 1\n[quality]\nimages = 0\n[stability]\nimages = 0\n'


def write(folder: Path) -> None:
    """Eight images, dark ones normal and bright ones sick, and the code of a network."""
    (folder / "images").mkdir(parents=True)
    lines = ["file,label"]
    for index in range(8):
        pixels = np.full((16, 16), 60 + 120 * (index % 2), np.uint8)
        pixels[:3] += np.uint8(index)
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
        lines.append(f"images/{index}.png,{'sick' if index % 2 else 'normal'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    (folder / "model.py").write_text(MODEL)


def good(prefix: str = "") -> dict[str, torch.Tensor]:
    """Weights that tell dark from bright; the opposite of half of all random ones."""
    return {f"{prefix}c.weight": torch.full((1, 1, 1, 1), 40.0), f"{prefix}c.bias": torch.tensor([-19.0])}


def whole(folder: Path) -> Any:
    network = build("model.py:build", {}, folder)
    network.load_state_dict(good())
    return network


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def filled(plan: Path) -> str:
    """The plan with one quick attack, and nothing else filled in."""
    text = plan.read_text()
    begin = text.index("# `palpate list attacks`")
    plan.write_text(text[:begin] + ATTACK)
    return plan.read_text()


class Settings(dict[str, Any]):
    """Settings as yacs, mmcv and many others keep them: a dict of a class of its own, with attributes."""

    def __init__(self, **given: Any):
        super().__init__(**given)
        self.frozen = True


CHECKPOINTS: dict[str, Callable[[], Any]] = {
    "numpy": lambda: {"state_dict": good(), "best_score": np.float64(0.93), "epoch": 3},
    "arguments": lambda: {"model": good(), "args": argparse.Namespace(lr=1e-3, out=Path("runs"))},
    "nnU-Net": lambda: {"network_weights": good(), "trainer_name": "nnUNetTrainer", "current_epoch": 3},
    "Lightning": lambda: {"state_dict": good("model.") | {"criterion.pos_weight": torch.ones(1)}, "epoch": 3},
    "settings": lambda: {"state_dict": good("model."), "hyper_parameters": Settings(lr=1e-3, name="net")},
    "profiled": lambda: {"state_dict": good() | {"total_ops": torch.ones(1), "c.total_params": torch.ones(1)}},
    "averaged": lambda: {"state_dict_ema": good("module.")},
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_weights_of_a_checkpoint_are_audited(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    torch.save(CHECKPOINTS[name](), tmp_path / "best.ckpt")
    assert run("init", tmp_path) == 0
    text = filled(tmp_path / "plan.toml")
    assert 'weights = "best.ckpt"  # CHECK' in text
    status = run("audit", tmp_path / "plan.toml")
    assert status == 0, capfd.readouterr().err
    held = (tmp_path / "runs" / "plan" / "results.json").read_text()
    assert "The weights are the entry" in held
    frame = RunFolder(tmp_path / "runs" / "plan").frame()
    assert len(frame) and frame["clean_right"].all()


@pytest.mark.parametrize("name", ["model.pth.tar", "checkpoint_best.tar", "net.weights", "deep/runs/exp/best.pt"])
def test_weights_are_found_under_the_names_that_training_gives_them(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": good()}, tmp_path / name)
    assert run("init", tmp_path) == 0
    assert f'weights = "{name}"  # CHECK' in (tmp_path / "plan.toml").read_text()


def test_an_archive_without_weights_is_none(tmp_path: Path) -> None:
    write(tmp_path)
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        archive.add(tmp_path / "images")
    assert run("init", tmp_path) == 0
    assert "images.tar" not in (tmp_path / "plan.toml").read_text()


def test_a_whole_pickled_model_is_asked_about_and_random_weights_are_not_audited(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    torch.save(whole(tmp_path), tmp_path / "model.pth")
    assert run("init", tmp_path) == 0
    assert "needs your value: a pickle that imports" in capfd.readouterr().out
    text = filled(tmp_path / "plan.toml")
    assert run("audit", tmp_path / "plan.toml") == 2
    assert "FILL IN" in capfd.readouterr().err
    (tmp_path / "plan.toml").write_text(text.replace("FILL IN", "seen"))
    assert run("audit", tmp_path / "plan.toml") == 2
    assert "--allow-pickle" in capfd.readouterr().err
    assert not (tmp_path / "runs" / "plan" / "records").exists()


DICT = """
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, images):
        score = (images.mean((1, 2, 3)) * 40 - 19)[:, None]
        logits = torch.cat([-score, score], 1)
        return {"logits": logits, "aux": [logits * 0, logits.sum(1)]}

def build():
    return Net()
"""


def test_a_model_that_returns_a_dict_is_audited_by_the_part_that_the_plan_names(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    (tmp_path / "model.py").write_text(DICT)
    assert run("init", tmp_path) == 0
    text = filled(tmp_path / "plan.toml")
    assert run("audit", tmp_path / "plan.toml") == 2
    said = capfd.readouterr().err
    assert "a dict with logits: a tensor of shape [" in said and "aux: list of 2" in said and "model.output" in said
    (tmp_path / "plan.toml").write_text(text.replace("bounds = ", 'output = "logits"\nbounds = ', 1))
    assert run("audit", tmp_path / "plan.toml") == 0, capfd.readouterr().err
    assert RunFolder(tmp_path / "runs" / "plan").frame()["clean_right"].all()
