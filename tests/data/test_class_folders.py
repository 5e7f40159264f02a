"""Which folders are classes, and which files in them are images."""

from __future__ import annotations

from pathlib import Path

import pytest

from palpate.data.inspect.searched import searched_folders
from palpate.data.layouts.class_folders import read_class_folders
from palpate.errors import InputError
from tests.data.pictures import save


def test_folders_without_images_runs_and_environments_are_no_classes(tmp_path: Path) -> None:
    for name in (
        "b/1.png",
        "a/2.png",
        "audits/one/images/x.png",
        "env/site/y.png",
        "__pycache__/z.png",
        ".hidden/w.png",
    ):
        save(tmp_path / name)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model.bin").write_bytes(b"0")
    (tmp_path / "env/pyvenv.cfg").write_text("")
    for name in ("run.json", "plan.toml"):
        (tmp_path / "audits/one" / name).write_text("")
    held = read_class_folders(tmp_path, None)
    assert held.classes == ("a", "b") and [case.name for case in held.cases] == ["a/2.png", "b/1.png"]
    assert held.notes == ()
    # A plan.toml alone makes no run folder.
    (tmp_path / "audits/one/run.json").unlink()
    assert read_class_folders(tmp_path, None).classes == ("a", "audits", "b")


def test_an_empty_folder_may_be_a_class_of_the_model(tmp_path: Path) -> None:
    save(tmp_path / "a/1.png")
    (tmp_path / "b").mkdir()
    assert "Empty folders are not classes here: b." in read_class_folders(tmp_path, None).notes[0]
    held = read_class_folders(tmp_path, ["a", "b"])
    assert held.classes == ("a", "b") and "Class 'b' has no images" in held.notes[0]


@pytest.mark.parametrize("ending", ["_mask", "-mask", "_mask_2", "_seg", "_segmentation", "_GT"])
def test_a_mask_is_named_after_its_image(tmp_path: Path, ending: str) -> None:
    mask = f"1{ending}.png"
    for name in ("a/1.png", f"a/{mask}", "b/2.png", "b/3_mask.png"):
        save(tmp_path / name)
    held = read_class_folders(tmp_path, None)
    # There is no image 3 that 3_mask.png could belong to.
    assert [case.name for case in held.cases] == ["a/1.png", "b/2.png", "b/3_mask.png"]
    assert held.notes == (
        f"1 files in the class folders are masks of other files by their names, and are left out: first a/{mask}.",
    )


def test_other_names_than_those_of_the_classes(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "c/1.png"):
        save(tmp_path / name)
    assert [case.name for case in read_class_folders(tmp_path, ["c", "a"]).cases] == ["c/1.png", "a/1.png"]
    with pytest.raises(InputError, match="a is not one of the classes x, y, and class 'x' has no folder"):
        read_class_folders(tmp_path, ["x", "y"])


def test_splits_are_looked_for_below(tmp_path: Path) -> None:
    for split in ("train", "Test"):
        save(tmp_path / f"data/data/{split}/a/1.png")
    names = [path.relative_to(tmp_path).as_posix() for path in searched_folders(tmp_path)]
    assert "data/data/Test" in names and "data/data/train" in names
    assert not any(name.endswith("/a") for name in names)


@pytest.mark.parametrize("folder", ["results", "wandb", "runs/train"])
def test_pictures_that_training_wrote_are_no_class(tmp_path: Path, folder: str) -> None:
    for name in ("normal", "sick", folder):
        save(tmp_path / name / f"{name[0]}.png")
    held = read_class_folders(tmp_path, None)
    assert held.classes == ("normal", "sick") and folder.partition("/")[0] in held.notes[0]
    # A plan that names it means it.
    named = folder.partition("/")[0]
    assert read_class_folders(tmp_path, ("normal", "sick", named)).classes == ("normal", "sick", named)
    assert len(read_class_folders(tmp_path, ("normal", "sick", named)).cases) == 3
