"""Tables: what is listed is what is read, and every mistake in a list is named by file, line and column."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palpate.data.cases import Case
from palpate.data.formats.forms import Array, Form
from palpate.data.table import Table
from palpate.errors import InputError
from tests.data.pictures import noise, save, shared

LINES = [
    ("a.png", "1", "p1", "test"),
    ("b.png", "0", "p1", "test"),
    ("c.png", "2", "p2", "train"),
    ("d.png", "1", "p3", "test"),
]


def listing(folder: Path, lines: list[tuple[str, ...]] = LINES, header: str = "file,label,patient,split") -> Path:
    """A CSV with its image files, each of its own noise."""
    for number, line in enumerate(lines):
        save(folder / line[0], noise(6, 5, seed=number))
    return text(folder, "\n".join([header, *(",".join(line) for line in lines)]) + "\n")


def text(folder: Path, content: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(content, encoding="utf-8")
    return path


# -- CSV ---------------------------------------------------------------------------------------------------------------


def test_rows_are_the_lines_of_the_file(tmp_path: Path) -> None:
    table = Table.from_csv(listing(tmp_path), tmp_path, group="patient")
    assert len(table) == 4
    assert list(table) == [Case(f, int(y), p, n) for n, (f, y, p, _) in enumerate(LINES)]
    assert table.classes == ("0", "1", "2")
    assert table.labels.tolist() == [1, 0, 2, 1] and table.counts() == (1, 2, 1)
    assert table.form() == Form((1, 6, 5), "uint8") and table.shape() == (1, 6, 5)
    for row in range(4):
        np.testing.assert_array_equal(table.image(row), noise(6, 5, seed=row)[None])


def test_a_filter_keeps_the_classes_of_the_whole_file(tmp_path: Path) -> None:
    table = Table.from_csv(listing(tmp_path), tmp_path, where={"split": "test"})
    assert [case.name for case in table] == ["a.png", "b.png", "d.png"]
    assert [case.origin for case in table] == [0, 1, 3]
    assert table.classes == ("0", "1", "2") and table.counts() == (1, 2, 0)


def test_without_a_group_each_image_stands_alone(tmp_path: Path) -> None:
    assert [c.group for c in Table.from_csv(listing(tmp_path), tmp_path)] == [line[0] for line in LINES]


def test_named_classes_in_the_order_of_the_model(tmp_path: Path) -> None:
    path = listing(tmp_path, [("a.png", "sick"), ("b.png", "healthy"), ("c.png", "1")], "file,label")
    table = Table.from_csv(path, tmp_path, classes=["healthy", "sick"])
    assert table.labels.tolist() == [1, 0, 1] and table.classes == ("healthy", "sick")


def test_names_that_are_numbers_are_names(tmp_path: Path) -> None:
    path = listing(tmp_path, [("a.png", "1"), ("b.png", "3"), ("c.png", "3.0")], "file,label")
    assert Table.from_csv(path, tmp_path, classes=["1", "3"]).labels.tolist() == [0, 1, 1]
    text(tmp_path, "file,label\na.png,0\nb.png,3\n")
    with pytest.raises(InputError, match=r"line 2.*'0'.*not one of the classes 1, 3"):
        Table.from_csv(path, tmp_path, classes=["1", "3"])


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark(tmp_path: Path, delimiter: str) -> None:
    listing(tmp_path)
    path = text(
        tmp_path,
        f"\ufefffile{delimiter}label\r\n'a'{delimiter}0\r\n\r\na.png{delimiter} 1 \r\n".replace("'a'", "b.png"),
    )
    assert [(c.name, c.label) for c in Table.from_csv(path, tmp_path)] == [("b.png", 0), ("a.png", 1)]


def test_quoted_cells(tmp_path: Path) -> None:
    save(tmp_path / "a, b.png")
    path = text(tmp_path, 'file,label\n"a, b.png",0\n')
    assert Table.from_csv(path, tmp_path)[0].name == "a, b.png"


def test_identifiers_without_an_ending_and_absolute_paths(tmp_path: Path) -> None:
    listing(tmp_path)
    save(tmp_path / "deep/scan.v2.tif")
    path = text(tmp_path, f"file,label\n./a.png,0\n{tmp_path.resolve() / 'b.png'},1\nc,1\ndeep/scan.v2,1\n")
    names = [case.name for case in Table.from_csv(path, tmp_path)]
    assert names == ["a.png", "b.png", "c.png", "deep/scan.v2.tif"]


def test_an_identifier_of_two_images_is_missing(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="1 of 1 image files do not exist"):
        Table.from_csv(text(tmp_path, "file,label\na,0\n"), tmp_path)


def test_folders_without_dicom_are_not_said_to_be_missing(tmp_path: Path) -> None:
    save(tmp_path / "scans" / "notes" / "a.png")
    with pytest.raises(InputError, match=r"1 of 1 images are folders under .* without a DICOM file: first 'scans'"):
        Table.from_csv(text(tmp_path, "file,label\nscans,0\n"), tmp_path)
    with pytest.raises(InputError, match="1 of 1 image files do not exist"):
        Table.from_csv(text(tmp_path, "file,label\n,0\n"), tmp_path)


BAD = {
    "no line": ("file,label\n", "no line below its header"),
    "nothing": ("", "no line below its header"),
    "missing column": ("file,labels\na.png,0\n", r"no column 'label'. Did you mean 'labels'\?"),
    "doubled column": ("file,label,label\na.png,0,1\n", "'label' appears twice"),
    "short line": ("file,label\na.png,0\nb.png\n", "line 3: 1 cells under 2 columns"),
    "long line": ("file,label\na, b.png,0\n", "line 2: 3 cells under 2 columns"),
    "open quote": (
        'file,label\n"a.png,0\n',
        "line 2: .*A quote that opens in line 2.*save the table again",
    ),
    "missing file": (
        "file,label\na.png,0\nx.png,1\n,0\n",
        r"2 of 3 image files do not exist under .*'x.png' \(line 3\)",
    ),
    "same file twice": ("file,label\na.png,0\nb.png,0\na.png,1\n", "a.png twice, in lines 2 and 4"),
    "names": ("file,label\na.png,sick\nb.png,healthy\n", r'classes = \["healthy", "sick"\]'),
    "from one": ("file,label\na.png,1\nb.png,2\n", r'counts from 1.*classes = \["1", "2"\]'),
    "identifiers": ("file,label\na.png,0\nb.png,20231\n", "20231, which is not a class number"),
    "a fraction": ("file,label\na.png,0\nb.png,1.5\n", "line 3: column 'label' holds '1.5', .*classes 0.*Correct"),
    "negative": ("file,label\na.png,0\nb.png,-1\n", "line 3: column 'label' holds '-1'"),
    "empty label": ("file,label\na.png,0\nb.png,\n", "line 3: column 'label' holds ''"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables(tmp_path: Path, name: str) -> None:
    listing(tmp_path)
    content, words = BAD[name]
    with pytest.raises(InputError, match=words) as caught:
        Table.from_csv(text(tmp_path, content), tmp_path)
    assert "labels.csv" in str(caught.value)


def test_a_label_outside_the_given_classes(tmp_path: Path) -> None:
    words = r"labels.csv, line 4: column 'label' holds '2', which is not one of the classes no, yes"
    with pytest.raises(InputError, match=words):
        Table.from_csv(listing(tmp_path), tmp_path, classes=["no", "yes"])


@pytest.mark.parametrize("classes", [["a", "a"], ["a", ""]])
def test_classes_must_be_different_names(tmp_path: Path, classes: list[str]) -> None:
    with pytest.raises(InputError, match="Name each class once"):
        Table.from_csv(listing(tmp_path), tmp_path, classes=classes)


def test_a_filter_that_leaves_nothing_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no line has split = 'tets'.*'split' holds test, train"):
        Table.from_csv(listing(tmp_path), tmp_path, where={"split": "tets"})
    with pytest.raises(InputError, match=r"no column 'splt'. Did you mean 'split'\?"):
        Table.from_csv(listing(tmp_path), tmp_path, where={"splt": "test"})


def test_filters_are_combined_and_compared_as_text(tmp_path: Path) -> None:
    table = Table.from_csv(listing(tmp_path), tmp_path, where={"split": "test", "label": 1})
    assert [case.name for case in table] == ["a.png", "d.png"]


def test_an_empty_group_is_not_a_patient(tmp_path: Path) -> None:
    listing(tmp_path)
    path = text(tmp_path, "file,label,patient\na.png,0,p1\nb.png,1,\n")
    with pytest.raises(InputError, match="line 3: column 'patient' is empty"):
        Table.from_csv(path, tmp_path, group="patient")


def test_missing_table_folder_and_encoding(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.csv does not exist"):
        Table.from_csv(tmp_path / "none.csv", tmp_path)
    with pytest.raises(InputError, match="is not a file"):
        Table.from_csv(tmp_path, tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        Table.from_csv(listing(tmp_path), tmp_path / "none")
    (tmp_path / "labels.csv").write_bytes("file,label\nä.png,0\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"labels.csv is not UTF-8 text \(byte 11, in line 2\)"):
        Table.from_csv(tmp_path / "labels.csv", tmp_path)


# -- folders -----------------------------------------------------------------------------------------------------------


def test_folders_are_classes(tmp_path: Path) -> None:
    for name in ("10/a.png", "2/b.png", "2/deep/c.PNG", "2/.hidden.png", "2/notes.txt", ".cache/d.png"):
        save(tmp_path / name, format="png")
    table = Table.from_folders(tmp_path)
    assert table.classes == ("2", "10")
    assert [(case.name, case.label) for case in table] == [("2/b.png", 0), ("2/deep/c.PNG", 0), ("10/a.png", 1)]
    assert table.image(1).shape == (1, 8, 9)


def test_folders_in_the_order_of_the_model(tmp_path: Path) -> None:
    save(tmp_path / "cat/a.png")
    save(tmp_path / "dog/b.png")
    table = Table.from_folders(tmp_path, classes=["dog", "bird", "cat"])
    assert [(case.name, case.label) for case in table] == [("dog/b.png", 0), ("cat/a.png", 2)]
    with pytest.raises(InputError, match=r"cat is not one of the classes dog, cats, .*Did you mean 'cats'\?"):
        Table.from_folders(tmp_path, classes=["dog", "cats"])


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        Table.from_folders(tmp_path / "none")
    with pytest.raises(InputError, match="holds no folders"):
        Table.from_folders(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(InputError, match="1 folders without images"):
        Table.from_folders(tmp_path)
    save(tmp_path / "stray.png")
    with pytest.raises(InputError, match=r"1 images outside any class folder: first stray.png"):
        Table.from_folders(tmp_path)


# -- the table itself --------------------------------------------------------------------------------------------------


def test_two_forms_in_one_table_are_named(tmp_path: Path) -> None:
    table = Table.from_csv(listing(tmp_path), tmp_path)
    save(tmp_path / "c.png", noise(6, 7))
    with pytest.raises(InputError, match=r"a.png is grey, 6 x 5 .* c.png is grey, 6 x 7 .*Resize"):
        table.shape()
    save(tmp_path / "c.png", noise(6, 5, dtype="uint16"))
    with pytest.raises(InputError, match=r"8 bit, and c.png is .*16 bit"):
        table.form()


def test_a_damaged_image_is_named_when_it_is_read(tmp_path: Path) -> None:
    table = Table.from_csv(listing(tmp_path), tmp_path)
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:50])
    assert table.image(0).shape == (1, 6, 5)
    with pytest.raises(InputError, match=r"b.png is truncated or damaged"):
        table.image(1)


@dataclasses.dataclass(frozen=True)
class Made:
    """A source whose images exist only here: each is its origin, over and over."""

    def read(self, case: Case) -> Array:
        return np.full((1, 2, 2), case.origin, np.uint16)

    def form(self, case: Case) -> Form:
        array = self.read(case)
        return Form(tuple(array.shape), array.dtype.name)

    def content(self, case: Case) -> bytes:
        return self.read(case).tobytes()


def made(labels: list[int], classes: int = 4) -> Table:
    cases = tuple(Case(f"{n}.png", label, f"{n}.png", n) for n, label in enumerate(labels))
    return Table(cases, tuple(map(str, range(classes))), Made())


@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=60), count=st.integers(1, 70), seed=st.integers(0, 9))
def test_limit_laws(labels: list[int], count: int, seed: int) -> None:
    table = made(labels)
    limited = table.limit(count, seed)
    rows = [case.origin for case in limited]
    assert len(limited) == min(count, len(table))
    assert rows == sorted(set(rows))  # the table's order, nothing twice
    assert limited == table.limit(count, seed)  # the same every time
    assert set(rows) <= {case.origin for case in table.limit(count + 1, seed)}  # a smaller limit is part of a larger
    present = Counter(labels)
    if count >= len(present):
        assert set(limited.labels.tolist()) == set(present)  # no class vanishes
    for label, total in present.items():  # in proportion, to within the classes' rounding
        assert abs(limited.counts()[label] - total * len(limited) / len(table)) <= len(present)


def test_limit_draws_by_seed_and_refuses_nothing(tmp_path: Path) -> None:
    table = made([0, 1] * 50)
    drawn = {tuple(case.origin for case in table.limit(10, seed)) for seed in range(5)}
    assert len(drawn) == 5
    with pytest.raises(InputError, match="0 leaves no image"):
        table.limit(0)


def test_limit_does_not_depend_on_the_order_of_the_lines() -> None:
    table = made([0, 1, 1, 2] * 10)
    turned = table.take(range(len(table) - 1, -1, -1))
    assert {case.name for case in table.limit(9, 3)} == {case.name for case in turned.limit(9, 3)}


def test_take(tmp_path: Path) -> None:
    table = made([0, 1, 2, 3]).take([3, 1])
    assert [case.origin for case in table] == [3, 1]
    assert table.image(0)[0, 0, 0] == 3 and table.classes == ("0", "1", "2", "3")


def test_an_empty_table_has_no_form() -> None:
    with pytest.raises(InputError, match="no images"):
        made([0]).take([]).form()


def test_fingerprint_tells_every_change_and_nothing_else(tmp_path: Path) -> None:
    def fingerprint(lines: list[tuple[str, ...]] = LINES, rows: list[int] | None = None) -> str:
        return Table.from_csv(listing(tmp_path, lines), tmp_path, group="patient").fingerprint(rows)

    first = fingerprint()
    assert first == fingerprint() and len(first) == 64
    assert fingerprint(rows=[0, 1]) == fingerprint(LINES[:2])  # other rows do not matter
    others = [
        fingerprint(rows=[0, 1]),
        fingerprint(rows=[1, 0]),
        fingerprint([("a.png", "2", "p1", "test"), *LINES[1:]]),  # a label
        fingerprint([("a.png", "1", "p9", "test"), *LINES[1:]]),  # a patient
        fingerprint([("z.png", "1", "p1", "test"), *LINES[1:]]),  # a name
    ]
    table = Table.from_csv(listing(tmp_path), tmp_path, group="patient")
    save(tmp_path / "d.png", noise(6, 5, seed=99))
    others.append(table.fingerprint())  # a pixel
    assert len({first, *others}) == 1 + len(others)


def test_each_image_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    content = Made.content
    monkeypatch.setattr(Made, "content", lambda self, case: (read.append(case.name), content(self, case))[1])
    table = made([0, 1, 2])
    table.fingerprint([0, 1])
    table.take([2, 1]).fingerprint()
    table.fingerprint()
    assert sorted(read) == ["0.png", "1.png", "2.png"]


def test_fingerprint_of_a_file_that_went_away(tmp_path: Path) -> None:
    table = Table.from_csv(listing(tmp_path), tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"a.png cannot be read: No such file"):
        table.fingerprint()


@pytest.mark.shared
def test_real_fundus_table() -> None:
    root = shared("cls_fundus_dr_aptos2019")
    table = Table.from_csv(root / "labels.csv", root, label="diagnosis", where={"split": "test"})
    by_identifier = Table.from_csv(
        root / "labels.csv", root / "images", file="id_code", label="diagnosis", where={"split": "test"}
    )
    assert len(table.classes) == 5 and table.shape() == (3, 224, 224)
    assert table.labels.tolist() == by_identifier.labels.tolist()
    np.testing.assert_array_equal(table.image(3), by_identifier.image(3))
    limited = table.limit(50)
    assert len(limited) == 50 and min(limited.counts()) >= 7


@pytest.mark.shared
def test_real_table_with_patients_and_unequal_sizes() -> None:
    root = shared("cls_ct_covid")
    table = Table.from_csv(
        root / "labels.csv", root, group="group", where={"split": "test"}, classes=["NonCOVID", "COVID"]
    )
    assert len({case.group for case in table}) < len(table)
    with pytest.raises(InputError, match="one shape and bit depth"):
        table.form()
