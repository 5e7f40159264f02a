"""The fixture `palpate_audit`, in sessions of pytest inside this one."""

import pytest

from tests.api import small

pytest_plugins = ["pytester"]
# A session inside this one forgets the modules that it loaded; what an audit needs is loaded before.
pytestmark = pytest.mark.usefixtures("world")

TEST = """
import pytest

def test_robust(palpate_audit):
    run = palpate_audit("plan.toml", report=False)
    assert run.robust_accuracy(eps="6/255") == pytest.approx(5 / 12)
"""
GATE = '\n[[gates]]\nmetric = "robust_accuracy"\neps = "6/255"\nat_least = {}\n'


def session(pytester, *given):
    return pytester.runpytest_inprocess("-p", "palpate.pytest_plugin", "-p", "no:hypothesispytest", "-q", *given)


def test_a_plan_is_carried_out_once_and_its_gates_are_read_at_every_session(pytester):
    small.folder(pytester.path)
    pytester.makepyfile(TEST)
    plan = pytester.path / "plan.toml"
    plan.write_text(small.TEXT.replace('images = "all"', 'images = "none"') + GATE.format(0.3))
    session(pytester).assert_outcomes(passed=1)
    (folder,) = (pytester.path / ".pytest_cache" / "d" / "palpate").iterdir()
    records = {path: path.stat().st_mtime_ns for path in (folder / "records").iterdir()}
    assert folder.name.startswith("plan-") and records
    plan.write_text(plan.read_text().replace("at_least = 0.3", "at_least = 0.5"))
    looks = TEST.replace("test_robust", "test_looks").replace("report=False", "report=False, gates=False")
    pytester.makepyfile(TEST + looks)
    result = session(pytester)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*A gate of the plan failed.*",
            "*robust accuracy under any attack at eps 6/255: at least 0.5: measured 0.4167*",
        ]
    )
    result.stdout.no_fnmatch_line("*_require_gates*")
    assert records == {path: path.stat().st_mtime_ns for path in (folder / "records").iterdir()}, (
        "nothing is done again"
    )


def test_a_plan_with_a_mistake_is_a_sentence(pytester):
    pytester.makepyfile("def test_robust(palpate_audit):\n    palpate_audit('missing.toml')\n")
    result = session(pytester, "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*missing.toml does not exist.*"])
    result.stdout.no_fnmatch_line("*auditing.py*")


@pytest.mark.parametrize("worker", ["", "gw1"])
def test_processes_of_one_session_have_folders_of_their_own(worker, monkeypatch):
    from palpate.pytest_plugin import _folder_name

    monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
    assert _folder_name("plan", {"a": 1}).endswith(worker) and _folder_name("plan", 1) != _folder_name("plan", 2)
