"""A trained nnU-Net folder as the model of a plan: what is read, and the sentence for what cannot be."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from palpate.audit.plan.identity import encode
from palpate.audit.plan.plan import load_plan
from palpate.audit.subject.subject import Subject, load_subject
from palpate.errors import InputError, PlanError
from palpate.models.loading import load_noted
from palpate.models.nnunet import network
from palpate.models.nnunet.pipeline import NnUNet
from palpate.models.source import ModelSource
from tests.models.nnunet.cases import CASES, Case, Sums

CASE = Case(size=(9, 8, 10), of=(1.0, 1.5, 2.0), spacing=(1.5, 1.5, 1.5), folds=2, mirrors=None)
PLAN = """
title = "nnU-Net"
[model]
nnunet = "results"
bounds = [-400, 400]
[data]
nnunet = "raw"
[task]
kind = "segmentation"
structures = ["anterior", "posterior"]
[threat]
norm = "linf"
eps = [2]
[[attacks]]
attack = "bim"
"""


class Planned(Sums):
    """The network of the cases by the arguments that a plan gives."""

    def __init__(self, input_channels: int, num_classes: int, deep_supervision: bool):
        assert not deep_supervision
        super().__init__(input_channels, num_classes)


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of nnU-Net's networks, which may not be installed."""
    monkeypatch.setattr(network, "_module", lambda name: SimpleNamespace(PlainConvUNet=Planned))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A trained folder, its dataset of one labelled volume, and a plan."""
    CASE.written(tmp_path / "results")
    affine = np.diag([*CASE.of, 1.0])
    for folder, name, values in (
        ("imagesTr", "a_0000", CASE.image[0].numpy()),
        ("labelsTr", "a", CASE.decided(tmp_path / "results")),
    ):
        (tmp_path / "raw" / folder).mkdir(parents=True)
        image = nibabel.Nifti1Image(values, affine)
        image.header.set_xyzt_units("mm")
        nibabel.save(image, tmp_path / "raw" / folder / f"{name}.nii.gz")
    (tmp_path / "raw" / "dataset.json").write_text(json.dumps(CASE.dataset))
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path


def subject(root: Path) -> Subject:
    return load_subject(load_plan(root / "plan.toml"))


def test_a_plan_decides_as_the_pipeline_at_the_spacing_of_each_file(root: Path) -> None:
    loaded = subject(root)
    identity = loaded.model_identity
    images = loaded.images([0])
    with loaded.victim as victim:
        decided = victim.judge(images).argmax(1)  # type: ignore[union-attr]
    assert (decided == loaded.targets([0]).labels).all()  # type: ignore[union-attr]
    assert len(decided.unique()) == 3
    assert loaded.model_identity == identity and json.dumps(identity["inferer"])


def test_folds_and_checkpoints_are_chosen(root: Path) -> None:
    both = load_noted(ModelSource(nnunet="results"), root).module
    one = load_noted(ModelSource(nnunet="results", folds=(1,)), root).module
    assert len(both.folds) == 2 and len(one.folds) == 1  # type: ignore[arg-type]
    assert torch.equal(both.folds[1].plain, one.folds[0].plain)  # type: ignore[index, union-attr]
    digests = {ModelSource(nnunet="results", folds=folds).digest(root) for folds in (None, (0,), (1,))}
    assert len(digests) == 3


def test_a_plan_says_whether_windows_are_mirrored_and_how_far_apart_they_are(tmp_path: Path) -> None:
    Case().written(tmp_path / "results")
    path = tmp_path / "plan.toml"
    seen = []
    for fields in ("", "mirror = true\nstep_size = 0.5", "mirror = false", "step_size = 0.75"):
        path.write_text(PLAN.replace("bounds", f"{fields}\nbounds"))
        pipeline = load_plan(path).model.evaluation(tmp_path)
        assert isinstance(pipeline, NnUNet)
        seen.append((pipeline.windows.mirrors, pipeline.windows.apart, encode(pipeline.windows)["type"]))
    assert seen == [
        *[((0, 1, 2), 0.5, "Windows")] * 2, ((), 0.5, "Windows"), ((0, 1, 2), 0.75, "SteppedWindows")
    ]  # fmt: skip
    assert "8 x 8 x 8 with Gaussian weights, 0.75 of a patch apart, mirrored" in pipeline.describe()


def changed(path: Path, change: Callable[[Any], Any]) -> None:
    held = json.loads(path.read_text())
    change(held)
    path.write_text(json.dumps(held))


def configured(key: str, value: Any) -> Callable[[Path], None]:
    return lambda root: changed(
        root / "results" / "plans.json", lambda plans: plans["configurations"]["test"].update({key: value})
    )


def written(old: str, new: str) -> Callable[[Path], None]:
    return lambda root: (root / "plan.toml").write_text(PLAN.replace(old, new)) and None


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda root: (root / "results" / "plans.json").unlink(), "has no plans.json"),
        (lambda root: (root / "results" / "dataset.json").unlink(), "has no dataset.json"),
        (
            lambda root: (root / "results" / "plans.json").rename(root / "results" / "plans.pkl"),
            "is of nnU-Net v1, and palpate reads v2",
        ),
        (
            lambda root: changed(root / "results" / "plans.json", lambda plans: plans.pop("configurations")),
            "has no 'configurations'",
        ),
        (
            lambda root: changed(root / "results" / "plans.json", lambda p: p.update(image_reader_writer="MyIO")),
            "reads images with MyIO",
        ),
        (configured("previous_stage", "3d_lowres"), "second stage of a cascade"),
        (configured("normalization_schemes", ["Mine"]), "normalises with Mine"),
        (configured("resampling_fn_data", "resample_torch_fornnunet"), "resamples with resample_torch_fornnunet"),
        (configured("architecture", {"network_class_name": "os.system"}), "names the network os.system"),
        (
            configured(
                "architecture",
                {
                    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                    "arch_kwargs": {"conv_op": "os.system"},
                    "_kw_requires_import": ["conv_op"],
                },
            ),
            "conv_op = os.system, which is not a layer",
        ),
        (written('nnunet = "results"', 'nnunet = "results"\nfolds = [0, 4]'), "lacks fold_4 with checkpoint_final.pth"),
        (
            written('nnunet = "results"', 'nnunet = "results"\ncheckpoint = "checkpoint_best.pth"'),
            'checkpoint = "checkpoint_final.pth"',
        ),
        (written('["anterior", "posterior"]', '["posterior", "anterior"]'), "anterior, posterior. Give these names"),
        (written("[threat]", "exclusive = false\n[threat]"), "Set task.exclusive = true"),
        (
            lambda root: changed(root / "raw" / "dataset.json", lambda said: said.update(channel_names={"0": "T2"})),
            "names the channels T2, and this nnU-Net was trained on channel0",
        ),
    ],
)
def test_what_cannot_be_audited_is_said_in_a_sentence(root: Path, harm: Callable[[Path], Any], says: str) -> None:
    harm(root)
    with pytest.raises(InputError) as error:
        subject(root)
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[data]", "[model.preprocess]\nstd = [2]\n[data]", "already describes the preprocessing"),
        ("[data]", "[model.inferer]\nsize = [8, 8, 8]\n[data]", "already describes the preprocessing"),
        ('nnunet = "results"', 'nnunet = "results"\nfolds = [0, 0]', "name each fold once"),
        ('nnunet = "results"', 'factory = "m.py:f"\nfolds = [0]', "belongs to a trained folder of nnU-Net"),
        ('nnunet = "results"', 'factory = "m.py:f"\nmirror = false', "belongs to a trained folder of nnU-Net"),
        ('nnunet = "results"', 'factory = "m.py:f"\nstep_size = 0.5', "belongs to a trained folder of nnU-Net"),
        ('nnunet = "results"', 'nnunet = "results"\nstep_size = 1.5', "model.step_size: "),
    ],
)
def test_fields_that_do_not_fit_are_said(root: Path, old: str, new: str, says: str) -> None:
    (root / "plan.toml").write_text(PLAN.replace(old, new, 1))
    with pytest.raises((PlanError, InputError), match=says):
        load_plan(root / "plan.toml")


class Acting:
    """What a malicious checkpoint holds."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, ("made", 0o777, True)


def test_a_checkpoint_that_acts_is_loaded_only_with_the_flag(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "results" / "fold_0" / "checkpoint_final.pth"
    held = torch.load(path, weights_only=False)
    torch.save({**held, "logging": Acting()}, path)
    monkeypatch.chdir(root)
    with pytest.raises(InputError, match="--allow-pickle"):
        subject(root)
    assert not (root / "made").exists()
    assert load_subject(load_plan(root / "plan.toml"), allow_pickle=True).victim


def test_the_regions_of_a_folder_are_its_outputs(tmp_path: Path) -> None:
    from palpate.models.nnunet.folder import read_trained

    trained = read_trained(CASES["regions"].written(tmp_path / "model"))
    assert (trained.structures, trained.heads, trained.painted) == (("whole", "core", "active"), 3, (1, 2, 3))
