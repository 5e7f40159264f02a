"""A full disk and a kill at every single write: nothing finished is lost, and going on gives the same bytes."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from palpate.audit.plan.plan import Plan
from palpate.audit.run.runner import audit
from palpate.errors import StorageError
from tests.audit import tiny

# Two attacks of two shards, and their traces: every kind of write, and few of each.
SMALL = (
    tiny.PLAN.replace("shard = 5", "shard = 6")
    .replace("steps = 3", "steps = 1")
    .replace('[[attacks]]\nattack = "noise"\ntries = 2\n', "")
)


class Killed(BaseException):
    """Stands for kill -9: nothing in the program handles it, and files stay as they are."""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return tiny.write(tmp_path_factory.mktemp("storage") / "plan", SMALL)


@pytest.fixture(scope="module")
def whole(plan: Plan) -> dict[str, bytes]:
    """The records and traces of a run that nothing disturbed."""
    audit(plan, plan.root / "run")
    return _stored(plan.root / "run")


def _stored(run: Path) -> dict[str, bytes]:
    return tiny.shards(run) | tiny.traces(run)


def _finished(stored: dict[str, bytes]) -> int:
    """Shards and traces, the maps of which are written first."""
    return sum(name.endswith(".parquet") for name in stored)


def _at(patch: pytest.MonkeyPatch, suffix: str, number: int, error: Callable[[], BaseException]) -> None:
    """Let the `number`-th rename (from 1) to a file of this ending fail."""
    real, count = os.replace, [0]

    def replace(source: Any, target: Any) -> None:
        count[0] += str(target).endswith(suffix)
        if str(target).endswith(suffix) and count[0] == number:
            raise error()
        real(source, target)

    patch.setattr(os, "replace", replace)


def _full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


MOMENTS = [
    ("plan.toml", 1),
    ("run.json", 1),
    ("-clean.png", 1),
    ("-adversarial.png", 3),
    (".parquet", 1),
    ("run.json", 2),
    (".parquet", 4),
    ("run.json", 7),
    (".npz", 1),
    (".parquet", 5),
    ("run.json", 8),
    (".npz", 2),
    (".parquet", 6),
    ("run.json", 9),
]
"""From the first write of a run to its last."""


@pytest.mark.parametrize(("suffix", "number"), MOMENTS)
def test_a_kill_at_any_write_loses_nothing(
    suffix: str,
    number: int,
    plan: Plan,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        _at(patch, suffix, number, Killed)
        with pytest.raises(Killed):
            audit(plan, run)
    before = _stored(run)
    assert before.items() <= whole.items()
    assert list(run.rglob("*.tmp")), "a killed writer leaves its temporary file"
    heard = tiny.Heard()
    assert audit(plan, run, progress=heard).status == "finished"
    assert len(heard.shards) + len(heard.traces) == _finished(whole) - _finished(before)
    assert _stored(run) == whole
    assert not list(run.rglob("*.tmp"))


@pytest.mark.parametrize(("suffix", "number"), MOMENTS)
def test_a_full_disk_is_said_and_going_on_gives_the_same_bytes(
    suffix: str,
    number: int,
    plan: Plan,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        _at(patch, suffix, number, _full)
        said = rf"The disk is full: .*{suffix} was not written.* run the same command again to continue"
        with pytest.raises(StorageError, match=said):
            audit(plan, run)
    assert not list(run.rglob("*.tmp")), "half a file must not fill the disk further"
    before = _stored(run)
    assert before.items() <= whole.items()
    heard = tiny.Heard()
    assert audit(plan, run, progress=heard).status == "finished"
    assert len(heard.shards) + len(heard.traces) == _finished(whole) - _finished(before)
    assert _stored(run) == whole


def test_a_disk_that_is_full_while_bytes_are_written_leaves_no_half_shard(
    plan: Plan, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [0]

    def fsync(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] > 12:
            raise _full()

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(StorageError, match="The disk is full"):
            audit(plan, tmp_path / "run")
    assert _stored(tmp_path / "run").items() <= whole.items()
    assert audit(plan, tmp_path / "run").status == "finished"
    assert _stored(tmp_path / "run") == whole


def test_kills_one_after_the_other_still_come_to_an_end(
    plan: Plan, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = 0
    while True:
        with monkeypatch.context() as patch:
            _at(patch, ".parquet", 2, Killed)
            try:
                outcome = audit(plan, tmp_path / "run")
            except Killed:
                kills += 1
                continue
        break
    assert outcome.status == "finished"
    assert kills == _finished(whole) - 1, "each start finishes one shard or trace and is killed in the next"
    assert _stored(tmp_path / "run") == whole


def test_a_folder_that_cannot_be_written_is_said(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written to"):
        audit(plan, tmp_path / "file" / "run")
