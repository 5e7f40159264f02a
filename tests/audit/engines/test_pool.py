"""Real worker processes: the same bytes as in one process, also when workers or the audit itself are killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from palpate.audit.run.runner import audit
from tests.audit import tiny

TEXT = tiny.PLAN + '\n[stability]\nimages = 0\n\n[export]\nimages = "shown"\n'
POOL = TEXT.replace("[run]", '[run]\nengine = "pool"\nworkers = 2')
SHARDS = 9
DRIVER = """
import sys, torch
from pathlib import Path
from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
if __name__ == "__main__":
    torch.set_num_threads(1)
    audit(load_plan(Path(sys.argv[1])), Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process gives."""
    folder = tmp_path_factory.mktemp("whole")
    audit(tiny.write(folder / "plan", TEXT), folder / "run")
    return files(folder / "run")


def files(run: Path) -> dict[str, bytes]:
    """Records, pictures and exports by name."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for folder in ("records", "images", "exports")
        for path in (run / folder).rglob("*")
        if path.is_file()
    }


class Killing(tiny.Heard):
    """Kills one worker after the first shard, and presses Ctrl-C after some more."""

    def advance(self, shard: str, seconds: float, images: int) -> None:
        if not self.shards:
            self.victim = multiprocessing.active_children()[0]
            assert self.victim.pid is not None
            os.kill(self.victim.pid, signal.SIGKILL)
        super().advance(shard, seconds, images)


def test_a_killed_worker_and_ctrl_c_lose_nothing(tmp_path: Path, whole: dict[str, bytes]) -> None:
    plan = tiny.write(tmp_path / "plan", POOL)
    outcome = audit(plan, tmp_path / "run", progress=Killing(stop_after=4))
    assert (outcome.interrupted, outcome.done, outcome.failed) == (True, 4, ())
    assert not multiprocessing.active_children(), "no worker outlives the audit"
    assert not list((tmp_path / "run").glob(".saving-*")), "what killed workers left is swept away"
    assert files(tmp_path / "run").items() <= whole.items()
    # The engine is no part of the plan that a run belongs to.
    plan = tiny.rewrite(tmp_path / "plan", TEXT)
    heard = tiny.Heard()
    assert audit(plan, tmp_path / "run", progress=heard).status == "finished"
    assert len(heard.shards) == SHARDS - 4
    assert files(tmp_path / "run") == whole


@pytest.mark.slow
def test_workers_end_with_a_killed_audit_and_the_next_start_goes_on(tmp_path: Path, whole: dict[str, bytes]) -> None:
    tiny.write(tmp_path / "plan", POOL)
    (tmp_path / "drive.py").write_text(DRIVER)
    given = [sys.executable, tmp_path / "drive.py", tmp_path / "plan" / "plan.toml", tmp_path / "run"]
    driver = subprocess.Popen(given)
    try:
        _until(lambda: any((tmp_path / "run" / "records").glob("*.parquet")) or driver.poll() is not None)
        workers = _children(driver.pid)
    finally:
        driver.kill()
        driver.wait()
    assert len(workers) >= 2, "it was killed while it worked"
    _until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert files(tmp_path / "run").items() <= whole.items()
    assert audit(tiny.rewrite(tmp_path / "plan", TEXT), tmp_path / "run").status == "finished"
    assert files(tmp_path / "run") == whole
    assert not list((tmp_path / "run").rglob(".*tmp")), "what killed workers left is swept away"


def _until(true: object, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
