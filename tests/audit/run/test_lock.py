"""One process at a time, and no lock that outlives its process."""

import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from palpate.audit.run import lock
from palpate.audit.run.lock import NAME, locked
from palpate.errors import StorageError

HOLD = """
import sys
from pathlib import Path
from palpate.audit.run.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_told_who_holds_it(tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        said = rf"in use by another palpate \(process {os.getpid()}\)\. Wait until"
        with pytest.raises(StorageError, match=said), locked(tmp_path / "run"):
            pass
        # The refused one left the lock alone.
        assert (tmp_path / "run" / NAME).is_file()


def test_it_is_released_also_by_an_exception(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with suppress(KeyError), locked(folder):
        (folder / "records").mkdir()
        raise KeyError
    with locked(folder):
        pass
    assert sorted(path.name for path in folder.iterdir()) == ["records"]


def test_a_folder_that_stayed_empty_is_removed(tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()


def test_a_killed_holder_holds_nobody_up(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match=f"process {other.pid}"), locked(folder):
            pass
        other.kill()
        other.wait()
    assert (folder / NAME).read_text() == str(other.pid)
    with locked(folder):
        assert (folder / NAME).read_text() == str(os.getpid())


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written to"), locked(tmp_path / "file"):
        pass


def test_a_lock_on_a_file_that_its_holder_has_just_removed_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, calls = lock._hold, [0]

    def late(handle: IO[str]) -> None:
        hold(handle)
        calls[0] += 1
        if calls[0] == 1:
            # The holder before removes the name and ends between our opening and our locking.
            (tmp_path / "run" / NAME).unlink()

    monkeypatch.setattr(lock, "_hold", late)
    with locked(tmp_path / "run"):
        assert calls[0] == 2
        assert (tmp_path / "run" / NAME).read_text() == str(os.getpid())


def test_a_file_system_without_locks_is_worked_on_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(handle: IO[str]) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_hold", unsupported)
    with locked(tmp_path / "run"):
        (tmp_path / "run" / "records").mkdir()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["records"]


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / NAME).symlink_to(tmp_path / "letter.txt")
    with pytest.raises(StorageError, match="not a lock that palpate wrote"), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "letter.txt").read_text() == "mine"
    assert (tmp_path / "run" / NAME).is_symlink()


def test_a_link_that_appears_after_the_first_look_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "12").write_text("34")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / NAME).symlink_to(tmp_path / "12")
    monkeypatch.setattr(Path, "is_symlink", lambda path: False)
    with pytest.raises(StorageError, match="cannot be written to"), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "12").read_text() == "34"


@pytest.mark.parametrize("content", ["held by another tool\n", "{}", "12 13"])
def test_a_lock_of_another_tool_keeps_its_contents(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    with pytest.raises(StorageError, match="may belong to another program"), locked(tmp_path):
        pass
    assert (tmp_path / NAME).read_text() == content


def test_a_pipe_in_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(StorageError, match="not a lock"), locked(tmp_path):
        pass
    assert (tmp_path / NAME).is_fifo()


def test_an_empty_folder_of_the_users_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with locked(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()
