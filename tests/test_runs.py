"""Traces on the disk: whole or absent, of equal bytes, and read again as they were."""

import io
import math
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from palpate.errors import StorageError
from palpate.runs import RunFolder
from palpate.traces import FIELD_NAMES, TraceRow

ROW = TraceRow(**{field.name: {"str": "pgd", "int": 3, "float": 0.5}[str(field.type)] for field in fields(TraceRow)})
MAPS = {
    "rows": np.array([3, 8]),
    "shown": np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3),
    "change": np.array([[0.1, math.nan]], dtype=np.float32),
}


def _run(folder: Path, *identities: str) -> RunFolder:
    run = RunFolder(folder)
    run.save_description({"stability": {"items": [{"identity": identity} for identity in identities]}})
    return run


def test_rows_come_back_in_the_order_of_the_plan(tmp_path: Path) -> None:
    run = _run(tmp_path, "b", "never", "a")
    run.write_trace("a", [ROW, replace(ROW, step=4, value=math.nan)], MAPS)
    run.write_trace("b", [replace(ROW, attack="bim")], MAPS)
    run.write_trace("earlier", [replace(ROW, attack="of another plan")], MAPS)
    frame = run.traces()
    assert tuple(frame) == FIELD_NAMES
    assert frame["attack"].tolist() == ["bim", "pgd", "pgd"]
    assert frame["step"].tolist() == [3, 3, 4]
    assert frame["value"][:2].tolist() == [0.5, 0.5] and math.isnan(frame["value"][2])
    assert run.has_trace("a") and not run.has_trace("never")


@pytest.mark.parametrize("stability", [{}, {"stability": None}])
def test_a_run_without_traces_has_none(tmp_path: Path, stability: dict[str, None]) -> None:
    run = RunFolder(tmp_path)
    run.save_description(stability)
    assert {name: len(column) for name, column in run.traces().items()} == dict.fromkeys(FIELD_NAMES, 0)


def test_maps_come_back_and_have_the_same_bytes_every_time(tmp_path: Path) -> None:
    runs = [_run(tmp_path / name) for name in ("one", "two")]
    for run in runs:
        run.write_trace("a", [ROW], MAPS)
    files = [{path.name: path.read_bytes() for path in run.trace("a").parent.iterdir()} for run in runs]
    assert files[0] == files[1]
    assert sorted(files[0]) == ["a.npz", "a.parquet"]
    back = runs[0].trace_maps("a")
    assert list(back) == list(MAPS)
    for name, array in MAPS.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_an_archive_tells_no_time(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.write_trace("a", [ROW], MAPS)
    stored = io.BytesIO(run.trace("a").with_suffix(".npz").read_bytes())
    assert {entry.date_time for entry in zipfile.ZipFile(stored).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_trace_keeps_its_maps_when_its_rows_are_written_anew(tmp_path: Path) -> None:
    run = _run(tmp_path, "a")
    run.write_trace("a", [ROW], MAPS)
    run.write_trace("a", [replace(ROW, attack="renamed")])
    assert run.traces()["attack"].tolist() == ["renamed"]
    assert list(run.trace_maps("a")) == list(MAPS)


@pytest.mark.parametrize("gone", [".npz", ".parquet"])
def test_half_a_trace_is_none(tmp_path: Path, gone: str) -> None:
    run = _run(tmp_path, "a")
    run.write_trace("a", [ROW], MAPS)
    run.trace("a").with_suffix(gone).unlink()
    assert not run.has_trace("a")
    assert not len(run.traces()["row"])


def test_objects_are_never_stored(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        _run(tmp_path).write_trace("a", [ROW], {"rows": np.array([object()])})


@pytest.mark.parametrize("kept", [0, 1, 30, -30])
def test_damaged_files_are_named_with_the_mend(tmp_path: Path, kept: int) -> None:
    run = _run(tmp_path, "a")
    run.write_trace("a", [ROW], MAPS)
    for path in (run.trace("a"), run.trace("a").with_suffix(".npz")):
        path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(StorageError, match=r"a\.parquet is damaged .* Delete this file and run `palpate audit` again"):
        run.traces()
    with pytest.raises(StorageError, match=r"a\.npz is damaged .* Delete .*a\.parquet and run `palpate audit` again"):
        run.trace_maps("a")


def test_missing_maps_are_said(tmp_path: Path) -> None:
    run = _run(tmp_path, "a")
    run.write_trace("a", [ROW])
    with pytest.raises(StorageError, match=r"a\.npz is missing. Delete .*a\.parquet"):
        run.trace_maps("a")
