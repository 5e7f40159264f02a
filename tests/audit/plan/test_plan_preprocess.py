"""`[model.preprocess]` of plans: three ways, each alone, each fault by its name and line."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from palpate.audit.plan.identity import digest
from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.sections.preprocess import PreprocessSection
from palpate.errors import InputError, PlanError
from palpate.preprocess import (
    CentreCrop,
    Chain,
    Clip,
    CropToBody,
    Invert,
    MonaiChain,
    Normalise,
    Pad,
    PerImage,
    Preprocess,
    Reorder,
    Resample,
    Rescale,
    Resize,
    ToRGB,
    Window,
)

PLAN = """
[model]
factory = "model.py:build"
bounds = [-1024, 3071]

[model.preprocess]
{preprocess}

[data]
folders = "images"

[task]
kind = "binary"
classes = ["healthy", "ill"]
disease = ["ill"]

[threat]
norm = "linf"
eps = ["{eps}"]

[[attacks]]
attack = "pgd"
"""


def section(preprocess: str, eps: str = "1%") -> PreprocessSection:
    return parse_plan(PLAN.format(preprocess=preprocess, eps=eps), Path("plan.toml")).model.preprocess


def refusal(preprocess: str, eps: str = "1%") -> str:
    with pytest.raises(PlanError) as caught:
        section(preprocess, eps)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "step"),
    [
        ("window = [-160, 240]", Window(-160.0, 240.0)),
        ("window = {centre = 40, width = 400}", Window(-160.0, 240.0)),
        ("window = {low = -160, high = 240.0}", Window(-160.0, 240.0)),
        ("clip = [-1024, 3071]", Clip(-1024.0, 3071.0)),
        ("invert = [0, 255]", Invert(0.0, 255.0)),
        ("rescale = {slope = 2, intercept = -1024}", Rescale(2.0, -1024.0)),
        ("rescale = {slope = 0.5}", Rescale(0.5)),
        ("resample = [1, 1.5]", Resample((1.0, 1.5))),
        ("resize = [224, 192]", Resize((224, 192))),
        ('resize = {size = [8, 8], mode = "cubic", antialias = false}', Resize((8, 8), "cubic", False)),
        ("pad = [256, 256]", Pad((256, 256))),
        ("pad = {size = [256, 256], value = -1024}", Pad((256, 256), -1024.0)),
        ("centre_crop = [8, 9]", CentreCrop((8, 9))),
        ("crop_to_body = {threshold = -500, margin = 4, size = [64, 64]}", CropToBody(-500.0, 4, (64, 64))),
        ("rgb = 3", ToRGB(3)),
        ("rgb = {}", ToRGB(3)),
        ("normalise = {mean = [0.5], std = [0.25]}", Normalise((0.5,), (0.25,))),
        ('per_image = "minmax"', PerImage("minmax")),
        ('per_image = {how = "zscore", nonzero = true}', PerImage("zscore", nonzero=True)),
        ("reorder = {axes = [1, 0], flip = [0]}", Reorder((1, 0), (0,))),
    ],
)
def test_every_step_and_short_form(written: str, step: Any) -> None:
    (read,) = section(f"steps = [{{{written}}}]").build().steps  # type: ignore[union-attr]
    assert read == step
    probe = torch.rand(1, 1, 12, 12)
    if not isinstance(step, Resample):
        assert torch.equal(read(probe), step(probe))


def test_numbers_of_a_plan_have_one_identity() -> None:
    """`240` and `240.0` are the same window."""
    whole, broken = (section(f"steps = [{{window = [-160, {high}]}}]").build() for high in ("240", "240.0"))
    assert whole == broken and digest(whole) == digest(broken)


def test_a_chain_keeps_its_order_and_tells_its_window() -> None:
    read = section("steps = [{window = [-160, 240]}, {resize = [8, 8]}, {rgb = 3}]", eps="0.5% of window")
    assert read.build() == Chain((Window(-160.0, 240.0), Resize((8, 8)), ToRGB(3)))
    assert read.window_values == (-160.0, 240.0)
    plan = parse_plan(
        PLAN.format(preprocess="steps = [{window = [-160, 240]}]", eps="0.5% of window"), Path("plan.toml")
    )
    assert plan.radii == (2.0,)
    assert "no window" in refusal("mean = [0.0]", eps="0.5% of window")


def test_the_four_fields_keep_their_meaning_and_identity() -> None:
    read = section("size = [8, 8]\nchannels = 3\nmean = [127.5]\nstd = [127.5]")
    assert read.build() == Preprocess((8, 8), 3, (127.5,), (127.5,)) and read.window_values is None
    assert PreprocessSection().build() == Preprocess()


@pytest.mark.parametrize(
    ("preprocess", "text"),
    [
        ("steps = [{rgb = 3}, {window = [40, 40]}]", r"line 7: model.preprocess.steps\[1\].window: .*zero width"),
        ("steps = [{rgb = 3}, {window = {centre = 40, width = 0}}]", r"steps\[1\].window: .*zero width"),
        ("steps = [\n{rgb = 3},\n{windw = [1, 2]}]", r"steps\[1\].windw: there is no such step. Did you mean 'window'"),
        ("steps = [{window = {centre = 40}}]", r"steps\[0\].window.centre: there is no such field"),
        ('steps = [{window = ["a", 3]}]', r"steps\[0\].window: it must be a number"),
        ("steps = [{window = 3}]", r"steps\[0\].window: it cannot be written like this. For example: window ="),
        ("steps = [{rgb = 2.5}]", r"steps\[0\].rgb: it must be a whole number"),
        ("steps = [{rgb = true}]", r"steps\[0\].rgb: it must be a whole number"),
        ("steps = [{resize = [8.5, 8]}]", r"steps\[0\].resize: it must be a list of whole numbers"),
        ('steps = [{resize = {size = [8, 8], mode = "linar"}}]', r"resize.mode: \"linar\" is not.* 'linear'"),
        ('steps = [{resize = {mode = "cubic"}}]', r"resize: its size is missing"),
        ('steps = [{per_image = "zscor"}]', r"per_image: \"zscor\" is not one of its values. Did you mean 'zscore'"),
        ("steps = [{resample = {spacing = [1, 1], of = [1, 1]}}]", r"resample.of: there is no such field"),
        ("steps = [{normalise = {mean = [1], std = [0]}}]", r"normalise.std: \[0\.0\] must be above zero"),
        ("steps = [{rgb = 3, clip = [0, 1]}]", r"steps\[0\]: each step is one key, and this one has rgb, clip"),
        ("steps = [{}]", r"steps\[0\]: each step is one key, and this one has none"),
        ("steps = [3]", r"steps\[0\]: 3 must be a table in braces"),
        (
            "steps = [{rgb = 3}]\nmean = [0.0]",
            r"preprocess.mean: steps is given, which describes the whole preprocessing",
        ),
        ('steps = [{rgb = 3}]\nmonai = "t.py:f"', r"preprocess.monai: steps is given"),
        ('monai = "t.py:f"\nsize = [8, 8]', r"preprocess.size: monai is given"),
        ("straight_through = true", r"preprocess.straight_through: .*give monai"),
        ('monai = "t.py"', r'preprocess.monai: "t.py" is not of the form'),
        ('monai = "package.module:f"', r"preprocess.monai: .*file.py:function"),
    ],
)
def test_every_fault_is_named(preprocess: str, text: str) -> None:
    said = refusal(preprocess)
    assert re.search(text, said), said
    assert "\n" not in said


def test_two_faults_are_both_told() -> None:
    said = refusal("steps = [{rgb = 0}, {window = [2, 1]}]")
    assert "steps[0].rgb" in said and "steps[1].window" in said


TRANSFORMS = """
from monai.transforms import Compose, HistogramNormalize, RandFlip, ScaleIntensity

