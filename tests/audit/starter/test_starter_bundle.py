"""What `palpate init` makes of a bundle's transforms: steps of a plan, or MONAI's own, with what blocks gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palpate.audit.plan.plan import Plan, parse_plan
from palpate.audit.starter.plan import starting_plan, unfinished
from palpate.errors import InputError
from tests.audit import tiny
from tests.data import volumes
from tests.models import bundles_made

KEY = {"keys": "@image_key"}


def image(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, "keys": "@image_key", **arguments}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    tiny.write(tmp_path)
    for name in ("model.py", "weights.safetensors", "plan.toml"):
        (tmp_path / name).unlink()
    return tmp_path


def started(folder: Path, *transforms: dict[str, Any], described: Any = None, **more: Any) -> tuple[Plan, str]:
    bundles_made.write(folder / "tiny", list(transforms), described, network_def={"_target_": "UNet"}, **more)
    text = starting_plan(folder, folder)
    return parse_plan(text, folder / "plan.toml"), text


def test_transforms_of_the_zoo_become_steps_in_their_order(pictures: Path) -> None:
    plan, text = started(
        pictures,
        image("Resized", spatial_size=[12, 8], mode=["bilinear"]),
        image("ScaleIntensityRangePercentilesd", lower=1, upper=99, b_min=0.0, b_max=1.0, clip=True, channel_wise=True),
        image("ScaleIntensityd", minv=-1.0, maxv=1.0),
        image("NormalizeIntensityd", nonzero="True"),
        image("NormalizeIntensityd", subtrahend=[0.5], divisor=[0.25]),
        image("Resized", spatial_size=[99, 99], _disabled_="$not @fast", fast=True),
        image("ResizeWithPadOrCropd", spatial_size=[16, 16]),
        fast=False,
    )
    assert not unfinished(text)
    assert plan.model.preprocess.steps == (
        {"reorder": {"axes": (1, 0)}},
        {"resize": {"size": (12, 8), "mode": "linear", "antialias": False}},
        {"per_image": {"how": "percentile", "low": 1.0, "high": 99.0, "channelwise": True}},
        {"per_image": {"how": "minmax"}},
        {"rescale": {"slope": 2.0, "intercept": -1.0}},
        {"per_image": {"how": "zscore", "nonzero": True}},
        {"normalise": {"mean": (0.5,), "std": (0.25,)}},
        {"pad": (16, 16)},
        {"centre_crop": (16, 16)},
    )
    assert "# The bundle has no network_data_format in metadata.json" in text


def test_a_transform_that_blocks_gradients_is_named(pictures: Path) -> None:
    plan, text = started(pictures, bundles_made.window(0, 255), image("HistogramNormalized"))
    assert plan.model.preprocess.monai == "tiny" and plan.model.preprocess.straight_through
    assert "# CHECK: a plan has no steps for HistogramNormalized" in text
    assert "HistogramNormalize blocks gradients (its result has no gradient)" in text.replace("Normalized", "Normalize")
    chain = plan.model.preprocess.build(pictures)
    assert chain.window == (0, 255) and "HistogramNormalize" in chain.describe()


def test_a_transform_with_a_gradient_needs_no_straight_through(pictures: Path) -> None:
    plan, text = started(pictures, image("CropForegroundd", source_key="image"), bundles_made.window(0, 255))
    assert plan.model.preprocess.monai == "tiny" and not plan.model.preprocess.straight_through
    assert "# straight_through = true" in text


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (image("Lambdad", func="$lambda x: x / 255"), "Lambdad of .*tiny needs code for func"),
        (image("scripts.mine.Scaled"), "Scaled of .*tiny is not a transform of MONAI"),
        (image("RandFlipd", prob=0.5), "RandFlipd of tiny uses random numbers"),
        (image("Resized", size=[3]), r"Resized of .*tiny cannot be made \(TypeError"),
    ],
)
def test_transforms_that_cannot_be_used_are_a_question(pictures: Path, transform: dict[str, Any], said: str) -> None:
    plan, text = started(pictures, transform)
    ((_, asked),) = unfinished(text)
    with pytest.raises(InputError, match=said) as caught:
        plan.model.preprocess.build(pictures)
    assert asked[:60] in str(caught.value) or "RandFlip" in asked


def test_a_list_of_transforms_that_is_code_is_a_question(pictures: Path) -> None:
    composed = {"_target_": "Compose", "transforms": "$scripts.transforms()"}
    _, text = started(pictures, preprocessing=composed)
    assert ["preprocessing is not a plain list of transforms" in asked for _, asked in unfinished(text)] == [True]


def test_volumes_in_another_orientation_are_a_question(tmp_path: Path) -> None:
    labels = ["file,label"]
    for number in range(4):
        volumes.write(tmp_path / f"{number}.nii.gz", volumes.scan(4, 5, 6, seed=number))
        labels.append(f"{number}.nii.gz,{number % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(labels) + "\n")
    turned = image("Orientationd", axcodes="RAS"), image("Orientationd", axcodes="LPS")
    asked = [[question for _, question in unfinished(started(tmp_path, one)[1])] for one in turned]
    assert [] in asked, "the files have one of the two orientations"
    assert any("save images and masks so" in text for questions in asked for text in questions)


def segmented(folder: Path) -> Path:
    for number in range(3):
        case = f"{number}.nii.gz"
        volumes.write(folder / "images" / case, volumes.scan(4, 5, 6, seed=number))
        mask = np.zeros((4, 5, 6), np.int16)
        mask[1, 1, 1], mask[2, 2, 2] = 1, 2
        volumes.write(folder / "masks" / case, mask)
    return folder


def told(modality: str, *names: str) -> dict[str, Any]:
    outputs = {"pred": {"channel_def": {str(place): name for place, name in enumerate(names)}}}
    return {"inputs": {"image": {"num_channels": 1, "modality": modality}}, "outputs": outputs}


@pytest.mark.parametrize(("modality", "ours"), [("CT", "ct"), ("MRI", "mr")])
def test_names_and_modality_are_those_of_the_metadata(tmp_path: Path, modality: str, ours: str) -> None:
    said = told(modality, "background", "anterior", "posterior")
    plan, text = started(segmented(tmp_path), described=said)
    assert plan.task.names == ("anterior", "posterior") and plan.data.modality == ours
    assert f'modality = "{ours}"  # CHECK: by the bundle' in text and 'goal = "erase: anterior"' in text


def test_names_for_another_number_of_structures_are_not_taken(tmp_path: Path) -> None:
    plan, text = started(segmented(tmp_path), described=told("n/a", "background", "liver"))
    assert plan.task.names == ("1", "2") and plan.data.modality is None
    assert '# modality = "ct"  # for its artefacts' in text, "an example that volumes can be"
