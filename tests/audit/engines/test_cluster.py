"""A real Ray cluster of two machines that are processes here: what is killed, and what is lost for good."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from palpate.audit.engines import cluster as engine
from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.errors import InputError, PlanError
from tests.audit import tiny
from tests.audit.engines.test_pool import DRIVER, TEXT, _children, _until, files

RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not RAY, reason='Ray is not installed: pip install "palpate[ray]"')


def _on_ray(address: str) -> str:
    return TEXT.replace("[run]", f'[run]\nengine = "ray"\nworkers = 2\naddress = "{address}"')


# -- what is refused before anything is loaded ----------------------------------------------------------------------


def test_without_ray_the_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'"ray" needs Ray\. Install it: pip install "palpate\[ray\]"'):
        audit(tiny.write(tmp_path / "plan", _on_ray("auto")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_address_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: object())
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"run.address: nothing answers at {place}\. Start Ray there"):
            audit(tiny.write(tmp_path / "plan", _on_ray(place)), tmp_path / "run")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("workers = 2", r'run\.workers: engine = "local" has no workers\. Add engine = "pool" or "ray"'),
        ('engine = "pool"\naddress = "auto"', r'run\.address: it belongs to engine = "ray"'),
        ('engine = "pool"\ngpus = 1', r'run\.gpus: it belongs to engine = "ray"'),
        ('engine = "ray"\naddress = "ray://head"', r"run\.address: 'ray://head' is no address\. Give HOST:PORT"),
        ('engine = "ray"\ngpus = 1.5', r"run\.gpus: 1\.5 cannot be given to a worker"),
        ('engine = "ray"\ngpus = 1\ndevice = "cpu"', r'run\.gpus: device = "cpu" uses no GPU'),
        ('engine = "pool"\ndevice = "cuda"', r'run\.engine: .* Use engine = "local", or "ray" with gpus'),
        ('engine = "spark"', r"run\.engine"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(tiny.PLAN.replace("[run]", f"[run]\n{lines}"))
    with pytest.raises(PlanError, match=said):
        load_plan(path)


# -- a real cluster -------------------------------------------------------------------------------------------------


def _patiently(start: Callable[[], Any]) -> Any:
    """What `start` gives; Ray gives its own processes 30 seconds, which a busy machine may not keep."""
    for _ in range(3):
        try:
            return start()
        except Exception as error:
            last = error
    raise last


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    # Ray lets its workers wait for everything else on a busy machine.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    made = _patiently(partial(Cluster, initialize_head=True, head_node_args={"num_cpus": 1}))
    made.second = _patiently(partial(made.add_node, num_cpus=1))
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process gives."""
    folder = tmp_path_factory.mktemp("whole")
    audit(tiny.write(folder / "plan", TEXT), folder / "run")
    return files(folder / "run")


def _workers(pid: int) -> list[int]:
    """The workers of Ray among the processes below this one that have loaded a model, or are loading it."""
    found = []
    for child in _children(pid):
        try:
            name = Path(f"/proc/{child}/cmdline").read_bytes()
            found += [int(child)] if name.startswith(b"ray::Actor") else _workers(int(child))
        except OSError:
            continue
    return found


class Losing(tiny.Heard):
    """After the first shard a worker is killed, after the third a machine is gone for good."""

    def __init__(self, cluster: Any):
        super().__init__()
        self.cluster = cluster

    def advance(self, shard: str, seconds: float, images: int) -> None:
        super().advance(shard, seconds, images)
        if len(self.shards) == 1:
            os.kill(_workers(os.getpid())[0], signal.SIGKILL)
        if len(self.shards) == 3:
            self.cluster.remove_node(self.cluster.second, allow_graceful=False)


@needs_ray
@pytest.mark.slow
def test_killed_audits_and_workers_and_lost_machines_change_no_byte(
    tmp_path: Path, cluster: Any, whole: dict[str, bytes]
) -> None:
    plan = tiny.write(tmp_path / "plan", _on_ray(cluster.address))
    (tmp_path / "drive.py").write_text(DRIVER)
    driver = subprocess.Popen(
        [sys.executable, tmp_path / "drive.py", tmp_path / "plan" / "plan.toml", tmp_path / "run"]
    )
    try:
        _until(lambda: any((tmp_path / "run" / "records").glob("*.parquet")) or driver.poll() is not None)
    finally:
        driver.kill()
        driver.wait()
    stored = files(tmp_path / "run")
    assert stored and stored.items() <= whole.items()
    _until(lambda: not _workers(os.getpid()))
    outcome = audit(plan, tmp_path / "run", progress=Losing(cluster))
    assert (outcome.status, outcome.failed) == ("finished", ())
    assert files(tmp_path / "run") == whole


class Vanishing(tiny.Heard):
    """After the first shard the whole cluster is gone."""

    def __init__(self, cluster: Any):
        super().__init__()
        self.cluster = cluster

    def advance(self, shard: str, seconds: float, images: int) -> None:
        super().advance(shard, seconds, images)
        if len(self.shards) == 1:
            self.cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)


@needs_ray
@pytest.mark.slow
def test_a_cluster_that_disappears_interrupts_the_audit_and_loses_nothing(
    tmp_path: Path, cluster: Any, whole: dict[str, bytes]
) -> None:
    plan = tiny.write(tmp_path / "plan", _on_ray(cluster.address))
    heard = Vanishing(cluster)
    outcome = audit(plan, tmp_path / "run", progress=heard)
    assert (outcome.interrupted, outcome.status) == (True, "unfinished") and outcome.done >= 1
    assert "does not answer any more" in heard.messages[-1]
    assert audit(tiny.rewrite(tmp_path / "plan", TEXT), tmp_path / "run").status == "finished"
    assert files(tmp_path / "run") == whole
