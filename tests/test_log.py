"""`run.log`: a torn end is ignored, other damage is seen, a log of another `run.json` does not count."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import journal
from palpate.storage.runs import RunFolder

WHOLE = {"findings": [{"text": "old"}], "shard_seconds": {"a": None, "b": None}, "attacks": [{"seconds": 0}]}
CHANGES = (
    {"set": [[["shard_seconds", "a"], 1.5], [["attacks", 0, "seconds"], 1.5]]},
    {"set": [[["shard_seconds", "b"], 2.5]], "add": [[["findings"], {"text": "old"}], [["findings"], {"text": "new"}]]},
)


def _run(folder: Path) -> RunFolder:
    run = RunFolder(folder)
    digest = run.save_description(WHOLE)
    for change in CHANGES:
        run.append_change(digest, change)
    return run


def test_what_the_log_says_is_read_as_if_run_json_said_it(tmp_path: Path) -> None:
    run = _run(tmp_path)
    said = run.describe()
    assert said["shard_seconds"] == {"a": 1.5, "b": 2.5} and said["attacks"] == [{"seconds": 1.5}]
    assert said["findings"] == [{"text": "old"}, {"text": "new"}]
    assert run.intact(said)
    run.save_description(said)
    assert not run.log.exists() and run.describe()["shard_seconds"] == {"a": 1.5, "b": 2.5}


@pytest.mark.parametrize("cut", [1, 20])
def test_a_torn_last_line_is_ignored(tmp_path: Path, cut: int) -> None:
    run = _run(tmp_path)
    run.log.write_bytes(run.log.read_bytes()[:-cut])
    said = run.describe()
    assert said["shard_seconds"] == {"a": 1.5, "b": None} and run.intact(said)


@pytest.mark.parametrize("place", ["shard_seconds", "of"])
def test_damage_before_the_last_line_is_seen(tmp_path: Path, place: str) -> None:
    run = _run(tmp_path)
    run.log.write_bytes(run.log.read_bytes().replace(place.encode(), b"x", 1))
    assert not run.intact(run.describe())


def test_a_change_of_what_is_not_there_is_damage(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    digest = run.save_description(WHOLE)
    run.append_change(digest, {"set": [[["attacks", 7, "seconds"], 1.0]]})
    assert not run.intact(run.describe())


def test_a_log_of_another_run_json_does_not_count(tmp_path: Path) -> None:
    run = _run(tmp_path)
    log = run.log.read_bytes()
    run.save_description({**WHOLE, "title": "another"})
    run.log.write_bytes(log)
    said = run.describe()
    assert said["shard_seconds"] == WHOLE["shard_seconds"] and run.intact(said)


def test_a_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    run, letter = RunFolder(tmp_path / "run"), tmp_path / "letter.txt"
    digest = run.save_description(WHOLE)
    letter.write_text("mine")
    run.log.symlink_to(letter)
    with pytest.raises(Exception, match=r"run\.log cannot be written"):
        run.append_change(digest, CHANGES[0])
    assert letter.read_text() == "mine"


def test_a_shard_costs_the_same_bytes_however_many_there_are(tmp_path: Path) -> None:
    few, many = (journal.run(tmp_path / str(count), count) for count in (20, 80))
    assert many < 4.2 * few
    assert many / 80 < 20e6 / 5000
