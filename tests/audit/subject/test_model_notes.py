"""What a bundle, a folder of Hugging Face or an endpoint says of itself is compared with the plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from palpate.audit.plan.plan import parse_plan
from palpate.audit.subject.notes import model_notes
from palpate.victim import Victim
from tests.audit import tiny

INFERER = {"_target_": "SlidingWindowInferer", "roi_size": [64, 32], "overlap": 0.5, "mode": "gaussian"}
IMAGES = torch.tensor([0.0, 255.0]).reshape(2, 1, 1, 1).expand(2, 1, 8, 8)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "b" / "configs").mkdir(parents=True)
    (tmp_path / "b" / "configs" / "inference.json").write_text(json.dumps({"network_def": {}, "inferer": INFERER}))
    described = {
        "inputs": {"image": {"num_channels": 1, "value_range": [0, 1]}},
        "outputs": {"pred": {"channel_def": {"0": "None", "1": "Severe", "2": "Mild"}}},
    }
    (tmp_path / "b" / "configs" / "metadata.json").write_text(json.dumps({"network_data_format": described}))
    return tmp_path


def bundled(tail: str) -> str:
    return f'bundle = "b"\nbounds = [0, 255]\n{tail}'


def written(folder: Path, tail: str, module: nn.Module | None = None) -> list[str]:
    text = tiny.PLAN
    begin, end = text.index("[model]"), text.index("[data]")
    plan = parse_plan(text[:begin] + f"[model]\n{tail}\n" + text[end:], folder / "plan.toml")
    victim = Victim(module or nn.Identity(), (0, 255), preprocess=plan.model.preprocess.build())
    notes = model_notes(plan, victim, IMAGES)
    assert all((note.level, note.subject) == ("note", "model") for note in notes)
    return [note.text for note in notes]


def test_a_plan_that_does_what_its_bundle_does_gets_only_the_order_of_classes(bundle: Path) -> None:
    tail = '[model.preprocess]\nstd = [255]\n[model.inferer]\nsize = [64, 32]\noverlap = 0.5\nmode = "gaussian"'
    (order,) = written(bundle, bundled(tail))
    assert order == (
        "The bundle names its outputs in the order None, Severe, Mild, and the plan as none, mild, severe."
    )


@pytest.mark.parametrize(
    ("tail", "text"),
    [
        ("", "inputs are between 0 and 1, and the plan gives it 0 to 255"),
        ("", "with overlap 0.5, gaussian, and the plan the whole input at once"),
        ("[model.inferer]\nsize = [64, 64]", "and the plan windows of [64, 64] with overlap 0.5, gaussian"),
        ("[model.preprocess]\nchannels = 3", "say 1 input channels, and the plan gives 3"),
    ],
)
def test_what_differs_from_the_bundle_is_said(bundle: Path, tail: str, text: str) -> None:
    assert any(text in note for note in written(bundle, bundled(tail)))


def test_torchscript_in_place_of_a_configuration_is_said(bundle: Path) -> None:
    script = torch.jit.trace(nn.Identity(), torch.zeros(1))
    assert any("models/model.ts" in note for note in written(bundle, bundled(""), script))
    assert not any("models/model.ts" in note for note in written(bundle, bundled("")))


def test_size_and_order_of_hugging_face_are_compared(tmp_path: Path) -> None:
    (tmp_path / "h").mkdir()
    config = {
        "architectures": ["ViTForImageClassification"],
        "image_size": 16,
        "id2label": {"0": "none", "1": "severe", "2": "mild"},
    }
    (tmp_path / "h" / "config.json").write_text(json.dumps(config))
    order, size = written(tmp_path, 'huggingface = "h"\nbounds = [0, 255]')
    assert "in the order none, severe, mild, and the plan as none, mild, severe" in order
    assert "gives it 16 x 16 pixels, and the plan 8 x 8" in size
    config["id2label"] = {"0": "NONE", "1": "Mild", "2": "severe"}
    (tmp_path / "h" / "config.json").write_text(json.dumps(config))
    assert written(tmp_path, 'huggingface = "h"\nbounds = [0, 255]\n[model.preprocess]\nsize = [16, 16]') == []


def test_that_a_service_may_change_is_said(tmp_path: Path) -> None:
    key = 'headers = {X-Key = {env = "KEY"}}'
    tail = f'bounds = [0, 255]\n[model.endpoint]\nurl = "http://127.0.0.1:9/p"\n{key}\nbudget = 50'
    (note,) = written(tmp_path, tail)
    assert "http://127.0.0.1:9/p can change unnoticed" in note and "50 times" in note and "secret" not in note


def test_a_factory_says_nothing(tmp_path: Path) -> None:
    assert written(tmp_path, 'factory = "model.py:build"\nbounds = [0, 255]') == []
