"""The tutorial, word by word: its commands run in its order, and its lines of a plan are put where it says."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palpate import cli
from palpate.audit.demo.folder import write_demo
from palpate.storage.runs import RunFolder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tutorial" / "first_audit.md").read_text()
DEMO = Path("palpate-demo/classification")

# `make demo` after its set-up, of one task: the set-up and the other tasks are tested elsewhere.
CALLED = {"make demo": "demo --task classification"}
ACTIVATION = "source .venv/bin/activate\n"
Run = Callable[[str], None]
MODEL = """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        bright = x[:, :1, 8:24, 8:24].mean((1, 2, 3)) - 75.8 / 255
        return torch.stack([-2000 * bright, 2000 * bright], 1)

def build():
    return Net()
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def images(folder: Path) -> list[tuple[Path, int]]:
    """Twelve grey images, brighter in the middle where the label is 1: they withstand 0.5/255 and fall at 1/255."""
    draw, written = np.random.default_rng(0), []
    for number in range(12):
        pixels = draw.integers(74, 77, (32, 32))
        pixels[8:24, 8:24] += 2 * (number % 2)
        path = folder / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        written.append((path, number % 2))
    return written


def with_table(folder: Path) -> None:
    lines = [f"{path.relative_to(folder)},{label}" for path, label in images(folder / "images")]
    (folder / "labels.csv").write_text("\n".join(["file,label", *lines]) + "\n")


def with_folders(folder: Path) -> None:
    for path, label in images(folder):
        place = folder / ("normal", "pneumonia")[label] / path.name
        place.parent.mkdir(exist_ok=True)
        path.rename(place)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Carry out the commands of a block of the page, one per line, in this process: importing torch takes seconds."""
    monkeypatch.chdir(tmp_path)

    def carry_out(block: str) -> None:
        for line in block.replace(ACTIVATION, "").strip().splitlines():
            words = shlex.split(CALLED.get(line, line.removeprefix("palpate ")))
            assert line in CALLED or line.startswith("palpate "), line
            with pytest.raises(SystemExit) as ended:
                cli.main(words)
            assert not ended.value.code, line

    return carry_out


def test_the_demo_and_its_finer_budgets(tmp_path: Path, run: Run) -> None:
    demo, finer, *_ = blocks("sh")
    plan = write_demo(tmp_path / DEMO.parent, "classification", images=5)
    few = '[[attacks]]\nattack = "noise"\ntries = 1\n[[attacks]]\nattack = "fgsm"\n[quality]\nimages = 0\n'
    few += "[stability]\nimages = 0\n[survival]\nafter = []\n"
    few += '[[artefacts]]\nartefact = "dust"\ndraws = 1\ntries = 1\nevolution = 0\npolish = 0\nbisection = 0\n'
    text = plan.read_text()
    plan.write_text(text[: text.index("[[attacks]]")] + few)
    run(demo)
    report = re.sub("<[^>]*>", "", (tmp_path / DEMO / "runs" / "plan" / "report.html").read_text())
    named = re.findall(r"^- \*([^*]+)\*", PAGE, re.MULTILINE)
    assert len(named) == 4 and all(title in report for title in named), "sections that the page names"
    (threat,) = (block for block in blocks("toml") if "[threat]" in block)
    (budgets,) = re.findall(r"^eps = .*$", threat, re.MULTILINE)
    plan.write_text(re.sub(r"^eps = .*$", budgets, plan.read_text(), count=1, flags=re.MULTILINE))
    run(finer)
    stored = [RunFolder(tmp_path / DEMO / "runs" / name).frame() for name in ("plan", "finer")]
    assert [sorted(set(frame["eps"])) for frame in stored] == [[1, 2, 4], [1, 1.5, 2]]


@pytest.mark.parametrize("lay", [with_table, with_folders])
def test_an_own_model_and_a_gate(tmp_path: Path, run: Run, lay: Callable[[Path], None]) -> None:
    _, _, init, audit = blocks("sh")
    folder = tmp_path / "my-model"
    lay(folder)
    (folder / "model.py").write_text(MODEL)
    run(init)
    run(audit)
    run_folder = folder / "runs" / "plan"
    records = {path: path.read_bytes() for path in (run_folder / "records").glob("*.parquet")}
    assert records
    # The gate joins the finished plan; nothing is attacked again, and the second audit finds no class in `runs`.
    plan = folder / "plan.toml"
    (gate,) = (block for block in blocks("toml") if "[[gates]]" in block)
    plan.write_text(plan.read_text() + "\n" + gate)
    run(audit)
    (kept,) = json.loads((run_folder / "results.json").read_text())["gates"]
    assert kept["passed"] and "0.6" in kept["text"]
    assert {path: path.read_bytes() for path in (run_folder / "records").glob("*.parquet")} == records
