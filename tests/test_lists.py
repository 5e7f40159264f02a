"""Lists as one array: indexed like an array of lists, without an object each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from palpate.errors import InputError
from palpate.storage.frames import texts
from palpate.storage.lists import Lists

ROWS = [[1.0, 2.0], [], [3.0, 4.0], [5.0]]


def test_a_chosen_part_has_the_lists_of_its_places() -> None:
    lists = Lists.of(ROWS)
    assert len(lists) == 4 and lists.widths == [0, 1, 2] and [one.tolist() for one in lists] == ROWS
    assert [one.tolist() for one in lists[np.array([3, 0])]] == [ROWS[3], ROWS[0]]
    assert lists[np.array([False, True, True, True])].flat().tolist() == [3.0, 4.0, 5.0]
    assert lists[1:3].flat().tolist() == [3.0, 4.0]


def test_a_table_has_gaps_and_refuses_other_lengths() -> None:
    lists = Lists.of(ROWS)
    assert np.array_equal(lists[:3].table(2), [[1, 2], [np.nan, np.nan], [3, 4]], equal_nan=True)
    with pytest.raises(InputError, match="holds 1 numbers instead of 2"):
        lists.table(2)


def test_lists_in_cells_of_a_larger_array() -> None:
    found = Lists.of(ROWS).spread((np.array([0, 0, 1, 1]), np.array([0, 1, 2, 0])), (2, 3))
    assert [[one.tolist() for one in row] for row in found] == [[[1, 2], [], []], [[5], [], [3, 4]]]


def test_equal_texts_of_several_files_are_one_object() -> None:
    column = texts(pa.chunked_array([["pgd", "no" + "ise"], ["noise", "pgd"]], pa.string()))
    assert column.tolist() == ["pgd", "noise", "noise", "pgd"]
    assert column[1] is column[2] and column[0] is column[3]
    assert texts(pa.chunked_array([], pa.string())).tolist() == []
