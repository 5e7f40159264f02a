"""A detector of Hugging Face is audited by the code that the example's README gives: a tiny YOLOS with random weights.

Nothing is learned here, so the boxes that count as true are those that the model itself draws on the stored images.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from palpate.annotations import Detections
from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.models.detectors.huggingface import HuggingFaceDetector
from palpate.storage.runs import RunFolder
from palpate.tasks.detection import Detection

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SIDE, COUNT = 32, 4
CONFIDENCE, OVERLAP = 0.4, 0.5
CLASSES = ("nodule", "mass")
README = Path(__file__).resolve().parents[3] / "examples" / "polyp_boxes" / "README.md"
PLAN = f"""
[model]
factory = "model.py:build"
bounds = [0, 255]

[model.preprocess]
mean = [127.5]
std = [127.5]

[data]
table = "images.csv"
boxes = "boxes.csv"

[task]
kind = "detection"
classes = ["nodule", "mass"]
head = "softmax"
suppression = 1.0
confidence = {CONFIDENCE}
overlap = {OVERLAP}

[threat]
norm = "linf"
eps = [40]

[[attacks]]
attack = "noise"
tries = 1
[[attacks]]
attack = "pgd"
steps = 10
[[attacks]]
attack = "smia"
steps = 3
[[attacks]]
attack = "pgd"
name = "vanish"
goal = "vanish"
steps = 30

[run]
layout = "contiguous"
"""


def yolos() -> torch.nn.Module:
    config = transformers.YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=[SIDE, SIDE],
        patch_size=8,
        num_detection_tokens=6,
        num_labels=len(CLASSES),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.YolosForObjectDetection(config).eval()
    # Random heads say much the same of every query; spread out, they say different things.
    with torch.no_grad():
        for part in (model.class_labels_classifier, model.bbox_predictor):
            for parameter in part.parameters():
                parameter.mul_(8)
    return model


def own(model: torch.nn.Module, images: torch.Tensor) -> Detections:
    task = Detection(len(CLASSES), confidence=CONFIDENCE, overlap=OVERLAP, suppression=1.0, head="softmax")
    with torch.no_grad():
        return task.predict(HuggingFaceDetector(model)((images - 127.5) / 127.5))


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    folder = tmp_path_factory.mktemp("yolos")
    model = yolos()
    model.save_pretrained(folder / "detector")
    images = torch.randint(0, 256, (COUNT, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1))
    found = own(model, images.float())
    files, boxes = ["file"], ["image,label,xmin,ymin,xmax,ymax"]
    for index, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy().astype(np.uint8)).save(folder / f"{index}.png")
        files.append(f"{index}.png")
        for box, label in zip(found.boxes[index] * SIDE, found.labels[index], strict=True):
            if label >= 0:
                boxes.append(f"{index}.png,{CLASSES[label]},{','.join(str(float(value)) for value in box)}")
    for name, lines in (("images.csv", files), ("boxes.csv", boxes)):
        (folder / name).write_text("\n".join(lines) + "\n")
    (code,) = re.findall(r"```python\n(.+?)```", README.read_text(), flags=re.DOTALL)
    (folder / "model.py").write_text(code)
    (folder / "plan.toml").write_text(PLAN)
    outcome = audit(load_plan(folder / "plan.toml"), folder / "run")
    assert outcome.status == "finished" and not outcome.failed
    return RunFolder(folder / "run").frame()


def test_its_own_boxes_are_right_before_an_attack(frame):
    assert len(frame["row"]) == 4 * COUNT
    assert frame["clean_right"].all() and frame["eligible"].all()
    assert (frame["clean_score"] == 1).all()


def test_the_gradient_reaches_through_the_transformer(frame):
    beaten = {name: frame["score"][frame["attack"] == name].mean() for name in ("noise", "pgd", "smia")}
    assert beaten["pgd"] < beaten["noise"]
    assert frame["success"][frame["attack"] == "pgd"].any()
    assert not frame["zero_gradient"][frame["attack"] != "noise"].any()


def test_where_boxes_vanished_none_of_them_is_found(frame):
    won = (frame["attack"] == "vanish") & frame["success"]
    assert won.any()
    for truth, found in zip(frame["truth"][won], frame["found"][won], strict=True):
        boxes, shown = np.reshape(truth, (-1, 5)), np.reshape(found, (-1, 6))
        for label, _, *box in shown[shown[:, 1] > CONFIDENCE]:
            for named, *drawn in boxes:
                assert named != label or overlap(box, drawn) < OVERLAP


def overlap(first, second) -> float:
    left, top = max(first[0], second[0]), max(first[1], second[1])
    right, bottom = min(first[2], second[2]), min(first[3], second[3])
    shared = max(0.0, right - left) * max(0.0, bottom - top)
    return shared / (sum((b[2] - b[0]) * (b[3] - b[1]) for b in (first, second)) - shared)
