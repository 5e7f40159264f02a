"""The model's part of a first plan, for models that are whole folders or ONNX files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from palpate.audit.plan.plan import parse_plan
from palpate.audit.starter.plan import starting_plan, unfinished
from tests.audit import tiny
from tests.models.onnx_made import Twin
from tests.models.onnx_made import write as write_onnx

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
    model, text = planned(images)
    assert model.onnx == "net.onnx"
    proposed = [attack.attack for attack in parse_plan(text, images / "plan.toml").attacks]
    assert proposed == ["strongest", "noise"], "its search without gradients runs"
    (images / "model.py").write_text(tiny.MODEL)
    model, text = planned(images)
    assert model.factory == "model.py:build" and model.onnx is None
    assert "# Also there: net.onnx: ONNX, a black box" in text


def onnx_file(path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    write_onnx(path, Twin(channels=3), size=12)


def program(path: Path) -> None:
    torch.export.save(torch.export.export(Twin(channels=3).eval(), (torch.zeros(1, 3, 12, 12),)), path)


def ultralytics(path: Path) -> None:
    said = {"config.txt": json.dumps({"imgsz": [12, 12], "names": {"0": "a"}})}
    torch.jit.save(torch.jit.trace(Twin(channels=3).eval(), torch.zeros(1, 3, 12, 12)), path, _extra_files=said)


@pytest.mark.parametrize(
    ("name", "write"), [("net.onnx", onnx_file), ("net.pt2", program), ("best.torchscript", ultralytics)]
)
def test_the_size_that_a_file_was_made_for_is_written(images: Path, name: str, write: Callable[[Path], None]) -> None:
    write(images / name)
    model, text = planned(images)
    assert model.preprocess.size == (12, 12), text
    assert name in (model.onnx, model.exported, model.torchscript)


def test_a_file_that_leaves_the_size_open_gets_none(images: Path) -> None:
    sizes = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3, padding=1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    left_open = torch.export.export(net.eval(), (torch.zeros(1, 3, 16, 16),), dynamic_shapes=(sizes,))
    torch.export.save(left_open, images / "net.pt2")
    model, text = planned(images)
    assert model.exported == "net.pt2" and model.preprocess.size is None
    assert "\nchannels = 3" in text, "the images are grey, and the file takes three channels"


@pytest.mark.parametrize("name", ["best.torchscript", "best.model", "net.scripted"])
def test_a_program_is_recognised_under_any_ending(images: Path, name: str) -> None:
    torch.jit.save(torch.jit.trace(Twin().eval(), torch.zeros(1, 1, 8, 8)), images / name)
    assert planned(images)[0].torchscript == name


# -- weights next to a factory --------------------------------------------------------------------------------------


def weights_line(folder: Path) -> str:
    _, text = planned(folder)
    return next(line for line in text.splitlines() if line.lstrip("# ").startswith("weights = "))


def test_one_file_of_weights_is_taken(images: Path) -> None:
    (images / "model.py").write_text(tiny.MODEL)
    assert weights_line(images).startswith("# weights = ")
    torch.save({"state_dict": {"a": torch.ones(2)}, "score": np.float64(0.5)}, images / "best.ckpt")
    assert weights_line(images) == 'weights = "best.ckpt"  # CHECK'


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("model.pth", lambda path: torch.save(nn.Linear(1, 1), path), "a pickle that imports"),
        ("broken.pt", lambda path: path.write_bytes(b"PK\x03\x04 cut"), "it is damaged, or of another library"),
        ("model.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "it is damaged, or of another library"),
        ("best_model.pkl", lambda path: path.write_bytes(b"\x80\x02cos\nsystem\n."), "a pickle that imports os system"),
    ],
)
def test_weights_that_cannot_be_taken_are_asked_about(
    images: Path, name: str, make: Callable[[Path], object], said: str
) -> None:
    (images / "model.py").write_text(tiny.MODEL)
    make(images / name)
    line = weights_line(images)
    assert line.startswith(f'weights = "{name}"  # FILL IN: {said}') and 'or "in factory" if' in line
    assert ("--allow-pickle" in line) == ("pickle" in said)
    (asked,) = [text for _, text in unfinished(planned(images)[1]) if said in text]
    assert "in factory" in asked


def test_several_files_of_weights_are_asked_about(images: Path) -> None:
    (images / "model.py").write_text(tiny.MODEL)
    for name in ("a.pt", "b.pt"):
        torch.save({"a": torch.ones(2)}, images / name)
    assert weights_line(images).startswith('weights = "a.pt"  # FILL IN: which of a.pt, b.pt, or "in factory"')


def test_a_factory_that_loads_its_weights_is_believed(images: Path) -> None:
    torch.save(nn.Linear(1, 1), images / "best.pt")
    load = '\ndef build_model():\n    return torch.load(Path(__file__).parent / "best.pt")\n'
    (images / "model.py").write_text(f"import torch\n{load}")
    assert weights_line(images) == 'weights = "in factory"  # CHECK: model.py loads best.pt itself'
    assert planned(images)[0].source().weights_file is None


def test_a_whole_pickled_model_alone_names_the_flag(images: Path) -> None:
    torch.save(nn.Linear(1, 1), images / "whole.pth")
    model, text = planned(images)
    assert model.weights == "whole.pth" and model.factory is None
    assert "FILL IN: a pickle that imports" in text and "--allow-pickle" in text


def test_weights_without_a_factory_are_named(images: Path) -> None:
    torch.save({"a": torch.ones(2)}, images / "w.pt")
    model, text = planned(images)
    assert model.weights == "w.pt" and 'factory = "model.py:build"  # FILL IN: ' in text


def test_several_whole_models_are_asked_about(images: Path) -> None:
    for name in ("a.ts", "b.ts"):
        torch.jit.script(nn.Linear(1, 1)).save(images / name)
    assert 'torchscript = "a.ts"  # FILL IN: which one? There are a.ts, b.ts' in planned(images)[1]


def test_a_function_is_proposed_before_the_classes_that_it_makes(images: Path) -> None:
    code = "import torch\nclass Block(torch.nn.Module): ...\nclass Net(torch.nn.Module):\n    part = Block\n"
    (images / "model.py").write_text(code)
    assert planned(images)[0].factory == "model.py:Net"
    (images / "model.py").write_text(f"{code}def build():\n    return Net()\n")
    assert planned(images)[0].factory == "model.py:build"


def test_grey_and_rgb_are_proposed_where_the_network_expects_the_other(images: Path) -> None:
    assert "# channels = 3  # if the network expects RGB" in planned(images)[1]
    for path in images.glob("*.png"):
        Image.open(path).convert("RGB").save(path)
    assert "# channels = 1  # if the network expects grey: the images are RGB" in planned(images)[1]
