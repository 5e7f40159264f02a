from __future__ import annotations

import pytest

from palpate.report.model.schema import Results
from palpate.report.model.schema_stability import Stability
from palpate.storage.runs import RunFolder
from tests.report.clinic import make_ct, make_endoscopy
from tests.report.known import measure
from tests.report.traced import make_traced
from tests.report.world import FEW, PLAIN, make_run


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


@pytest.fixture(scope="session")
def ct(tmp_path_factory) -> RunFolder:
    """CT in Hounsfield units, with post-processing, sites and exports; tests must not write into it."""
    return make_ct(tmp_path_factory.mktemp("ct") / "run")


@pytest.fixture(scope="session")
def ct_results(ct) -> Results:
    """The figures of the CT run."""
    return measure(ct)


@pytest.fixture(scope="session")
def lattice(tmp_path_factory) -> RunFolder:
    """The same of fewer attacks, searched on the lattice."""
    return make_ct(tmp_path_factory.mktemp("lattice") / "run", lattice=True, names=("pgd",), task=PLAIN)


@pytest.fixture(scope="session")
def endoscopy(tmp_path_factory) -> RunFolder:
    """A detector on JPEGs."""
    return make_endoscopy(tmp_path_factory.mktemp("endoscopy") / "run", pictures=1)


@pytest.fixture(scope="session")
def traced(tmp_path_factory) -> RunFolder:
    """A grader's run with traces; tests must not write into it."""
    return make_traced(tmp_path_factory.mktemp("traced") / "run")


@pytest.fixture(scope="session")
def stability(traced) -> Stability:
    """The stability of the traced run."""
    return measure(traced).stability
