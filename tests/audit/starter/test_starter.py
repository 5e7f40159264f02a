import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from palpate.audit.plan.plan import Plan, parse_plan
from palpate.audit.plan.tables import load_table
from palpate.audit.plan.toml_words import CHECK, FILL_IN
from palpate.audit.starter.plan import starting_plan, unfinished
from palpate.errors import InputError
from tests.audit import tiny_dense
from tests.data import layouts

MODEL = """
import torch
raise SystemExit("model code was run")

def build(depth):
    return torch.nn.Identity()
"""


def images(folder: Path, *, grey: bool = True, dtype: str = "uint8", sizes: tuple[int, ...] = (8,)) -> list[str]:
    (folder / "images").mkdir(parents=True)
    names = [f"images/{number}.png" for number in range(8)]
    for number, name in enumerate(names):
        size = sizes[number % len(sizes)]
        pixels = np.full((size, size) if grey else (size, size, 3), number * 10, dtype)
        Image.fromarray(pixels).save(folder / name)
    return names


def table(folder: Path, labels: list[str], column: str = "label", **more: list[str]) -> None:
    names = images(folder)
    columns = {"file": names, column: labels, **more}
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([tuple(columns), *zip(*columns.values(), strict=True)])


def started(folder: Path, place: Path | None = None) -> tuple[str, Plan]:
    place = place or folder
    text = starting_plan(folder, place)
    return text, parse_plan(text, place / "plan.toml")


def line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


def test_names_tell_the_healthy_class(tmp_path: Path) -> None:
    table(tmp_path, ["normal", "pneumonia"] * 4)
    text, plan = started(tmp_path)
    assert plan.task.kind == "binary" and plan.task.classes == ("normal", "pneumonia")
    assert plan.task.disease == ("pneumonia",) and CHECK in line(text, "disease")
    assert {attack.goal for attack in plan.attacks} == {"untargeted"}, "with two classes it reaches both directions"
    assert (tmp_path / (plan.data.table or "")).is_file()


def test_without_a_healthy_name_the_disease_is_asked_for(tmp_path: Path) -> None:
    table(tmp_path, ["a", "b", "c", "c"] * 2)
    text, plan = started(tmp_path)
    assert plan.task.kind == "multiclass" and plan.task.disease == ()
    assert FILL_IN not in line(text, "# disease")
    assert {attack.goal for attack in plan.attacks} == {"untargeted"}


def test_grades_by_number_are_ordinal(tmp_path: Path) -> None:
    table(tmp_path, ["0", "1", "2", "2"] * 2, column="grade")
    _, plan = started(tmp_path)
    assert plan.task.kind == "ordinal" and plan.task.classes == ("0", "1", "2") and plan.data.label == "grade"


def test_split_and_patient_are_taken_over(tmp_path: Path) -> None:
    table(
        tmp_path, ["0", "1"] * 4, **{"the split": ["train", "train", "test", "test"] * 2, "patient": list("aabbccdd")}
    )
    _, plan = started(tmp_path)
    assert plan.data.where == {"the split": "test"} and plan.data.group == "patient"


def test_folders_of_classes_in_another_place(tmp_path: Path) -> None:
    for name in ("benign", "malignant"):
        images(tmp_path / "scans" / name)
    (tmp_path / "plans").mkdir()
    _, plan = started(tmp_path / "scans", tmp_path / "plans")
    assert plan.data.folders == "../scans" and plan.task.disease == ("malignant",)


def test_an_archive_names_its_split(tmp_path: Path) -> None:
    held = {"test_images": np.zeros((6, 8, 8), np.uint8), "test_labels": np.array([[0], [1]] * 3)}
    np.savez(tmp_path / "some.npz", **held)
    _, plan = started(tmp_path)
    assert plan.data.medmnist == "some.npz" and plan.data.split == "test"


