"""Traces on the disk: whole or absent, of equal bytes, and read again as they were."""

import io
import json
import math
import os
import zipfile
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palpate.errors import StorageError
from palpate.storage.records import Record
from palpate.storage.runs import ARROW_SCHEMA, RunFolder
from palpate.storage.traces import FIELD_NAMES, TraceRow

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
def test_damaged_files_are_named_with_the_fix(tmp_path: Path, kept: int) -> None:
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


# -- damage --------------------------------------------------------------------------------------------------------


def _record(number: int) -> Record:
    values = {str: f"image {number % 3}", int: number, float: number + 0.5, bool: number % 2 == 0}
    return Record(**{name: values.get(kind, (0.1, number)) for name, kind in get_type_hints(Record).items()})


def _flips(path: Path, read: Callable[[], object], stride: int, first: int = 0) -> tuple[int, int]:
    """Flip one bit at a time: how often the file is refused, and how often its contents are the same all the same."""
    good, whole = path.read_bytes(), read()
    refused = same = 0
    # Every bit of the first and last bytes, which say how the rest is read; then each `stride`-th.
    last = 8 * len(good) - 320
    for bit in [*range(160), *range(160 + first, last, stride), *range(last, last + 320, 3)]:
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert read() == whole, f"bit {bit} changed what is read, and nothing was said"
            same += 1
        except StorageError:
            refused += 1
    path.write_bytes(good)
    return refused, same


def test_no_flipped_bit_of_a_shard_changes_a_value(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.write_shard("a", [_record(number) for number in range(5)])
    refused, same = _flips(run.shard("a"), lambda: repr(run.read_shard("a").to_pylist()), 211)
    assert refused > 200 and same > 20, "what no reader needs may change"


def test_no_flipped_bit_of_a_trace_changes_a_value(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.write_trace("a", [replace(ROW, step=step, value=math.nan) for step in range(4)], MAPS)
    refused, _ = _flips(run.trace("a"), lambda: repr(run.read_trace("a").to_pylist()), 211, first=3)
    assert refused > 200

    def maps() -> list[tuple[str, str, bytes]]:
        return [(name, str(array.dtype), array.tobytes()) for name, array in sorted(run.trace_maps("a").items())]

    refused, _ = _flips(run.trace("a").with_suffix(".npz"), maps, 7)
    assert refused > 200


def test_values_that_are_not_those_written_are_refused_although_the_pages_are_whole(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.write_shard("a", [_record(1)])
    marks = pq.read_schema(run.shard("a")).metadata
    other = pa.Table.from_pylist([asdict(_record(2))], schema=ARROW_SCHEMA).replace_schema_metadata(marks)
    pq.write_table(other, run.shard("a"))
    with pytest.raises(StorageError, match=r"a\.parquet is damaged \(its values differ from those that were written\)"):
        run.read_shard("a")


def test_pages_have_checksums(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.write_shard("a", [_record(number) for number in range(5)])
    good, said = run.shard("a").read_bytes(), []
    for place in range(40, len(good) // 2, 37):
        run.shard("a").write_bytes(good[:place] + bytes([good[place] ^ 16]) + good[place + 1 :])
        try:
            run.read_shard("a")
        except StorageError as error:
            said.append(str(error))
    assert sum("CRC" in sentence for sentence in said) > 10


def test_an_archive_of_an_earlier_palpate_is_read_and_a_shortened_one_is_not(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.write_trace("a", [ROW], MAPS)
    path = run.trace("a").with_suffix(".npz")
    whole = path.read_bytes()
    np.savez_compressed(path, **MAPS)
    assert list(run.trace_maps("a")) == list(MAPS)
    path.write_bytes(whole)
    with zipfile.ZipFile(path) as packed:
        mark = packed.comment
    np.savez_compressed(path, rows=MAPS["rows"])
    with zipfile.ZipFile(path, "a") as packed:
        packed.comment = mark
    with pytest.raises(StorageError, match="differ from those that were written"):
        run.trace_maps("a")


def test_shards_of_an_earlier_palpate_are_read(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.shard("a").parent.mkdir()
    pq.write_table(pa.Table.from_pylist([asdict(_record(1))], schema=ARROW_SCHEMA), run.shard("a"), compression="zstd")
    assert run.read_shard("a").to_pylist() == pa.Table.from_pylist([asdict(_record(1))], ARROW_SCHEMA).to_pylist()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"schema": ' + "9" * 5000 + "}",
        '{"schema": 3, "schema": {}}',
        '{"schema": true}',
        '{"schema": 3.0}',
        "\ufeff{}",
        "NaN",
        "",
    ],
)
def test_no_run_json_is_a_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(StorageError, match=r"run\.json"):
        RunFolder(tmp_path).describe()


@pytest.mark.parametrize("names", [3, "a", {"a": 1}, [3], [None], [["a"]], ["../../other"], ["a/b"], [""]])
def test_identities_that_name_no_file_of_the_run_are_refused(tmp_path: Path, names: object) -> None:
    run = RunFolder(tmp_path)
    run.save_description({"shards": names})
    with pytest.raises(StorageError, match="shards does not list the identities"):
        run.frame()
    items = [{"identity": name} for name in names] if isinstance(names, list) else names
    run.save_description({"stability": {"items": items}})
    with pytest.raises(StorageError, match=r"stability\.items does not list the identities"):
        run.traces()
    assert json.loads((tmp_path / "run.json").read_text())["stability"]["items"] == items


def test_a_shard_is_committed_after_its_files_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, real, written = RunFolder(tmp_path), os.replace, list[str]()

    def replace_file(source: Path, target: Path) -> None:
        if target.name == "b.png" and not written.count("full"):
            written.append("full")
            raise OSError(28, "No space left on device")
        written.append(target.name)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace_file)
    files = {"images/a.png": b"a", "images/b.png": b"b"}
    with pytest.raises(StorageError, match="The disk is full"):
        run.commit("shard", b"records", files)
    assert not run.has("shard"), "records without their files would never get them"
    run.commit("shard", b"records", files)
    run.commit("shard", b"records", files)
    assert written == ["a.png", "full", "b.png", "shard.parquet", "shard.parquet"]
    assert (tmp_path / "images" / "b.png").read_bytes() == b"b" and run.has("shard")
