"""The process that is connected to Ray. Ray ends it if the cluster disappears, so it is not the audit's own process.

It passes jobs and answers on as bytes, so that it imports neither torch nor the models.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from queue import SimpleQueue
from socket import gethostname
from threading import Thread
from typing import Any

from palpate.audit.engines.processes import belong_to_parent

_TURN = 0.05
"""Seconds between a look at the audit and one at the workers."""
_CLOSING = 5.0
"""Seconds that a worker has to remove its temporary files."""


class Actor:
    """A worker inside Ray. Its machine may have another palpate or none, so this class needs nothing of palpate."""

    def __init__(self, palpate: str, setup: bytes):
        self._palpate, self._setup = palpate, setup

    def start(self) -> bytes | str:
        """As `Worker.start`; a sentence if there is no such worker on this machine."""
        try:
            from palpate.audit.engines.worker import Worker

            self._worker = Worker(pickle.loads(self._setup))
            return pickle.dumps(self._worker.start())
        except Exception as error:
            return (
                f"The worker on {gethostname()} (process {os.getpid()}) has {_installed()} and this machine "
                f"{self._palpate}, so it cannot start: {_line(error)} Install the same versions of all packages on all "
                "machines."
            )

    def compute(self, job: bytes) -> bytes:
        """As `Worker.compute`."""
        return pickle.dumps(self._worker.compute(pickle.loads(job)))

    def close(self) -> None:
        """As `Worker.close`."""
        self._worker.close()


def talk(pipe: Connection, place: str, setup: bytes, gpus: float) -> None:
    """Connect to Ray, say how many workers it has room for, then do what the audit asks until it closes the pipe.

    The audit sends `("start", worker)`, `("give", worker, job)` and `("stop", worker, waits)`. It gets
    `("said", worker, answer)`, `("gone", worker, why)` and `("refused", text)`.
    """
    belong_to_parent()
    import ray

    try:
        _connect(place)
    # Ray has no exception of its own for a cluster that cannot be used.
    except Exception as error:
        text = f"run.engine: the Ray cluster {place} cannot be used: {_line(error)}"
        text += " If it asks for a token, set RAY_AUTH_MODE=token where palpate is started."
        if place == "auto" and isinstance(error, ConnectionError):
            text = 'run.address: "auto" finds no Ray cluster on this machine. Start one (ray start --head), or give '
            text += "the address of one as HOST:PORT."
        pipe.send(("refused", text))
        return
    held = ray.cluster_resources()
    room = held.get("GPU", 0) / gpus if gpus else held.get("CPU", 1)
    pipe.send(("open", max(1, int(room)), ray.get_runtime_context().gcs_address))
    with suppress(OSError):
        _Gateway(pipe, ray.put(setup), gpus).go()
    ray.shutdown()


def _read(pipe: Connection, asked: SimpleQueue[tuple[Any, ...] | None]) -> None:
    """Take what the audit asks as soon as it does: two ends that both write and do not read would wait for ever."""
    with suppress(EOFError, OSError):
        while True:
            asked.put(pipe.recv())
    asked.put(None)


class _Gateway:
    def __init__(self, pipe: Connection, setup: Any, gpus: float):
        self.pipe, self.setup, self.gpus = pipe, setup, gpus
        self.actors: dict[int, Any] = {}
        self.waiting: dict[Any, int] = {}
        self.asked: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()

    def go(self) -> None:
        """Until the audit closes the pipe."""
        import ray

        Thread(target=_read, args=(self.pipe, self.asked), daemon=True).start()
        while True:
            while not (self.waiting and self.asked.empty()):
                if (asked := self.asked.get()) is None:
                    return
                self._do(*asked)
            for ref in ray.wait(list(self.waiting), timeout=_TURN)[0]:
                self._heard(ref, self.waiting.pop(ref))

    def _do(self, what: str, worker: int, given: Any = None) -> None:
        import ray

        if what == "start":
            options = {"num_cpus": 1, "num_gpus": self.gpus, "scheduling_strategy": "SPREAD", "max_restarts": 0}
            self.actors[worker] = ray.remote(**options)(_by_value(Actor)).remote(_installed(), self.setup)
            self.waiting[self.actors[worker].start.remote()] = worker
        elif what == "give":
            self.waiting[self.actors[worker].compute.remote(given)] = worker
        elif what == "stop":
            actor = self.actors.pop(worker)
            self.waiting = {ref: one for ref, one in self.waiting.items() if one != worker}
            with suppress(Exception):
                if given:
                    ray.get(actor.close.remote(), timeout=_CLOSING)
                ray.kill(actor)

    def _heard(self, ref: Any, worker: int) -> None:
        from ray import exceptions as ray_errors

        lost = (
            *(ray_errors.RayActorError, ray_errors.WorkerCrashedError, ray_errors.NodeDiedError),
            *(ray_errors.ObjectLostError, ray_errors.OutOfMemoryError, ray_errors.RaySystemError),
        )
        import ray

        try:
            said = ray.get(ref)
            self.pipe.send(("refused", said) if isinstance(said, str) else ("said", worker, said))
        except lost as error:
            self.pipe.send(("gone", worker, _line(error)))
        except ray_errors.RayError as error:
            text = f"run.engine: a worker of Ray cannot run palpate: {_line(error)}"
            self.pipe.send(("refused", f"{text} Install the same palpate on all machines."))


def _by_value(kind: type) -> type:
    """The class, which workers get itself and not by its name in a palpate that they may not have."""
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[kind.__module__])
    return kind


def _installed() -> str:
    """The palpate of this machine, in words."""
    try:
        return f"palpate {version('palpate')}"
    except PackageNotFoundError:
        return "no palpate"


def _connect(place: str) -> None:
    import ray

    # Nothing about an audit leaves the machines that it runs on.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Workers are the audit; Ray would let them wait for everything else on a busy machine.
    os.environ.setdefault("RAY_worker_niceness", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    ray.init(address=place, **quiet, **({"include_dashboard": False} if place == "local" else {}))


def _line(error: Exception) -> str:
    """The first sentence of an error of Ray, which may have many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".")[:200] + "." if lines else type(error).__name__
