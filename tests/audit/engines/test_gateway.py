"""What lies between the audit and Ray, with a Ray that only pretends: nobody waits for ever, and nobody is a riddle."""

import importlib.util
import multiprocessing
import os
import pickle
import subprocess
import sys
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest

from palpate.audit.engines import gateway

_MANY = bytes(4_000_000)
"""More than a pipe holds."""


class _NeverError(Exception):
    """What the pretended Ray raises; never."""


def _pretended(answering: Event) -> Any:
    names = ("RayActorError", "WorkerCrashedError", "NodeDiedError", "ObjectLostError", "OutOfMemoryError")
    errors = SimpleNamespace(**dict.fromkeys((*names, "RaySystemError", "RayError"), _NeverError))

    def get(ref: tuple[int, bytes]) -> bytes:
        answering.set()
        return ref[1]

    return SimpleNamespace(wait=lambda refs, timeout: (refs, []), get=get, exceptions=errors)


def _answer(number: int) -> Any:
    """A worker that answers at once, with much."""
    return SimpleNamespace(compute=SimpleNamespace(remote=lambda job: (number, _MANY)))


def test_two_ends_that_both_send_much_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    answering = Event()
    monkeypatch.setitem(sys.modules, "ray", _pretended(answering))
    ours, theirs = multiprocessing.Pipe()
    between = gateway._Gateway(theirs, None, 0)
    between.actors = {1: _answer(1), 2: _answer(2)}
    Thread(target=between.go, daemon=True).start()
    heard: list[int] = []

    def audit() -> None:
        ours.send(("give", 1, _MANY))
        answering.wait()
        ours.send(("give", 2, _MANY))
        heard.extend(ours.recv()[1] for _ in range(2))
        ours.close()

    driver = Thread(target=audit, daemon=True)
    driver.start()
    driver.join(20.0)
    assert sorted(heard) == [1, 2]


def test_a_worker_with_another_palpate_says_so_and_not_that_memory_is_short() -> None:
    setup = pickle.dumps(_NeverError()).replace(b"_NeverError", b"_MissingErr")
    said = gateway.Actor("palpate 9.1", setup).start()
    assert isinstance(said, str)
    assert said.startswith(f"The worker on {gateway.gethostname()} (process {os.getpid()}) has palpate ")
    assert "and this machine palpate 9.1, so it cannot start: Can't get attribute '_MissingErr'" in said
    assert said.endswith(" Install the same versions of all packages on all machines.")


@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason='Ray is not installed: pip install "palpate[ray]"')
@pytest.mark.slow
def test_a_worker_without_palpate_can_say_so() -> None:
    import ray

    given = ray.cloudpickle.dumps(gateway._by_value(gateway.Actor))
    code = (
        "import pickle, sys; sys.modules['palpate'] = None; import ray.cloudpickle\n"
        "print(pickle.loads(sys.stdin.buffer.read())('palpate 9.1', b'').start())"
    )
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, check=True)
    assert b"so it cannot start: " in done.stdout and b"palpate" in done.stdout.partition(b"start: ")[2]
