"""Tables of classes with a column each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from palpate.data.annotations.labels import FindingLabels
from palpate.data.layouts.csv_table import CsvTable
from palpate.data.table import Table, read_table
from palpate.errors import InputError
from tests.data.pictures import noise, save


def listing(folder: Path, header: str, *rows: str) -> Path:
    for number in range(len(rows)):
        save(folder / f"{number}.png", noise(4, 5, seed=number))
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_the_class_is_the_column_with_a_one(tmp_path: Path) -> None:
    path = listing(tmp_path, "file,b,a", "0,0,1", "1.png,1.0,0.0", "2,0,1")
    assert Table.from_csv(path, tmp_path, label=("a", "b")).labels.tolist() == [0, 1, 0]
    table = Table.from_csv(path, tmp_path, label=("a", "b"), classes=("ill", "well"))
    assert table.classes == ("ill", "well") and table.counts() == (2, 1)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0,1,1", r"line 2: 2 columns \(a, b\) hold 1 of a, b"),
        ("0,0,0", r"line 2: no column holds 1 of a, b.*multilabel"),
        ("0,0.5,0", r"line 2: column 'a' holds '0.5'"),
        ("0,,1", r"line 2: column 'a' holds ''"),
    ],
)
def test_other_lines_are_refused(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Table.from_csv(listing(tmp_path, "file,a,b", row), tmp_path, label=("a", "b"))


def test_one_column_a_class(tmp_path: Path) -> None:
    path = listing(tmp_path, "file,a,b", "0,0,1")
    with pytest.raises(InputError, match="2 columns for 3 classes"):
        Table.from_csv(path, tmp_path, label=("a", "b"), classes=("x", "y", "z"))
    with pytest.raises(InputError, match="no column 'c'"):
        Table.from_csv(path, tmp_path, label=("a", "c"))


def test_cells_that_list_findings(tmp_path: Path) -> None:
    path = listing(tmp_path, "file,found", "0,Mass|Nodule", "1,No Finding", "2, Nodule ")
    labels = FindingLabels(["Nodule", "Mass", "Edema"], "found", "|", ("No Finding",))
    table = read_table(CsvTable(path), labels)
    assert [table.annotation(row).findings.tolist() for row in range(3)] == [[1, 1, 0], [0, 0, 0], [1, 0, 0]]  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"line 2: column 'found' holds 'Mass'.*Did you mean 'Maas'.*data.ignored"):
        read_table(CsvTable(path), replace(labels, names=["Nodule", "Maas"]))


def test_an_empty_list_must_be_allowed(tmp_path: Path) -> None:
    path = listing(tmp_path, "file,found", "0,a", "1,")
    with pytest.raises(InputError, match=r"line 3: column 'found' is empty"):
        read_table(CsvTable(path), FindingLabels(["a"], "found", "|"))
    table = read_table(CsvTable(path), FindingLabels(["a"], "found", "|", ("",)))
    assert table.annotation(1).findings.tolist() == [0]  # type: ignore[union-attr]


def test_bare_names_may_lie_in_any_folder_below(tmp_path: Path) -> None:
    for name in ("part_1/x.png", "part_2/deep/y.png", "part_1/twice.png", "part_2/twice.png"):
        save(tmp_path / name)
    path = tmp_path / "labels.csv"
    path.write_text("file,label\nx,0\ny.png,1\n")
    assert [case.name for case in Table.from_csv(path, tmp_path)] == ["part_1/x.png", "part_2/deep/y.png"]
    path.write_text("file,label\nx,0\ntwice,1\n")
    with pytest.raises(InputError, match=r"1 of 2 image files do not exist.*'twice'"):
        Table.from_csv(path, tmp_path)


def test_paths_may_begin_with_the_name_of_the_folder(tmp_path: Path) -> None:
    save(tmp_path / "set/valid/a.png")
    path = tmp_path / "set/labels.csv"
    path.write_text("file,label\nset/valid/a.png,0\n")
    assert Table.from_csv(path, path.parent)[0].name == "valid/a.png"
