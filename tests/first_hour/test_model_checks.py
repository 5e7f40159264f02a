"""Models that do not give what their plan says: each stops before the first attack, with the line to change."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palpate import cli

MODEL = """
import torch
from torch import nn
from palpate.annotations import Candidates

def logit(images):
    return (images.mean(1)[:, 8:20, 8:20].mean((1, 2)) - 0.45) * 20

def two(images):
    z = logit(images)
    return torch.stack([-z, z], 1)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.same = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.same.weight)

    def forward(self, images):
        images = self.same(images)
        return OUTPUT

class Aged(Net):
    def forward(self, images, age):
        return two(images)

class Detector(Net):
    def forward(self, images):
        corners = images.new_tensor([BOX]).expand(len(images), 1, 4)
        return Candidates(logits=logit(images)[:, None, None], boxes=corners)

def build():
    return BUILT
"""

PLAN = """
[model]
factory = "model.py:build"
bounds = [0, 255]
MORE
[model.preprocess]
mean = [0]
std = [255]
[data]
DATA
[task]
TASK
[threat]
norm = "linf"
eps = [40]
[[attacks]]
attack = "pgd"
steps = 2
[survival]
after = []
[stability]
images = 0
[quality]
images = 0
[run]
batch = 8
layout = "contiguous"
"""
CLASSES = 'kind = "binary"\nclasses = ["normal", "sick"]\nhead = "HEAD"'
BOXES = 'kind = "detection"\nclasses = ["polyp"]'

Audit = Callable[..., tuple[int, str]]


@pytest.fixture
def audit(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Audit:
    """Write nine images, a model and a plan, audit them from the command line: exit status, and what was said."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(output: str = "two(images)", **said: str) -> tuple[int, str]:
        table, boxes = ["file,label"], ["image,label,xmin,ymin,xmax,ymax"]
        for index in range(9):
            pixels = np.full((32, 32), 60, np.uint8)
            if index % 2:
                pixels[8:20, 8:20] = 200
                boxes.append(f"{index}.png,polyp,8,8,20,20")
            Image.fromarray(pixels).save(tmp_path / f"{index}.png")
            table.append(f"{index}.png,{'sick' if index % 2 else 'normal'}")
        (tmp_path / "labels.csv").write_text("\n".join(table) + "\n")
        (tmp_path / "boxes.csv").write_text("\n".join(boxes) + "\n")
        text = MODEL.replace("OUTPUT", output).replace("BOX", said.get("box", "0"))
        (tmp_path / "model.py").write_text(text.replace("BUILT", said.get("built", "Net()")))
        data = 'table = "labels.csv"\n' + ('boxes = "boxes.csv"' if "box" in said and "classes" not in said else "")
        task = CLASSES.replace("HEAD", said.get("head", "softmax")) if "boxes" not in data else BOXES
        plan = PLAN.replace("MORE", said.get("more", "")).replace("DATA", data).replace("TASK", task)
        (tmp_path / "plan.toml").write_text(plan)
        with pytest.raises(SystemExit) as ended:
            cli.main(["audit", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out")])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err

    return run


@pytest.mark.parametrize(
    ("output", "said", "words"),
    [
        ("logit(images).squeeze()", {"head": "one-logit"}, ["one image has shape []", ".squeeze(1)"]),
        ("logit(images).sigmoid()[:, None]", {"head": "one-logit"}, ["sigmoid", 'model.outputs = "sigmoid"']),
        ("two(images).softmax(1)", {}, ["softmax", 'model.outputs = "softmax"']),
        ("two(images.cuda())", {}, [".cuda()", "run.device"]),
        ('two(images.to("cuda"))', {}, ["run.device"]),
        ("two(nn.Conv2d(1, 1, 1).double()(images))", {}, ["another number format", ".float()"]),
        ("two(self.same(images.half()))", {}, ["another number format", ".float()"]),
        ("nn.Linear(50, 2)(images.flatten(1))", {}, ["mat1 and mat2", "preprocess.size"]),
        (
            "nn.Conv2d(3, 2, 32)(images).flatten(1)",
            {},
            ["expects images of 3 channels", "write channels = 3 in [model.preprocess]"],
        ),
        ("nn.Conv3d(1, 2, 1)(images).flatten(1)", {}, ["network for 3D images"]),
        ("nn.BatchNorm1d(2)(two(images[:1]))", {}, ["training mode inside forward"]),
        ("two(images)[:, 0].argmax()", {}, ["decisions, not scores"]),
        ("{'logits': two(images)}", {}, ["a dict with logits", 'output = "logits" in [model]']),
        ("{'boxes': two(images), 'logits': two(images)}", {}, ["Candidates(logits=..., boxes=...)", "of 'boxes'"]),
        ("[two(images)]", {}, ["a list with 0", "output = 0 in [model]"]),
        ("two(images)[:, :1]", {}, ["needs [8, 2]", 'write head = "one-logit" in [task]']),
        ("two(images)", {"head": "one-logit"}, ["needs [8, 1]", 'write head = "softmax" in [task]']),
        ("two(images).repeat(1, 2)", {}, ["Name the 4 classes of the model in task.classes"]),
        (
            "-two(images)",
            {},
            ["fit another order of the classes", "9 of 9 would be right", 'classes = ["sick", "normal"] in [task]'],
        ),
        (
            "0 * two(images)",
            {},
            ["no more than chance", "'normal' for every image", "names no weights", 'run.at_chance = "allow"'],
        ),
        ("{'out': {'logits': two(images)}}", {}, ['output = "out.logits" in [model]']),
        ("(None, two(images))", {}, ["output = 1 in [model]"]),
        ("None", {}, ["None", "Return one tensor of logits"]),
        ("[{'boxes': images, 'scores': images}]", {}, ["an adapter of palpate.models.detectors"]),
        ("two(images)[..., None, None]", {}, ["outputs.flatten(1)"]),
        (
            "logit(images).sigmoid()[:, None]",
            {"head": "one-logit", "more": 'outputs = "softmax"'},
            ["one score per class", 'outputs = "sigmoid"'],
        ),
        ("two(images)", {"built": "Aged()"}, ["'age'", "factory"]),
        ("", {"built": "Detector()", "box": "8.0, 8.0, 20.0, 20.0", "classes": "yes"}, ["as a detector does"]),
        ("two(images)", {"box": "8.0, 8.0, 20.0, 20.0"}, ["a tensor of shape [4, 2]", "recognises no boxes in it"]),
        ("", {"built": "Detector()", "box": "8.0, 8.0, 20.0, 20.0"}, ["look like pixels", 'model.boxes = "pixels"']),
        ("", {"built": "Detector()", "box": "0.44, 0.44, 0.375, 0.375"}, ["x2 below x1", '"centres"']),
        ("", {"built": "Detector()", "box": "0.7, 0.7, 0.9, 0.9"}, ["acceptable on none of the 4", "run.at_chance"]),
    ],
)
def test_what_cannot_be_audited_stops_with_a_sentence_that_fits(audit, tmp_path, output, said, words):
    status, text = audit(output or "two(images)", **said)
    assert status == 2 and "Traceback" not in text
    for word in words:
        assert word in text
    assert not list((tmp_path / "out").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("logit(images).squeeze(1) if images.ndim < 3 else logit(images)", {"head": "one-logit"}),
        ("logit(images).sigmoid()[:, None]", {"head": "one-logit", "more": 'outputs = "sigmoid"'}),
        ("two(images).softmax(1)", {"more": 'outputs = "softmax"'}),
        ("{'out': {'logits': two(images)}}", {"more": 'output = "out.logits"'}),
        ("(None, two(images))", {"more": "output = 1"}),
        ("two(images)", {"built": "Net().half()"}),
        ("two(images)", {"built": "Net().double()"}),
        ("", {"built": "Detector()", "box": "0.25, 0.25, 0.625, 0.625"}),
        ("", {"built": "Detector()", "box": "8.0, 8.0, 20.0, 20.0", "more": 'boxes = "pixels"'}),
        ("", {"built": "Detector()", "box": "14.0, 14.0, 12.0, 12.0", "more": 'boxes = "pixel centres"'}),
        ("", {"built": "Detector()", "box": "0.4375, 0.4375, 0.375, 0.375", "more": 'boxes = "centres"'}),
    ],
)
def test_what_the_sentence_asks_for_works(audit, output, said):
    status, text = audit(output or "two(images)", **said)
    assert status == 0, text
    plain = " ".join(text.split())
    assert "leave accuracy at 100%" in plain or "find 4 of 4 annotated" in plain


def test_boxes_are_of_detectors_alone(audit):
    status, text = audit(more='boxes = "pixels"')
    assert status == 2 and "model.boxes: only a detector has boxes" in text
