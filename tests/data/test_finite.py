"""NaN: refused, or replaced by the value that the user names, in the pixels and in what identifies them."""

from pathlib import Path

import numpy as np
import pytest

from palpate.data.formats.extremes import extremes
from palpate.data.formats.registry import read_scan, write_copy
from palpate.data.formats.scan import Note
from palpate.data.table import Table
from palpate.errors import InputError
from tests.data.volumes import changed, scan, write


def holed(path: Path) -> Path:
    voxels = scan(3, 5, 4).astype(np.float32)
    voxels[0, 0] = np.nan
    return write(path, voxels)


def test_a_value_takes_the_place_of_nan_and_is_what_a_copy_stores(tmp_path: Path) -> None:
    path = holed(tmp_path / "v.nii")
    held = read_scan(path, nan=-1024.0)
    expected = scan(3, 5, 4).astype(np.float32)
    expected[0, 0] = -1024
    np.testing.assert_array_equal(held.values[0], expected)
    write_copy(path, held.stored, tmp_path / "copy.nii", Note("pgd", "1", "x"))
    np.testing.assert_array_equal(read_scan(tmp_path / "copy.nii").values[0], expected)


def test_the_value_is_in_the_unit_of_the_values(tmp_path: Path) -> None:
    path = changed(holed(tmp_path / "v.nii"), "scl_slope", 2.0, "scl_inter", -10.0)
    assert (read_scan(path, nan=-1000.0).values[0, 0, 0] == -1000).all()


def test_infinity_is_refused_all_the_same(tmp_path: Path) -> None:
    voxels = scan(3, 5, 4).astype(np.float32)
    voxels[0, 0, 0] = np.inf
    with pytest.raises(InputError, match="infinity in 1 of 60"):
        read_scan(write(tmp_path / "v.nii", voxels), nan=0.0)


def test_the_value_changes_what_identifies_the_images(tmp_path: Path) -> None:
    for name in "ab":
        holed(tmp_path / f"{name}.nii")
    (tmp_path / "labels.csv").write_text("file,label\na.nii,0\nb.nii,1\n")
    table = Table.from_csv(tmp_path / "labels.csv", tmp_path)
    prints = {rows.fingerprint() for rows in (table, table.with_nan(0.0), table.with_nan(1.0))}
    assert len(prints) == 3
    with pytest.raises(InputError, match="NaN in 4 of 60"):
        table.image(0)
    assert table.with_nan(7.0).image(0)[0, 0, 0, 0] == 7


def test_extremes_pass_over_what_is_no_number(tmp_path: Path) -> None:
    assert extremes(holed(tmp_path / "v.nii")) == {
        "minimum": float(scan(3, 5, 4).reshape(15, 4)[1:].min()),
        "maximum": float(scan(3, 5, 4).reshape(15, 4)[1:].max()),
        "NaN": "4 of 60 voxels",
    }
    assert set(extremes(write(tmp_path / "whole.nii", scan(3, 5, 4)))) == {"minimum", "maximum"}
