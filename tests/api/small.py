"""The smallest audit: twelve grey images, one attack without random numbers, nothing after it."""

import tomllib
from pathlib import Path

from tests.audit import tiny

TEXT = """
title = "Small"
[model]
factory = "model.py:build"
weights = "weights.safetensors"
bounds = [0, 255]
[model.preprocess]
mean = [127.5]
std = [127.5]
[data]
table = "labels.csv"
group = "patient"
where = {split = "test"}
[task]
kind = "multiclass"
classes = ["none", "mild", "severe"]
[threat]
norm = "linf"
eps = ["6/255", "16/255"]
[[attacks]]
attack = "BIM"
steps = 3
[survival]
saved = false
after = []
[export]
images = "all"
[stability]
images = 0
[quality]
images = 0
"""


def folder(place: Path) -> dict:
    """Write images, weights and `plan.toml`; gives the plan as a dict."""
    tiny.write(place, TEXT)
    return tomllib.loads(TEXT)
