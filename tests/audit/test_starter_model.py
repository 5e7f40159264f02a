"""The model's part of a first plan, for models that are whole folders or ONNX files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palpate.audit.plan import parse_plan
from palpate.audit.starter import starting_plan
from tests.audit import tiny

PREPARED = {"image_mean": [0.5, 0.4, 0.2], "image_std": [0.5, 0.2, 0.1], "size": {"height": 16, "width": 24}}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    tiny.write(tmp_path)
    (tmp_path / "model.py").unlink()
    (tmp_path / "weights.safetensors").unlink()
    return tmp_path


def planned(folder: Path):
    (folder / "plan.toml").unlink(missing_ok=True)
    text = starting_plan(folder, folder)
    return parse_plan(text, folder / "plan.toml").model, text


def huggingface(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"architectures": ["ViTForImageClassification"], "num_channels": 3, "image_size": 16})
    )
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPARED))
    (folder / "model.safetensors").write_bytes(b"")


def bundle(folder: Path) -> None:
    (folder / "configs").mkdir(parents=True)
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": [64, 32], "overlap": 0.625, "mode": "gaussian"}
    (folder / "configs" / "inference.json").write_text(json.dumps({"network_def": {}, "inferer": inferer}))
    described = {"inputs": {"image": {"num_channels": 1, "spatial_shape": [64, 32], "value_range": [0, 1]}}}
    (folder / "configs" / "metadata.json").write_text(json.dumps({"network_data_format": described}))


def test_a_folder_of_hugging_face_brings_its_preprocessing_in_stored_values(images: Path) -> None:
    huggingface(images / "vit")
    model, _ = planned(images)
    assert (model.huggingface, model.factory) == ("vit", None)
    assert model.preprocess.size == (16, 24) and model.preprocess.channels == 3
    assert model.preprocess.mean == pytest.approx((127.5, 102, 51))
    assert model.preprocess.std == pytest.approx((127.5, 51, 25.5))


def test_a_bundle_brings_its_windows_and_says_what_it_expects(images: Path) -> None:
    bundle(images / "tiny_bundle")
    (images / "tiny_bundle" / "other.py").write_text("import torch\ndef build(): ...")
    model, text = planned(images)
    assert (model.bundle, model.factory) == ("tiny_bundle", None)
    assert (model.inferer.size, model.inferer.overlap, model.inferer.mode) == ((64, 32), 0.625, "gaussian")
    assert "# The bundle's metadata: 1 channels; size [64, 32]; values from 0 to 1" in text
    assert "other.py" not in text


def test_an_onnx_file_is_named_where_there_is_nothing_else(images: Path) -> None:
    (images / "net.onnx").write_bytes(b"anything")
    model, _ = planned(images)
    assert model.onnx == "net.onnx"
    (images / "model.py").write_text(tiny.MODEL)
    model, text = planned(images)
    assert model.factory == "model.py:build" and model.onnx is None
    assert "# Also there: net.onnx: ONNX, a black box" in text
