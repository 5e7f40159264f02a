from pathlib import Path

import pytest

from palpate.data.cases import Case
from palpate.data.source import Folder
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.hardening.data.split import split_rows


def table(labels: list[int], groups: list[str]) -> Table:
    cases = [Case(f"{n}.png", label, group, n) for n, (label, group) in enumerate(zip(labels, groups, strict=True))]
    return Table(tuple(cases), ("a", "b", "c"), Folder(Path(".")))


def split(rows, patients, share, seed):
    return split_rows(rows, patients, range(len(rows)), share, seed)


def by_group(rows: Table) -> dict[int, str]:
    return {row: case.group for row, case in enumerate(rows)}


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_in_both_halves_and_every_row_is_in_one(seed):
    rows = table([n % 3 for n in range(60)], [f"p{n // 4}" for n in range(60)])
    found = split(rows, by_group(rows), 0.2, seed)
    assert sorted((*found.training, *found.validation)) == list(range(60))
    assert not {rows[row].group for row in found.training} & {rows[row].group for row in found.validation}
    assert len(found.validation) == 12


def test_every_class_with_two_patients_is_in_both_halves():
    rows = table([0] * 20 + [1] * 2 + [2] * 2, [f"p{n}" for n in range(24)])
    found = split(rows, by_group(rows), 0.1, 0)
    for half in (found.training, found.validation):
        assert {rows[row].label for row in half} == {0, 1, 2}
    assert not found.notes


def test_a_class_with_one_patient_is_trained_on_and_named():
    rows = table([0] * 10 + [1], [f"p{n}" for n in range(11)])
    found = split(rows, by_group(rows), 0.3, 0)
    assert 10 in found.training
    assert found.notes == (
        "'b' has training images of one patient only, so the choice of the best epoch does not see it.",
    )


def test_one_patient_is_refused():
    rows = table([0, 1, 0], ["p"] * 3)
    with pytest.raises(InputError, match=r"all training images are of one patient.*\[harden.validation\]"):
        split(rows, by_group(rows), 0.2, 0)


def test_two_patients_of_two_classes_are_one_half_each():
    rows = table([0, 0, 1, 1], ["p", "p", "q", "q"])
    found = split(rows, by_group(rows), 0.2, 0)
    assert len(found.training) == len(found.validation) == 2


def test_rows_without_patient_are_split_one_by_one_and_order_does_not_matter():
    rows = table([n % 2 for n in range(20)], [f"{n}.png" for n in range(20)])
    found = split(rows, {}, 0.2, 0)
    turned = Table(tuple(reversed(rows.cases)), rows.classes, rows.source)
    other = split(turned, {}, 0.2, 0)
    assert {rows[row].name for row in found.validation} == {turned[row].name for row in other.validation}
    assert len(found.validation) == 4


def test_only_the_given_rows_are_split():
    rows = table([n % 2 for n in range(20)], [f"p{n // 2}" for n in range(20)])
    found = split_rows(rows, by_group(rows), range(4, 20), 0.25, 0)
    assert sorted((*found.training, *found.validation)) == list(range(4, 20))
