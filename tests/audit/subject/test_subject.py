"""What a plan names, loaded: three kinds of tables, and budgets that no image has room for."""

from pathlib import Path

import numpy as np
import pytest

from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.tables import load_table
from palpate.audit.run.runner import audit
from palpate.audit.subject.subject import load_subject
from palpate.errors import InputError
from palpate.storage.runs import RunFolder
from tests.audit import tiny

CSV = 'table = "labels.csv"\ngroup = "patient"\nwhere = {split = "test"}'


def test_a_table_is_filtered_and_limited(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    assert len(load_table(plan)) == 12
    text = tiny.PLAN.replace(CSV, f"{CSV}\nlimit = 6")
    table = load_table(tiny.rewrite(tmp_path / "plan", text))
    assert table.counts() == (2, 2, 2)


def test_a_medmnist_archive_is_audited_from_the_first_image_to_the_last(tmp_path: Path) -> None:
    tiny.write(tmp_path / "plan")
    numbers = np.random.default_rng(0)
    np.savez(
        tmp_path / "plan" / "small.npz",
        val_images=numbers.integers(0, 256, (7, 8, 8), dtype=np.uint8),
        val_labels=np.arange(7)[:, None] % 3,
    )
    text = tiny.PLAN.replace(CSV, 'medmnist = "small.npz"\nsplit = "val"')
    outcome = audit(tiny.rewrite(tmp_path / "plan", text), tmp_path / "run")
    assert outcome.status == "finished"
    frame = RunFolder(tmp_path / "run").frame()
    assert set(frame["image"].tolist()) == {f"small.npz[{row}]" for row in range(7)}
    assert RunFolder(tmp_path / "run").describe()["data"]["source"] == "small.npz, val"


def test_class_folders_are_read(tmp_path: Path) -> None:
    tiny.write(tmp_path / "plan")
    for index in range(12):
        folder = tmp_path / "plan" / "sorted" / ("none", "mild", "severe")[index % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plan" / f"image{index}.png").rename(folder / f"{index}.png")
    plan = tiny.rewrite(tmp_path / "plan", tiny.PLAN.replace(CSV, 'folders = "sorted"'))
    assert load_table(plan).counts() == (4, 4, 4)


@pytest.mark.parametrize(("norm", "widest"), [("l2", 8 * 255), ("l1", 64 * 255)])
def test_a_budget_wider_than_all_images_is_refused(norm: str, widest: int, tmp_path: Path) -> None:
    tiny.write(tmp_path / "plan")
    text = tiny.PLAN.replace('"linf"', f'"{norm}"')
    load_subject(tiny.rewrite(tmp_path / "plan", text.replace('"16/255"', f"{widest}")))
    with pytest.raises(InputError, match=rf"threat\.eps: {widest + 1} is wider than the whole space of images"):
        load_subject(tiny.rewrite(tmp_path / "plan", text.replace('"16/255"', f"{widest + 1}")))


def test_a_gpu_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny.write(tmp_path / "plan", tiny.PLAN.replace("batch = 3", 'batch = 3\ndevice = "cuda"'))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match=r"run\.device: torch sees no GPU here"):
        load_subject(plan)


def test_images_are_taken_from_the_classes_in_turn(tmp_path: Path) -> None:
    subject = load_subject(tiny.write(tmp_path / "plan"))
    assert subject.spread(range(12), 4) == (0, 1, 2, 3)
    assert subject.spread([0, 3, 6, 9, 1], 3) == (0, 1, 3)
    assert subject.spread([], 3) == ()


def test_a_model_with_missing_files_is_refused_by_name(tmp_path: Path) -> None:
    tiny.write(tmp_path / "plan")
    (tmp_path / "plan" / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors"):
        load_subject(parse_plan(tiny.PLAN, tmp_path / "plan" / "plan.toml"))
