from __future__ import annotations

import pytest

from palpate.report.results import measure
from palpate.report.schema import Results
from palpate.runs import RunFolder
from tests.report.world import FEW, make_run


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> RunFolder:
    """A finished run; tests must not write into it."""
    return make_run(tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(scope="session")
def results(run) -> Results:
    """The figures of the finished run."""
    return measure(run)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory) -> RunFolder:
    """A run whose every text tries to run as a script."""
    return make_run(tmp_path_factory.mktemp("hostile") / "run", hostile=True, attacks=("noise", *FEW))


@pytest.fixture(scope="session")
def empty(tmp_path_factory) -> RunFolder:
    """A run that was started and has no record yet."""
    return make_run(tmp_path_factory.mktemp("empty") / "run", shards=[], status="unfinished", finished=None, gallery=[])
