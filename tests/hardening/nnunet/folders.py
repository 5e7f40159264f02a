"""A tiny nnU-Net on the disk: a trained folder, a raw dataset with other volumes, and a plan that hardens it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import torch

from palpate.audit.plan.plan import Plan, load_plan
from palpate.models.nnunet import network
from palpate.models.nnunet.folder import read_trained
from palpate.models.nnunet.network import Folds, Told
from palpate.models.nnunet.pipeline import pipeline_of
from tests.models.nnunet.cases import Case, Sums

CASE = Case(size=(9, 8, 10), of=(1.0, 1.5, 2.0), patch=(6, 8, 8), spacing=(1.5, 1.5, 1.5), mirrors=(0, 2))
PLAN = """
title = "nnU-Net"
[model]
nnunet = "results"
bounds = [-4000, 4000]
[data]
nnunet = "raw"
split = "test"
[task]
kind = "segmentation"
structures = ["anterior", "posterior"]
[threat]
norm = "linf"
eps = [60]
[[attacks]]
attack = "bim"
steps = 2
[run]
batch = 2
[quality]
images = 0
[harden]
epochs = 2
batch = 2
rate = 0.1
recipe = "fast"
lose_at_most = 0.5
judge_settings = {steps = 2}
[harden.data]
split = "train"
"""
TRAINED, TESTED = 6, 2


class Planned(Sums):
    """The network of the cases by the arguments that a plan gives."""

    def __init__(self, input_channels: int, num_classes: int, deep_supervision: bool):
        assert not deep_supervision
        super().__init__(input_channels, num_classes)


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the package of nnU-Net's networks, which may not be installed."""
    monkeypatch.setattr(network, "_module", lambda name: SimpleNamespace(PlainConvUNet=Planned))


def write(root: Path, case: Case = CASE, plan: str = PLAN) -> Plan:
    """Write everything; volumes differ in size, spacing and scale."""
    case.written(root / "results")
    for index in range(TRAINED + TESTED):
        split = "Tr" if index < TRAINED else "Ts"
        image, labels, spacing = volume(root, case, index)
        for folder, name, values in (("images", f"{index}_0000", image), ("labels", f"{index}", labels)):
            place = root / "raw" / f"{folder}{split}"
            place.mkdir(parents=True, exist_ok=True)
            file = nibabel.Nifti1Image(values, np.diag([*spacing, 1.0]))
            file.header.set_xyzt_units("mm")
            nibabel.save(file, place / f"{name}.nii.gz")
    (root / "raw" / "dataset.json").write_text(json.dumps(case.dataset))
    (root / "plan.toml").write_text(plan)
    return load_plan(root / "plan.toml")


def volume(root: Path, case: Case, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], tuple[float, ...]]:
    """One volume of one channel (x, y, z), what another network finds in it, and its spacing."""
    spacing = (case.of[0], case.of[1] * (1 + 0.1 * (index % 2)), *case.of[2:])
    drawn = np.random.default_rng(index)
    image = (1 + index) * (case.image + torch.from_numpy(drawn.normal(0, 4, (1, *case.size))).float())
    pipeline = pipeline_of(read_trained(root / "results"), Told("test", case.mirrors or ())).at(spacing)
    truth = Sums(1, case.heads, seed=7)
    with torch.no_grad():
        truth.beside.zero_()
        logits = pipeline(image[None], Folds([truth]))[0]
    labels = (logits > 0).sum(0) if case.order else logits.argmax(0)
    return image[0].numpy(), labels.numpy().astype(np.uint8), spacing
