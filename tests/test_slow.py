"""The list of slow tests fits the tests, and leaves some of every folder to `make quick`."""

import re

from tests.slow import SLOW, TESTS, is_slow_file


def exists(line: str) -> bool:
    file, _, test = line.partition("[")[0].partition("::")
    source = (TESTS / file).read_text() if (TESTS / file).is_file() else ""
    return re.search(rf"^def {test}\b" if test else "^def test_", source, flags=re.MULTILINE) is not None


def test_what_the_list_names_exists() -> None:
    assert [line for line in sorted(SLOW) if not exists(line)] == []


def test_every_folder_keeps_a_file_that_is_not_slow() -> None:
    quick = {file.parent for file in TESTS.rglob("test_*.py") if not is_slow_file(file)}
    assert {file.parent for file in TESTS.rglob("test_*.py")} == quick