def test_sixteen_bits_are_doubted_and_unequal_sizes_are_said(tmp_path: Path) -> None:
    for name in ("benign", "malignant"):
        images(tmp_path / name, dtype="uint16", sizes=(8, 9))
    text, plan = started(tmp_path)
    assert plan.model.bounds == (0, 65535) and CHECK in line(text, "bounds")
    assert "differ in size" in text


def test_a_missing_model_is_asked_for(tmp_path: Path) -> None:
    table(tmp_path, ["0", "1"] * 4)
    text, _ = started(tmp_path)
    numbers = [number for number, _ in unfinished(text)]
    assert [text.splitlines()[number - 1].partition(" =")[0] for number in numbers] == ["factory"]


def test_a_factory_is_found_and_never_run(tmp_path: Path) -> None:
    table(tmp_path, ["0", "1"] * 4)
    (tmp_path / "net.py").write_text(MODEL)
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pt")
    text, plan = started(tmp_path)
    assert plan.model.factory == "net.py:build" and plan.model.weights == "weights.pt"
    assert "depth" in plan.model.arguments and FILL_IN in line(text, "arguments")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_named(tmp_path: Path) -> None:
    table(tmp_path, ["0", "1"] * 4)
    torch.jit.save(torch.jit.trace(torch.nn.Flatten(), torch.zeros(1, 1, 8, 8)), tmp_path / "model.ts")
    (tmp_path / "elsewhere").mkdir()
    _, plan = started(tmp_path, tmp_path / "elsewhere")
    assert plan.model.torchscript == "../model.ts" and plan.model.factory is None


@pytest.mark.parametrize("name", ['a "b"', "a\\b", "ünï # x", "tab\there"])
def test_any_class_name_survives(tmp_path: Path, name: str) -> None:
    table(tmp_path, [name, "other"] * 4)
    _, plan = started(tmp_path)
    assert name in plan.task.classes


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no labelled images"):
        starting_plan(tmp_path, tmp_path)


@pytest.mark.parametrize("kind", ["segmentation", "detection", "multilabel"])
def test_a_folder_of_masks_boxes_and_findings_starts_a_plan_of_each(tmp_path, kind):
    tiny_dense.write(tmp_path, kind)
    (tmp_path / "plan.toml").unlink()
    plan = parse_plan(starting_plan(tmp_path, tmp_path, kind), tmp_path / "plan.toml")
    assert plan.task.kind == kind
    # Its table is read as it stands: columns, values and classes are those of the folder.
    table = load_table(plan)
    assert len(table) == 6
    one = table.annotation(0)
    assert {"segmentation": one.labels, "detection": one.boxes, "multilabel": one.findings}[kind] is not None


def test_masks_are_proposed_before_classes(tmp_path):
    tiny_dense.write(tmp_path, "segmentation")
    assert parse_plan(starting_plan(tmp_path, tmp_path), tmp_path / "plan.toml").task.kind == "segmentation"


def test_a_kind_that_the_folder_has_nothing_for_is_refused(tmp_path):
    tiny_dense.write(tmp_path, "segmentation")
    (tmp_path / "boxes.csv").unlink()
    with pytest.raises(InputError, match="it has no annotations for a detection"):
        starting_plan(tmp_path, tmp_path, "detection")


@pytest.mark.parametrize("layout", ["table", "folders", "archive", "nnunet"])
def test_what_is_wrong_with_a_damaged_file_is_said(tmp_path, layout):
    if layout == "table":
        table(tmp_path, ["normal", "pneumonia"] * 4)
        damaged = tmp_path / "images" / "0.png"
    elif layout == "folders":
        for name in ("healthy", "ill"):
            images(tmp_path / name)
        damaged = tmp_path / "healthy" / "images" / "0.png"
    elif layout == "archive":
        damaged = tmp_path / "pneumoniamnist.npz"
    else:
        layouts.nnunet(tmp_path)
        damaged = sorted((tmp_path / "imagesTr").iterdir())[0]
    damaged.write_bytes(b"\x89PNG no more")
    with pytest.raises(InputError, match=f"no labelled images that can be read. .*{damaged.name}"):
        starting_plan(tmp_path, tmp_path)
