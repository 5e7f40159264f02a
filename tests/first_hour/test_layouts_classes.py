"""Folders of classes and findings as people bring them: `init` recognises them, and `audit` runs its plan unedited."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palpate.audit.plan.plan import Plan, parse_plan
from palpate.audit.run.runner import audit
from palpate.audit.starter.plan import starting_plan
from palpate.audit.subject.file_findings import file_findings
from palpate.audit.subject.subject import load_subject
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.storage.runs import RunFolder
from tests.first_hour.class_layouts import LAYOUTS, busi, model, pictures, sheet


def started(folder: Path, *, at_chance: bool = False) -> Plan:
    """The plan that `init` writes for a folder, with one quick attack in place of all."""
    text = starting_plan(folder, folder)
    head = text[: text.index("# `palpate list attacks`")]
    allowed = '[run]\nat_chance = "allow"\n\n' if at_chance else ""
    return parse_plan(f'{head}\n{allowed}[[attacks]]\nattack = "noise"\n', folder / "plan.toml")


@pytest.fixture(params=LAYOUTS)
def brought(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, object]]:
    write, outputs, expected = LAYOUTS[request.param]
    folder = tmp_path / "brought"
    folder.mkdir()
    write(folder)
    model(folder, outputs)
    return folder, expected


def test_init_recognises_it_and_audit_reads_it(brought: tuple[Path, dict[str, object]]) -> None:
    folder, expected = brought
    plan = started(folder)
    said = {**plan.data.model_dump(), **plan.task.model_dump()}
    subject = load_subject(plan)
    assert len(subject.table) == expected.pop("images")
    assert {name: said[name] for name in expected if name != "images"} == expected
    with subject.victim as victim:
        outputs = victim.forward_no_grad(subject.images((0, 1)))
    assert outputs.shape == (2, len(plan.task.names))


@pytest.mark.parametrize("name", ["isic", "nih", "chexpert", "chestmnist", "organmnist3d", "class folders beside runs"])
def test_its_audit_runs_to_the_end_and_goes_on_after_that(tmp_path: Path, name: str) -> None:
    write, outputs, _ = LAYOUTS[name]
    write(tmp_path)
    model(tmp_path, outputs)
    plan = started(tmp_path, at_chance=True)
    folder = tmp_path / "runs/again"
    audit(plan, folder)
    first = RunFolder(folder).describe()["data"]
    # The run folder now lies among the images, and a second start finds the data as they were.
    audit(plan, folder)
    assert RunFolder(folder).describe()["data"] == first


def test_masks_beside_images_are_left_out_and_said(tmp_path: Path) -> None:
    busi(tmp_path)
    model(tmp_path, 3)
    text = starting_plan(tmp_path, tmp_path, "classification")
    plan = parse_plan(text, tmp_path / "plan.toml")
    said = "9 files in the class folders are masks of other files by their names, and are left out"
    assert said in text and plan.task.names == ("benign", "malignant", "normal")
    assert len(load_subject(plan).table) == 6
    assert said in file_findings(plan, load_subject(plan))[0].text


def test_masks_in_a_folder_of_each_class_are_left_out_and_said(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{name}/images/{n}.png" for name in ("A", "B") for n in (1, 2)])
    for image in sorted(tmp_path.glob("*/images/*.png")):
        mask = image.parents[1] / "masks" / image.name
        mask.parent.mkdir(exist_ok=True)
        width, height = Image.open(image).size
        Image.fromarray(np.tri(height, width, dtype=np.uint8) * 255).save(mask)
    model(tmp_path, 2)
    plan = parse_plan(starting_plan(tmp_path, tmp_path, "classification"), tmp_path / "plan.toml")
    table = load_subject(plan).table
    assert [case.name for case in table] == ["A/images/1.png", "A/images/2.png", "B/images/1.png", "B/images/2.png"]
    assert "4 files in the class folders are masks" in table.notes[0]


def test_only_the_named_classes_are_read_and_the_rest_is_said(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{name}/{n}.png" for name in ("normal", "tb", "figures") for n in range(2)])
    (tmp_path / "covid").mkdir()
    table = Table.from_folders(tmp_path, ["normal", "tb", "covid"])
    assert table.counts() == (2, 2, 0)
    assert table.notes == (
        "Class 'covid' has no images: its folder is empty or not there.",
        "Folders with images that are none of the classes are left out: figures.",
    )
    with pytest.raises(InputError, match=r"figures is not one of the classes normal, tv, and class 'tv' has no folder"):
        Table.from_folders(tmp_path, ["normal", "tv"])


def test_a_doubtful_column_is_asked_for(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{n}.png" for n in range(12)])
    rows = [f"{n}.png,{n % 3},{'ab'[n % 2]},{'FM'[n % 2]}" for n in range(12)]
    sheet(tmp_path / "scans.csv", "img,kind,state,sex", rows)
    text = starting_plan(tmp_path, tmp_path)
    (asked,) = [line for line in text.splitlines() if line.startswith("label")]
    assert asked == 'label = "kind"  # FILL IN: which column holds the labels? This one, or state'


@pytest.mark.parametrize(
    ("column", "disease"), [("No Finding", ("0",)), ("normal", ("0",)), ("abnormal", ("1",)), ("pneumonia", ("1",))]
)
def test_a_healthy_column_is_no_disease(tmp_path: Path, column: str, disease: tuple[str, ...]) -> None:
    pictures(tmp_path, [f"{n}.png" for n in range(6)])
    sheet(tmp_path / "labels.csv", f"file,Sex,{column}", [f"{n}.png,{'FM'[n % 2]},{n % 2}" for n in range(6)])
    assert parse_plan(starting_plan(tmp_path, tmp_path), tmp_path / "plan.toml").task.disease == disease
