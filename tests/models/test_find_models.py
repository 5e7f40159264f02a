"""What `palpate init` sees of models in a folder, without running any of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from palpate.errors import InputError
from palpate.models.inspect import find_models, propose
from palpate.models.source import ModelSource
from palpate.models.stored.files import identify
from tests.models.networks import Trap, exported, scripted, small

CODE = """
import torch
from monai.networks.nets import resnet18
from torch import nn

raise SystemExit("this file is parsed, never run")

def build_model(classes=5):
    return resnet18(num_classes=classes)

def grader(depth, *, width, classes=5) -> nn.Module:
    return None

class Net(nn.Module):
    def __init__(self, channels, classes=2):
        super().__init__()

class Plain(torch.nn.Module):
    pass

class Data(dict):
    pass

def train(epochs): ...
def _build(): ...
def build_report(): ...
"""


def test_kinds_are_told_by_content(tmp_path: Path) -> None:
    exported(small(), tmp_path / "a.bin")
    scripted(small(), tmp_path / "b.bin")
    torch.save(small().state_dict(), tmp_path / "c.bin")
    torch.save(small().state_dict(), tmp_path / "d.bin", _use_new_zipfile_serialization=False)
    save_file(small().state_dict(), tmp_path / "e.bin")
    torch.save({"trap": Trap(tmp_path / "sprung")}, tmp_path / "f.bin")
    torch.save(small(), tmp_path / "g.bin", _use_new_zipfile_serialization=False)
    (tmp_path / "h.bin").write_bytes(b"PK nothing")
    (tmp_path / "i.bin").write_bytes(b"")
    (tmp_path / "j.bin").write_bytes((50).to_bytes(8, "little") + b"{" + b" " * 60)
    kinds = [identify(path).kind for path in sorted(tmp_path.glob("*.bin"))]
    assert kinds == [
        "exported",
        "torchscript",
        "weights",
        "weights",
        "safetensors",
        "pickle",
        "pickle",
        "unknown",
        "unknown",
        "unknown",
    ]
    assert identify(tmp_path / "f.bin").imports == ("posix mkdir",)
    assert "tests.models.networks Small" in identify(tmp_path / "g.bin").imports
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(InputError, match=r"does not exist"):
        identify(tmp_path / "none.bin")


def test_factories_are_found_and_never_run(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/model.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "code/other.py").write_text("def build_model(): ...", encoding="utf-8")  # knows no torch
    (tmp_path / "code/broken.py").write_text("import torch\ndef build_model(:", encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/model.py").write_text(CODE, encoding="utf-8")
    found = {c.source.factory: c for c in find_models(tmp_path) if c.source is not None}
    assert set(found) == {f"code/model.py:{name}" for name in ("build_model", "grader", "Net", "Plain")}
    assert found["code/model.py:build_model"].required == ()
    assert found["code/model.py:grader"].required == ("depth", "width")
    assert found["code/model.py:Net"].required == ("channels",)
    assert "needs depth, width, line 11" in found["code/model.py:grader"].words
    assert propose(find_models(tmp_path)) == ModelSource(factory="code/model.py:build_model")


def test_a_proposal_takes_whole_models_first_and_never_pickles(tmp_path: Path) -> None:
    assert find_models(tmp_path / "none") == () and propose(()) is None
    torch.save(small(), tmp_path / "whole.pth")
    (only,) = find_models(tmp_path)
    assert only.source is None and not only.weights and "can run code" in only.words
    assert propose([only]) is None
    (tmp_path / "net.py").write_text("import torch\ndef build(): ...", encoding="utf-8")
    (tmp_path / "best").mkdir()
    torch.save(small().state_dict(), tmp_path / "best/weights.pt")
    assert propose(find_models(tmp_path)) == ModelSource(factory="net.py:build", weights="best/weights.pt")
    scripted(small(), tmp_path / "m.pt")
    assert propose(find_models(tmp_path)) == ModelSource(torchscript="m.pt")


def test_environments_and_deep_folders_are_left_out(tmp_path: Path) -> None:
    for folder in ("env", "site-packages", "a/b/c/d"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "net.py").write_text("import torch\ndef build(): ...", encoding="utf-8")
    (tmp_path / "env/pyvenv.cfg").touch()
    assert find_models(tmp_path) == ()
    assert [c.name for c in find_models(tmp_path / "a")] == ["b/c/d/net.py"]
