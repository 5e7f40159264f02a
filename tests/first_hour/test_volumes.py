"""Volumes as people have them: `palpate init`, then `palpate audit`, without an edit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from palpate.audit.plan.plan import load_plan
from palpate.cli import main
from palpate.storage.runs import RunFolder
from tests.data.volumes import changed, scan, write

# Bright voxels are the structure; it takes planes as well as volumes, of any number of channels.
MODEL = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.steep = torch.nn.Parameter(torch.tensor(20.0))

    def forward(self, images):
        assert images.ndim == {axes}, images.shape
        bright = (images.mean(1, keepdim=True) - 0.5) * self.steep
        return torch.cat([-bright, bright], 1)

def build():
    return Net()
"""


def voxels(*shape: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Dark noise with a bright block, and where the block is."""
    mask = np.zeros(shape, np.uint8)
    mask[2:6, 2:6] = 1
    return (scan(*shape, seed=seed) % 50 + 200 * mask).astype(np.float32), mask


def lay(folder: Path, images: list[np.ndarray], masks: list[np.ndarray]) -> None:
    lines = ["file,mask"]
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        write(folder / f"img{number}.nii.gz", image)
        write(folder / f"seg{number}.nii.gz", mask)
        lines.append(f"img{number}.nii.gz,seg{number}.nii.gz")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def model(folder: Path, axes: int) -> None:
    (folder / "model.py").write_text(MODEL.replace("{axes}", str(axes)))


def status(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def few(plan: Path) -> None:
    """One quick attack in place of the proposed ones."""
    text = plan.read_text()
    quick = '[[attacks]]\nattack = "fgsm"\n[quality]\nimages = 0\n[stability]\nimages = 0\n'
    plan.write_text(text[: text.index("[[attacks]]")] + quick)


def audited(folder: Path) -> RunFolder:
    """Both commands; only the attacks are cut short."""
    assert status("init", folder) == 0
    few(folder / "plan.toml")
    assert status("audit", folder / "plan.toml", "--quiet") == 0
    return RunFolder(folder / "runs" / "plan")


def test_a_decathlon_set_of_four_channels(tmp_path: Path) -> None:
    pairs = []
    for number in range(4):
        image, mask = voxels(8, 8, 6, seed=number)
        write(tmp_path / f"img{number}.nii.gz", np.stack([image] * 4, axis=-1).astype(np.int16))
        write(tmp_path / f"seg{number}.nii.gz", mask)
        pairs.append({"image": f"./img{number}.nii.gz", "label": f"./seg{number}.nii.gz"})
    listed = {"training": pairs, "test": [], "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}}
    (tmp_path / "dataset.json").write_text(json.dumps(listed | {"labels": {"0": "background", "1": "edema"}}))
    model(tmp_path, 5)
    run = audited(tmp_path)
    assert len(run.frame()["image"]) > 0


@pytest.mark.parametrize("axes", [(8, 8, 1), (8, 8)])
def test_slices_go_to_a_network_of_two_dimensions(tmp_path: Path, axes: tuple[int, ...]) -> None:
    made = [voxels(*axes, seed=number) for number in range(4)]
    lay(tmp_path, [image.astype(np.int16) for image, _ in made], [mask for _, mask in made])
    model(tmp_path, 4)
    assert len(audited(tmp_path).frame()["image"]) > 0


def test_a_background_of_nan(tmp_path: Path) -> None:
    made = [voxels(8, 8, 6, seed=number) for number in range(4)]
    for image, _ in made:
        image[:, :, 0] = np.nan
    masks = [mask * ~np.isnan(image) for image, mask in made]
    lay(tmp_path, [image for image, _ in made], [mask.astype(np.uint8) for mask in masks])
    model(tmp_path, 5)
    audited(tmp_path)
    plan = load_plan(tmp_path / "plan.toml")
    assert plan.data.nan == plan.model.bounds[0] == 0


def test_without_a_value_the_sentence_names_the_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [voxels(8, 8, 6, seed=number) for number in range(4)]
    for image, _ in made:
        image[0, 0, 0] = np.nan
    lay(tmp_path, [image for image, _ in made], [mask for _, mask in made])
    model(tmp_path, 5)
    assert status("init", tmp_path) == 0
    plan = tmp_path / "plan.toml"
    plan.write_text("".join(line for line in plan.read_text().splitlines(True) if not line.startswith("nan =")))
    capsys.readouterr()
    assert status("audit", plan) == 2
    err = capsys.readouterr().err
    assert "img0.nii.gz holds NaN in 1 of 384 voxels" in err and "nan = 0" in err and "Traceback" not in err


def test_bounds_that_are_missed_by_a_little_look_different(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [voxels(8, 8, 6, seed=number) for number in range(4)]
    for image, _ in made:
        image[0, 0, 0] = -1024.0004
    lay(tmp_path, [image for image, _ in made], [mask for _, mask in made])
    model(tmp_path, 5)
    assert status("init", tmp_path) == 0
    plan = tmp_path / "plan.toml"
    held = load_plan(plan).model.bounds
    assert held[0] == float(np.float32(-1024.0004)), "the proposal holds every value"
    few(plan)
    plan.write_text(plan.read_text().replace(str(held[0]), "-1024"))
    capsys.readouterr()
    assert status("audit", plan) == 2
    err = capsys.readouterr().err
    assert "-1024.0004" in err and "bounds" in err and "-1024 to" in err


def test_what_a_file_holds_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, _ = voxels(8, 8, 6, seed=0)
    image[0, 0, 0] = -1024.0004
    image[1, 1, 1] = np.nan
    path = changed(write(tmp_path / "v.nii", image), "descrip", b"")
    assert status("describe", path) == 0
    out = capsys.readouterr().out
    assert "minimum    -1024.00037" in out and "maximum" in out and "NaN        1 of 384 voxels" in out
