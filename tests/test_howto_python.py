"""The snippets for people who know another library run as they are printed, one after the other."""

import re
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

import palpate
from tests.api.worlds import Middle, images_and_labels
from tests.audit import tiny

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "howto" / "python.md").read_text()
SNIPPETS = dict(re.findall(r"^## (\d+)\..*?^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def test_the_ten_snippets_run_as_printed(tmp_path, monkeypatch):
    tiny.write(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    images, labels = images_and_labels(4)
    slices = torch.full((2, 1, 8, 8), 40.0)
    slices[:, :, 2:6, 2:6] = -510.0
    world = {
        "model": Middle(),
        "trained": lambda inputs: Middle()(inputs * 0.25 + 0.5),
        "images": images,
        "labels": labels,
        "loader": DataLoader(TensorDataset(images, labels), batch_size=3),
        "x_uint8": (images.numpy() * 255).round().astype("uint8"),
        "y": labels.numpy(),
        "unet": lambda values: (-500 - values) / 50,
        "ct_loader": [{"image": slices, "label": (slices < -500).float()}],
    }
    assert list(SNIPPETS) == [str(number) for number in range(1, 11)]
    found = {}
    for number, text in SNIPPETS.items():
        exec(compile(text, f"snippet {number}", "exec"), world)
        found[number] = world.get("table")
    result = world["result"]
    assert result.robust_accuracy == found["2"].robust_accuracy() == 0 and torch.equal(world["adv"], result.images)
    assert [row.robust_accuracy for row in found["3"].worst] == [3 / 4, 3 / 4, 0]
    assert found["4"].eps == [2] and found["4"].clean_accuracy == 3 / 4
    assert [row.robust_accuracy for row in found["5"]] == [1, 0]
    assert world["metric"].compute() == 3 / 4
    assert isinstance(world["callback"], palpate.RobustnessCallback)
    assert found["8"].robust_accuracy("8/255", "my_attack") == found["9"].robust_accuracy() == 0
    run = world["run"]
    assert isinstance(run, palpate.Run) and run.passed and run.records.num_rows == 26


def test_the_snippet_of_further_inputs_runs_as_printed():
    page = (Path(__file__).resolve().parent.parent / "docs" / "howto" / "inputs.md").read_text()
    (text,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    images, labels = images_and_labels(4)
    world = {"model": Middle(), "images": images, "labels": labels}
    exec(compile(text, "inputs.md", "exec"), world)
    assert len(world["result"]) == 4 and world["table"].eps == [8 / 255]
