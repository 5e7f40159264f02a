"""Bundles in the form of MONAI's zoo, from `palpate init` to the records of an audit."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from palpate.audit.plan.plan import Plan, load_plan
from palpate.audit.run.runner import audit
from palpate.audit.starter.plan import starting_plan, unfinished
from palpate.storage.runs import RunFolder
from tests.audit import tiny, tiny_dense
from tests.models import bundles_made, torchvision_beside

CHEAP = """
[threat]
norm = "linf"
eps = [{eps}]

[[attacks]]
attack = "pgd"
steps = 3

[[attacks]]
attack = "noise"
tries = 1

[run]
batch = 4
{run}

[quality]
images = 0

[stability]
images = 0

[survival]
after = ["8bit"]
"""


def started(folder: Path, eps: int, run: str = "") -> tuple[Plan, str]:
    """The plan that init writes, with cheap attacks and more fields of `[run]`: the rest of it is unedited."""
    for name in ("model.py", "weights.safetensors", "plan.toml"):
        (folder / name).unlink(missing_ok=True)
    text = starting_plan(folder, folder)
    assert not unfinished(text), text
    (folder / "plan.toml").write_text(text.partition("[threat]")[0] + CHEAP.format(eps=eps, run=run))
    return load_plan(folder / "plan.toml"), text


def carried_out(plan: Plan) -> RunFolder:
    outcome = audit(plan, plan.root / "run")
    assert outcome.status == "finished" and not outcome.failed, outcome
    return RunFolder(plan.root / "run")


def test_a_bundle_of_segmentation_with_windows(tmp_path: Path) -> None:
    tiny_dense.write(tmp_path, "volume")
    (tmp_path / "images.csv").unlink()
    (tmp_path / "boxes.csv").unlink()
    names = [f"{index}{end}" for index in (0, 2, 4) for end in (".nii.gz", "-mask.nii.gz")]
    volumes = [torch.from_numpy(np.asarray(nibabel.load(tmp_path / name).dataobj)).float() for name in names]
    inputs = ((torch.stack(volumes[::2])[:, None] - 60) / 120).clamp(0, 1)
    bundle = bundles_made.segmentation(
        tmp_path / "cube_segmentation", inputs[..., :8], torch.stack(volumes[1::2]).long()[..., :8]
    )
    plan, text = started(tmp_path, 40)
    assert plan.model.bundle == bundle.name and plan.task.resample  # type: ignore[union-attr]
    assert plan.model.preprocess.steps == ({"resample": (1, 1, 1.5)}, {"window": (60, 180)})
    inferer = plan.model.inferer
    assert (inferer.size, inferer.overlap, inferer.mode, inferer.padding) == (
        (16, 16, 16),
        0.25,
        "gaussian",
        "replicate",
    )
    assert "# The bundle's metadata: 1 channels; values from 0 to 1; outputs background, cube" in text
    frame = carried_out(plan).frame()
    assert frame["eligible"].any() and frame["success"][frame["attack"] == "pgd"].any()


def test_a_bundle_of_classification(tmp_path: Path) -> None:
    tiny.write(tmp_path)
    pictures = [np.asarray(Image.open(tmp_path / f"image{index}.png")) for index in range(13)]
    bundles_made.classification(
        tmp_path / "tiny_classification",
        torch.from_numpy(np.stack(pictures))[:, None] / 255, torch.arange(13) % 3,
    )  # fmt: skip
    plan, _ = started(tmp_path, 20)
    turned, scaled = plan.model.preprocess.steps or ()
    assert turned == {"reorder": {"axes": (1, 0)}} and scaled["rescale"]["intercept"] == -1
    frame = carried_out(plan).frame()
    assert frame["clean_right"].mean() > 0.8, "it sees the pictures as it was taught"
    assert frame["success"][frame["attack"] == "pgd"].any()


@pytest.mark.skipif(
    torchvision_beside.load() is None, reason="MONAI's RetinaNet needs torchvision, which is not installed"
)
def test_a_bundle_of_detection(tmp_path: Path) -> None:
    tiny_dense.write(tmp_path, "detection")
    (tmp_path / "volumes.csv").unlink()
    (tmp_path / "images.csv").write_text("file\n" + "".join(f"{index}.png\n" for index in range(6)))
    for path in [*tmp_path.glob("*-mask.png"), *tmp_path.glob("*.nii.gz")]:
        path.unlink()
    bundles_made.detection(tmp_path / "square_detection")
    plan, text = started(tmp_path, 20, 'at_chance = "allow"')  # its weights are random
    assert plan.model.preprocess.steps == ({"window": (0, 255)},)
    assert "# MONAI reads PNG and JPEG with x first" in text
    frame = carried_out(plan).frame()
    assert len(frame["image"]) == 12 and set(frame["attack"]) == {"pgd", "noise"}