def deployed():
    return Compose([ScaleIntensity(), HistogramNormalize()])

def training():
    return [RandFlip(0.5)]

def number():
    return 3

def broken():
    raise KeyError("window")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "transforms.py").write_text(TRANSFORMS)
    return tmp_path


def test_monai_transforms_come_from_the_users_file(folder: Path) -> None:
    read = section('monai = "transforms.py:deployed"\nstraight_through = true')
    made = read.build(folder)
    assert isinstance(made, MonaiChain) and made.straight_through and read.window_values is None
    assert made.describe().startswith(
        "MONAI: ScaleIntensity, HistogramNormalize (transforms.py:deployed); straight-through"
    )
    images = torch.rand(2, 1, 8, 8, requires_grad=True)
    assert torch.autograd.grad(made(images).sum(), images)[0].any()
    assert digest(read.build(folder)) == digest(made)
    (folder / "transforms.py").write_text(TRANSFORMS + "\n# changed\n")
    assert digest(read.build(folder)) != digest(made)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("training", "RandFlip of transforms.py:training uses random numbers"),
        ("number", "gives int, which is not a transform"),
        ("broken", "line 14, in broken failed with KeyError"),
        ("deploid", "there is no function 'deploid'. Did you mean 'deployed'"),
    ],
)
def test_what_the_users_file_gives_is_checked(folder: Path, name: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        section(f'monai = "transforms.py:{name}"').build(folder)
    said = str(caught.value)
    assert said.startswith("preprocess.monai: ") and text in said and "model." not in said


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"preprocess\.monai: .*transforms\.py does not exist"):
        section('monai = "transforms.py:f"').build(tmp_path)
