"""A real Ray cluster of two machines that are processes here: what is killed, and what is lost for good."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest

from palpate.audit.engines import cluster as engine
from palpate.audit.engines import worker
from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.audit.subject.machine import versions
from palpate.errors import InputError, PlanError
from tests.audit import tiny
from tests.audit.engines.test_pool import DRIVER, SHARDS, TEXT, _children, _until, files

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


@pytest.mark.parametrize("place", ["ray://head:10001", "http://127.0.0.1:8265", "head", ":"])
def test_an_address_in_the_environment_that_is_none_is_named_as_such(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: object())
    monkeypatch.setenv("RAY_ADDRESS", place)
    with pytest.raises(InputError, match=rf"^RAY_ADDRESS: '{place}' is not the address of a Ray cluster\. Give HOST"):
        engine.require_ray(None)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"^RAY_ADDRESS: nothing answers at 127\.0\.0\.1:1\."):
        engine.require_ray(None)


@pytest.mark.slow
def test_a_script_that_its_own_processes_import_again_is_told_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: object())
    monkeypatch.setattr(engine, "talk", print)  # ends before it is connected
    with pytest.raises(InputError, match=r"the process that connects to Ray ended .* needs the line"):
        next(engine.Cluster(None, 1).run(iter(())))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("workers = 2", r'run\.workers: engine = "local" has no workers\. Add engine = "pool" or "ray"'),
        ('engine = "pool"\naddress = "auto"', r'run\.address: it belongs to engine = "ray"'),
        ('engine = "pool"\ngpus = 1', r'run\.gpus: it belongs to engine = "ray"'),
        ('engine = "ray"\naddress = "ray://head"', r"run\.address: 'ray://head' is not an address\. Give HOST:PORT"),
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


@needs_ray
@pytest.mark.slow
def test_an_address_where_something_else_answers_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engine, "_CONNECT", 2.0)
    monkeypatch.setattr(engine, "_CLOSING", 0.1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        place = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(
            InputError, match=rf"run.address: no Ray cluster of this version answered at {place} within 2"
        ):
            audit(tiny.write(tmp_path / "plan", _on_ray(place)), tmp_path / "run")


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
    # Without the ports that a cluster takes by default, so that another one of this machine is not in the way.
    head = {"num_cpus": 1, "include_dashboard": False, "dashboard_agent_listen_port": None}
    made = Cluster()
    try:
        try:
            _patiently(partial(made.add_node, **head))
            made.second = _patiently(partial(made.add_node, num_cpus=1))
        except Exception as error:
            pytest.skip(f"Ray starts no cluster on this machine: {error}")
        yield made
    finally:
        made.shutdown()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process gives."""
    folder = tmp_path_factory.mktemp("whole")
    audit(tiny.write(folder / "plan", TEXT), folder / "run")
    return files(folder / "run")


def _workers(pid: int, doing: bytes = b"") -> list[int]:
    """The workers of Ray among the processes below this one; `.compute`: those that are in the middle of a job."""
    found = []
    for child in _children(pid):
        try:
            name = Path(f"/proc/{child}/cmdline").read_bytes()
            found += [int(child)] if name.startswith(b"ray::Actor" + doing) else _workers(int(child), doing)
        except OSError:
            continue
    return found


def _kill_one_that_works() -> None:
    end = time.monotonic() + 300
    while not (working := _workers(os.getpid(), b".compute")):
        assert time.monotonic() < end, "no worker computed anything"
        time.sleep(0.005)
    os.kill(working[0], signal.SIGKILL)


class Losing(tiny.Heard):
    """After the first shard a worker is killed in the middle of another, after the third a machine is gone for good."""

    def __init__(self, cluster: Any):
        super().__init__()
        self.cluster = cluster
        self.killing = threading.Thread(target=_kill_one_that_works, daemon=True)

    def advance(self, shard: str, seconds: float, images: int) -> None:
        super().advance(shard, seconds, images)
        if len(self.shards) == 1:
            # Meanwhile the audit goes on, so that its workers have something to do.
            self.killing.start()
        if len(self.shards) == 3:
            self.cluster.remove_node(self.cluster.second, allow_graceful=False)


@needs_ray
@pytest.mark.slow
def test_workers_of_other_versions_are_refused_and_named(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "versions", lambda: {**versions(), "torch": "1.0"})
    with pytest.raises(InputError, match=r"The worker on \S+ \(process \d+\) has other versions .* instead of 1\.0\."):
        audit(tiny.write(tmp_path / "plan", _on_ray(cluster.address)), tmp_path / "run")
    assert not files(tmp_path / "run")


@needs_ray
@pytest.mark.slow
def test_images_that_only_the_audit_sees_are_sent_to_no_more_workers_than_there_are_shards(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = TEXT.replace("[data]", "[data]\nlimit = 3")
    audit(tiny.write(tmp_path / "plan", few), tmp_path / "whole")
    system = fsspec.filesystem("memory")  # of this process alone
    system.put([str(path) for path in (tmp_path / "plan").glob("*.png")], "/only/here/")
    for path in (tmp_path / "plan").glob("*.png"):
        path.unlink()
    started, start = [], engine.Cluster.start
    monkeypatch.setattr(engine.Cluster, "start", lambda crew: (started.append(1), start(crew))[1])
    text = few.replace("[data]", '[data]\nimages = "memory://only/here"').replace("[run]", "[run]\nengine = 'ray'")
    text = text.replace("[run]", f"[run]\nworkers = 50\naddress = '{cluster.address}'")
    assert audit(tiny.rewrite(tmp_path / "plan", text), tmp_path / "run").status == "finished"
    assert files(tmp_path / "run") == files(tmp_path / "whole")
    assert 1 <= len(started) <= SHARDS // 3, "one shard for each attack"


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
    losing = Losing(cluster)
    outcome = audit(plan, tmp_path / "run", progress=losing)
    assert not losing.killing.is_alive(), "a worker was killed in the middle of a shard"
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
            # Workers would do the few shards that are left before they notice that their machine is gone.
            for worker_process in _workers(os.getpid()):
                os.kill(worker_process, signal.SIGKILL)
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
