"""What `palpate init` sees in a folder, and that it can be read as it was seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from palpate.data.formats.forms import Form
from palpate.data.inspect.folder import find_tables
from palpate.errors import InputError
from tests.data.pictures import noise, save, shared


def listing(folder: Path, header: str, lines: list[str], names: list[str]) -> None:
    for name in names:
        save(folder / name, noise(6, 5))
    folder.mkdir(exist_ok=True)
    (folder / "labels.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def test_csv_columns_are_told_by_what_they_hold(tmp_path: Path) -> None:
    names = [f"images/{n}.png" for n in range(12)]
    lines = [f"{n // 2},{'train' if n < 8 else 'test'},{n % 3},{name},{20 + n}" for n, name in enumerate(names)]
    listing(tmp_path, "patient_id,set,grade_of_reader,where,age", lines, names)
    (layout,) = find_tables(tmp_path)
    assert (layout.kind, layout.path, layout.images) == ("csv", tmp_path / "labels.csv", tmp_path)
    assert (layout.file, layout.label, layout.split, layout.group) == ("where", "grade_of_reader", "set", "patient_id")
    assert layout.classes == ("0", "1", "2") and layout.counts == (4, 4, 4) and layout.count == 12
    assert layout.splits == (("test", 4), ("train", 8)) and layout.numbered
    assert layout.form == Form((1, 6, 5), "uint8") and layout.equal
    assert "12 images, grey, 6 x 5" in layout.describe()
    table = layout.table()
    assert len(table) == 4 and table[0].group == "4" and len(layout.table("train")) == 8


def test_names_decide_where_several_columns_would_do(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(8)]
    masks = [f"masks/{n}.png" for n in range(8)]
    lines = [f"{masks[n]},{names[n]},{'MF'[n % 2]},{'sick' if n % 2 else 'fine'}" for n in range(8)]
    listing(tmp_path, "mask,image,sex,diagnosis", lines, names + masks)
    (layout,) = find_tables(tmp_path)
    assert (layout.file, layout.label, layout.split, layout.group) == ("image", "diagnosis", None, None)
    assert layout.classes == ("fine", "sick") and not layout.numbered and layout.splits == ()
    assert layout.table().labels.tolist() == [0, 1] * 4


def test_identifiers_in_a_folder_beside_the_table(tmp_path: Path) -> None:
    listing(
        tmp_path, "id_code,diagnosis", [f"{n:03d},{n % 2}" for n in range(6)], [f"scans/{n:03d}.jpg" for n in range(6)]
    )
    (layout,) = find_tables(tmp_path)
    assert (layout.file, layout.images) == ("id_code", tmp_path / "scans")
    assert layout.table()[1].name == "001.jpg"


def test_several_lines_an_image_are_no_table_of_labels(tmp_path: Path) -> None:
    listing(tmp_path, "image,label", ["a.png,red", "a.png,white", "b.png,red", "b.png,white"], ["a.png", "b.png"])
    with pytest.raises(InputError, match=r"labels.csv lists a.png twice, in lines 2 and 3, and 1 other images too"):
        find_tables(tmp_path)


def test_unequal_images_are_said(tmp_path: Path) -> None:
    listing(tmp_path, "file,label", ["a.png,0", "b.png,1", "c.png,0", "d.png,1"], ["a.png", "b.png", "c.png", "d.png"])
    save(tmp_path / "c.png", noise(7, 5, 3))
    (layout,) = find_tables(tmp_path)
    assert not layout.equal and "sizes differ" in layout.describe()


def test_class_folders(tmp_path: Path) -> None:
    for name in ("benign/a.png", "benign/b.png", "malignant/c.png"):
        save(tmp_path / name)
    (layout,) = find_tables(tmp_path)
    assert (layout.kind, layout.path, layout.classes, layout.counts) == (
        "folders",
        tmp_path,
        ("benign", "malignant"),
        (2, 1),
    )
    assert len(layout.table()) == 3


def test_the_test_split_of_class_folders_comes_first(tmp_path: Path) -> None:
    for name in ("train/x/a.png", "train/x/b.png", "train/y/c.png", "test/x/d.png", "test/y/e.png"):
        save(tmp_path / name)
    assert [layout.path.name for layout in find_tables(tmp_path)] == ["test", "train"]


def test_images_and_masks_are_no_classes(tmp_path: Path) -> None:
    save(tmp_path / "images/a.png")
    save(tmp_path / "masks/a.png")
    with pytest.raises(InputError, match="no labelled images"):
        find_tables(tmp_path)


def test_archive(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "organ.npz",
        train_images=noise(4, 6, 5),
        train_labels=np.array([0, 1, 2, 2]),
        test_images=noise(2, 6, 5),
        test_labels=np.array([1, 1]),
    )
    np.savez(tmp_path / "weights.npz", layer=noise(3, 3))
    (layout,) = find_tables(tmp_path)
    assert (layout.kind, layout.classes, layout.counts) == ("medmnist", ("0", "1", "2"), (1, 3, 2))
    assert layout.splits == (("test", 2), ("train", 4)) and len(layout.table()) == 2


def test_a_file_may_be_given_itself(tmp_path: Path) -> None:
    listing(tmp_path, "file,label", ["a.png,0", "b.png,1", "c.png,0", "d.png,1"], ["a.png", "b.png", "c.png", "d.png"])
    assert find_tables(tmp_path / "labels.csv") == find_tables(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no labelled images"):
        find_tables(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        find_tables(tmp_path / "none")


@pytest.mark.shared
def test_real_fundus_folder() -> None:
    layout = find_tables(shared("cls_fundus_dr_aptos2019"))[0]
    assert (layout.path.name, layout.file, layout.label, layout.split) == ("labels.csv", "file", "diagnosis", "split")
    assert layout.classes == ("0", "1", "2", "3", "4") and layout.splits[0][0] == "test"
    assert layout.form == Form((3, 224, 224), "uint8") and layout.equal


@pytest.mark.shared
def test_real_archive() -> None:
    layout = find_tables(shared("cls_cxr_pneumoniamnist_28"))[0]
    assert (layout.kind, layout.classes, layout.form) == ("medmnist", ("0", "1"), Form((1, 28, 28), "uint8"))
    assert layout.table().classes == ("0", "1")


@pytest.mark.shared
def test_real_table_with_groups() -> None:
    layout = find_tables(shared("cls_ct_covid"))[0]
    assert (layout.file, layout.label, layout.split, layout.group) == ("file", "label", "split", "group")
    assert not layout.equal and layout.classes == ("COVID", "NonCOVID")


@pytest.mark.shared
def test_real_boxes_are_no_table_of_labels() -> None:
    with pytest.raises(InputError, match="no labelled images"):
        find_tables(shared("det_blood_cells_bccd"))
