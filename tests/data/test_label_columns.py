"""What columns of an unknown table are told to be: classes, one-hot classes, findings, or lists of findings."""

from __future__ import annotations

from collections import Counter

import pytest

from palpate.data.inspect.label_columns import (
    Choice,
    class_column,
    classes_of,
    finding_columns,
    finding_lists,
    one_hot_columns,
)
from palpate.data.sheets import Line


def table(**columns: str | list[str]) -> tuple[dict[str, Counter[str]], list[Line]]:
    cells = {name.replace("_", " "): list(held) for name, held in columns.items()}
    count = len(next(iter(cells.values())))
    lines = [Line(row + 2, {name: held[row] for name, held in cells.items()}) for row in range(count)]
    return {name: Counter(held) for name, held in cells.items()}, lines


def test_a_name_decides_and_other_names_are_told() -> None:
    columns, _ = table(view="abababab", grade="00112200", target="01010101")
    assert class_column(columns) == Choice("grade", ("target",), asked=True)
    same, _ = table(dx="abab", target="0101")
    assert class_column(same) == Choice("target", ("dx",), asked=False)


def test_without_a_name_the_user_is_asked_only_where_several_would_do() -> None:
    assert class_column(table(colour="abab", shape="aabb")[0]) == Choice("colour", ("shape",), asked=True)
    assert class_column(table(colour="abab", sex="FMFM")[0]) == Choice("colour")
    assert class_column(table(sex="FMFM", age="1122")[0]) is None


def test_one_column_a_class_needs_exactly_one_in_each_line() -> None:
    columns, lines = table(mel="1000", nv="0110", bcc="0001", unk="0000")
    assert one_hot_columns(columns, lines) == ("mel", "nv", "bcc", "unk") == classes_of(columns, lines)
    several, lines = table(mel="1100", nv="0110", bcc="0001")
    assert one_hot_columns(several, lines) == () and classes_of(several, lines) is None
    none, lines = table(mel="1000", nv="0110", bcc="0000")
    assert one_hot_columns(none, lines) == ()


def test_findings_are_several_columns_of_present_and_absent() -> None:
    mixed = {"Cardiomegaly": ["1.0", "0.0", "0.0"], "Edema": ["", "-1.0", ""], "Fracture": ["0.0"] * 3}
    columns, _ = table(Sex="FMF", **mixed, seen=["1"] * 3)
    # Fracture is all zeros and stands beside findings; so is `seen`, all ones.
    assert finding_columns(columns) == ("Cardiomegaly", "Edema", "Fracture", "seen")
    apart, _ = table(seen=["1"] * 3, Age=["50", "51", "52"], **mixed)
    assert finding_columns(apart) == ("Cardiomegaly", "Edema", "Fracture")
    assert finding_columns(table(pneumonia="0101", sex="0101")[0]) == ()


def test_no_finding_is_no_class_beside_findings() -> None:
    columns, lines = table(No_Finding="1000", Mass="0110", Nodule="0100")
    assert classes_of(columns, lines) is None and finding_columns(columns) == ("No Finding", "Mass", "Nodule")


@pytest.mark.parametrize(
    ("cells", "separator", "names", "ignored"),
    [
        (["No Finding", "Effusion|Mass", "Mass"], "|", ("Effusion", "Mass"), ("No Finding",)),
        (["a;b", "b", ""], ";", ("a", "b"), ("",)),
        (["a, b", "b, c", "none"], ",", ("a", "b", "c"), ("none",)),
        (["['normal']", "['a', 'b c']", "[]"], ",", ("a", "b c"), ("normal",)),
    ],
)
def test_lists_of_findings(cells: list[str], separator: str, names: tuple[str, ...], ignored: tuple[str, ...]) -> None:
    columns, lines = table(Finding_Labels=cells)
    found = finding_lists(columns)
    assert found is not None
    assert (found[0].separator, found[1], found[0].ignored) == (separator, names, ignored)
    assert classes_of(columns, lines) is None


@pytest.mark.parametrize(
    "cells",
    [
        ["normal, benign", "malignant", "normal, benign"],  # one name with a comma
        ["a", "b", "a"],
        ["1,2", "2,3", "3"],  # numbers
    ],
)
def test_what_is_no_list(cells: list[str]) -> None:
    assert finding_lists(table(label=cells)[0]) is None


def test_free_text_is_no_list() -> None:
    assert finding_lists(table(report=["a, b", "b, c", "c"])[0]) is None
