"""The layout of a model is timed once on a machine; a file that is missing, damaged or not writable does no harm."""

from pathlib import Path

import pytest

from palpate.audit.subject.remembered import remembered
from palpate.victim import Tuning

FOUND = Tuning(layout="channels_last", fold=True)


class Timing:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> Tuning:
        self.asked += 1
        return FOUND


def test_a_layout_is_timed_once_for_the_same_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALPATE_CACHE", str(tmp_path))
    time = Timing()
    assert remembered({"model": "a"}, time) == remembered({"model": "a"}, time) == FOUND and time.asked == 1
    remembered({"model": "b"}, time)
    assert time.asked == 2
    (first, second) = (tmp_path / "layouts").iterdir()
    for damage in ("", "[]", first.read_text().replace("channels_last", "sideways")):
        first.write_text(damage)
        second.write_text(damage)
        before = time.asked
        assert remembered({"model": "a"}, time) == FOUND and time.asked == before + 1, damage


def test_nothing_is_written_where_it_is_not_wanted_or_not_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    (tmp_path / "file").write_text("")
    for value in ("0", "", str(tmp_path / "file")):
        monkeypatch.setenv("PALPATE_CACHE", value)
        time = Timing()
        assert remembered({}, time) == remembered({}, time) == FOUND and time.asked == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    monkeypatch.delenv("PALPATE_CACHE")
    remembered({}, Timing())
    assert len(list((tmp_path / "home/.cache/palpate/layouts").iterdir())) == 1
