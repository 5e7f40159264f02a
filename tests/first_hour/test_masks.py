"""Masks of the kinds that people bring: `init` says how they are stored, and `audit` reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from palpate.audit.plan.plan import load_plan
from palpate.audit.plan.tables import load_table
from palpate.cli import main
from palpate.storage.runs import RunFolder
from tests.data.test_mask_images import VOC, palette

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    '''What is brighter than the image's mean is foreground.'''

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(8.0))

    def forward(self, x):
        above = self.scale * (x.mean(1, keepdim=True) - x.mean())
        return torch.cat([-above, above], 1)

def build():
    return Net()
"""


def labels(number: int) -> np.ndarray:
    rows, columns = np.mgrid[:32, :32]
    return ((rows - 12) ** 2 + (columns - 14 - number) ** 2 < 60).astype(np.uint8)


def two(number: int) -> np.ndarray:
    return np.where(np.roll(labels(number), 9, axis=0) > 0, 2, labels(number)).astype(np.uint8)


def voc(path: Path, number: int) -> None:
    palette(path, two(number), VOC)


def one_bit(path: Path, number: int) -> None:
    Image.fromarray(labels(number) > 0).save(path)


def fax(path: Path, number: int) -> None:
    Image.fromarray(labels(number) > 0).save(path, compression="group4")


def grey(path: Path, number: int) -> None:
    Image.fromarray(labels(number) * 255).save(path)


def jpeg(path: Path, number: int) -> None:
    Image.fromarray(labels(number) * 255).convert("RGB").save(path, quality=75)


def smooth(path: Path, number: int) -> None:
    Image.fromarray(labels(number) * 255).resize((64, 64), Image.Resampling.BICUBIC).resize((32, 32)).save(path)


def deep(path: Path, number: int) -> None:
    tifffile.imwrite(path, labels(number).astype(np.uint16) * 4095)


def colours(path: Path, number: int) -> None:
    Image.fromarray(np.array([[0, 0, 0], [0, 255, 0], [255, 0, 0]], np.uint8)[two(number)]).save(path)


KINDS = {
    "palette": (voc, "png", "values = [1, 2]"),
    "palette gif": (voc, "gif", "values = [1, 2]"),
    "one bit": (one_bit, "png", "values = [1]"),
    "one bit tiff": (fax, "tif", "values = [1]"),
    "gif": (grey, "gif", "values = [255]"),
    "bmp": (grey, "bmp", "values = [255]"),
    "jpeg": (jpeg, "jpg", "threshold = 128"),
    "smooth": (smooth, "png", "threshold = 128"),
    "16 bit tiff": (deep, "tif", "values = [4095]"),
    "colours": (colours, "png", "values = [0x00ff00, 0xff0000]"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_recognised_and_read(kind: str, tmp_path: Path) -> None:
    draw, suffix, line = KINDS[kind]
    folder = made(tmp_path, kind)
    plan, table = proposed(folder)
    assert line in plan.text
    expected = two if draw in (voc, colours) else labels
    for row, case in enumerate(table):
        held = table.annotation(row).labels
        assert held is not None and held.reshape(32, 32).dtype == np.int64
        np.testing.assert_array_equal(held.reshape(32, 32), expected(int(Path(case.name).stem)), err_msg=suffix)


def made(root: Path, kind: str) -> Path:
    """Six images with masks and a model."""
    draw, suffix, _ = KINDS[kind]
    (root / "pictures").mkdir()
    (root / "drawn").mkdir()
    lines = ["file,mask"]
    for number in range(6):
        shown = two(number) if draw in (voc, colours) else labels(number)
        noise = np.random.default_rng(number).integers(0, 20, shown.shape)
        Image.fromarray((shown * 110 + noise + 5).astype(np.uint8)).save(root / f"pictures/{number}.png")
        draw(root / f"drawn/{number}.{suffix}", number)
        lines.append(f"pictures/{number}.png,drawn/{number}.{suffix}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    (root / "model.py").write_text(MODEL)
    return root


def proposed(folder: Path):
    with pytest.raises(SystemExit) as end:
        main(["init", str(folder)])
    assert not end.value.code
    plan = load_plan(folder / "plan.toml")
    return plan, load_table(plan)


def test_an_audit_of_jpeg_masks_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made(tmp_path, "jpeg")
    plan, _ = proposed(folder)
    quick = '[[attacks]]\nattack = "fgsm"\n[quality]\nimages = 0\n[stability]\nimages = 0\n'
    text = plan.text.partition("[[attacks]]")[0] + quick
    (folder / "plan.toml").write_text(text.replace("# FILL IN", "# filled in:").replace("FILL IN", ""))
    with pytest.raises(SystemExit) as end:
        main(["audit", str(folder / "plan.toml"), "--out", str(folder / "run")])
    assert not end.value.code, capsys.readouterr().err
    scores = RunFolder(folder / "run").frame()["clean_score"].tolist()
    assert min(scores) > 0.9, "masks are where the model sees them"


def test_a_datalist_of_jpeg_masks_is_given_a_threshold(tmp_path: Path) -> None:
    folder = made(tmp_path, "jpeg")
    items = [{"image": f"pictures/{number}.png", "label": f"drawn/{number}.jpg"} for number in range(6)]
    (folder / "labels.csv").unlink()
    (folder / "dataset.json").write_text(json.dumps({"validation": items}))
    for name in ("pictures", "drawn"):
        (folder / name).rename(folder / f"x{name}")
    text = (folder / "dataset.json").read_text().replace("pictures/", "xpictures/").replace("drawn/", "xdrawn/")
    (folder / "dataset.json").write_text(text)
    plan, table = proposed(folder)
    assert "threshold = 128" in plan.text and plan.data.datalist == "dataset.json"
    np.testing.assert_array_equal(table.annotation(0).labels, labels(0))
