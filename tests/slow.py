"""Which tests are slow: `slow.txt` lists them, by measured times, and `pytest -m "not slow"` leaves them out."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parent


def read_list() -> frozenset[str]:
    """Its lines: `test_file.py`, `test_file.py::test_name`, or `test_file.py::test_name[first_parameter-`."""
    lines = (line.strip() for line in (TESTS / "slow.txt").read_text().splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


SLOW = read_list()


def is_slow_file(file: Path) -> bool:
    """Whether every test of a file is slow."""
    return file.is_relative_to(TESTS) and file.relative_to(TESTS).as_posix() in SLOW


def is_slow(file: Path, name: str) -> bool:
    """Whether a test is slow: its file, its function, or its first parameter is listed."""
    if not file.is_relative_to(TESTS):
        return False
    path = file.relative_to(TESTS).as_posix()
    function, _, parameters = name.partition("[")
    first = f"{path}::{function}[{parameters.partition('-')[0]}-"
    return not SLOW.isdisjoint({path, f"{path}::{function}", first})
