"""Whether a model is better than guessing: on numbers, and before an audit of images of many shapes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.audit.subject.chance import of_classes, of_drawn, of_findings
from palpate.errors import InputError

MODEL = """
import torch
from torch import nn

class Bright(nn.Module):
    def __init__(self, sign):
        super().__init__()
        self.sign = nn.Parameter(torch.tensor(float(sign)))

    def forward(self, images):
        z = (images.mean((1, 2, 3)) - 0.5) * 20 * self.sign
        return torch.stack([-z, z], 1)

def right():
    return Bright(1)

def wrong():
    return Bright(-1)

def constant():
    return Bright(0)

class Squashed(Bright):
    def forward(self, images):
        return super().forward(images).softmax(1)

def squashed():
    return Squashed(1)
"""

PLAN = """
[model]
factory = "model.py:right"
bounds = [0, 255]
[model.preprocess]
mean = [0]
std = [255]
[data]
table = "labels.csv"
[task]
kind = "binary"
classes = ["dark", "bright"]
[threat]
norm = "linf"
eps = [4]
[[attacks]]
attack = "fgsm"
[run]
layout = "contiguous"
"""


def write(folder: Path, count: int, one_class: bool = False) -> None:
    """Images of which no two have one shape."""
    lines = ["file,label"]
    for index in range(count):
        bright = one_class or index % 2
        Image.fromarray(np.full((8 + index, 9), 190 if bright else 60, np.uint8)).save(folder / f"{index}.png")
        lines.append(f"{index}.png,{'bright' if bright else 'dark'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    (folder / "model.py").write_text(MODEL)


def run(folder: Path, model: str, more: str = ""):
    (folder / "plan.toml").write_text(PLAN.replace(":right", f":{model}") + more)
    return audit(load_plan(folder / "plan.toml"), folder / f"run-{model}")


def noticed(outcome, subject: str) -> list[tuple[str, str]]:
    return [(found.level, found.text) for found in outcome.findings if found.subject == subject]


@pytest.mark.parametrize("model", ["wrong", "constant"])
def test_a_model_at_chance_stops_before_the_first_attack_although_no_two_images_have_one_shape(tmp_path, model):
    write(tmp_path, 8)
    with pytest.raises(InputError, match=r'no more than chance.*run\.at_chance = "allow"'):
        run(tmp_path, model)
    assert not list((tmp_path / f"run-{model}").rglob("*.parquet"))
    allowed = run(tmp_path, model, 'at_chance = "allow"\n')
    assert allowed.status == "finished"
    assert [level for level, _ in noticed(allowed, "clean accuracy")] == ["warning"]


def test_a_model_that_is_right_is_audited_without_a_word(tmp_path):
    write(tmp_path, 8)
    assert noticed(run(tmp_path, "right"), "clean accuracy") == []


def test_a_softmax_is_seen_over_images_of_which_no_two_have_one_shape(tmp_path):
    write(tmp_path, 8)
    with pytest.raises(InputError, match=r'model\.outputs = "softmax"'):
        run(tmp_path, "squashed")


def test_too_few_images_to_tell_is_a_note(tmp_path):
    write(tmp_path, 4)
    ((level, text),) = noticed(run(tmp_path, "wrong"), "clean accuracy")
    assert level == "note" and "right on 0 of the 4 images" in text and "too few" in text


def test_one_class_alone_is_a_warning_and_stops_where_no_image_is_right(tmp_path):
    write(tmp_path, 8, one_class=True)
    ((level, text),) = noticed(run(tmp_path, "right"), "one class")
    assert level == "warning" and "all of class 1" in text
    with pytest.raises(InputError, match="right on 0 of the 8 images"):
        run(tmp_path, "wrong")


def test_a_model_that_fails_on_one_shape_names_the_file(tmp_path):
    write(tmp_path, 9)
    model = MODEL.replace("        z =", "        assert images.shape[2] != 12, 'no rows of twelve'\n        z =")
    (tmp_path / "model.py").write_text(model)
    with pytest.raises(
        InputError, match=r"4\.png: model: it fails on images of shape \[1, 1, 12, 9\].*no rows of twelve"
    ):
        run(tmp_path, "right")


def draws(accuracy: float, count: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Labels in turn, and as many of them read right as said, spread over the classes."""
    labels = np.arange(count) % classes
    predicted = (labels + 1) % classes
    predicted[: round(accuracy * count)] = labels[: round(accuracy * count)]
    return predicted, labels


@pytest.mark.parametrize(
    ("accuracy", "count", "kind"),
    [
        (0.0, 8, "at"),
        (0.5, 64, "at"),
        (0.625, 8, "open"),
        (0.55, 40, "open"),
        (0.55, 512, "above"),
        (0.7, 64, "above"),
        (1.0, 8, "above"),
        (1.0, 7, "few"),
    ],
)
def test_two_classes(accuracy, count, kind):
    assert of_classes(*draws(accuracy, count)).kind == kind


def test_the_commonest_class_alone_is_chance_however_common_it_is():
    labels = np.array([0] * 60 + [1] * 4)
    verdict = of_classes(np.zeros(64, np.int64), labels)
    assert verdict.kind == "at" and "60 of the 64" in verdict.text and "50%" in verdict.text
    found = np.zeros(64, np.int64)
    found[60:] = 1
    assert of_classes(found, labels).kind == "above"


def test_more_classes_have_a_lower_chance():
    assert of_classes(*draws(0.4, 60, classes=5)).kind == "above"
    assert of_classes(*draws(0.2, 60, classes=5)).kind == "at"


def test_findings_are_read_better_than_always_absent():
    generator = np.random.default_rng(3)
    labels = (generator.random((64, 4)) < 0.2).astype(np.int64)
    labels[:, 3] = 0  # never there, so it does not count
    assert of_findings(np.zeros_like(labels), labels).kind == "at"
    assert of_findings(labels[generator.permutation(64)], labels).kind in ("at", "open")
    verdict = of_findings(labels, labels)
    assert verdict.kind == "above" and "3 of the 4 findings" in verdict.text
    assert of_findings(labels[:7], labels[:7]).kind == "few"
    assert of_findings(labels, np.full_like(labels, -1)).kind == "few"


def test_one_acceptable_mask_is_no_guess():
    assert of_drawn(np.zeros(4, bool)).kind == "at"
    assert of_drawn(np.zeros(3, bool)).kind == "open"
    assert of_drawn(np.array([False, False, True])).kind == "above"
    assert of_drawn(np.zeros(0, bool)).kind == "few"
