"""The process that is connected to Ray. Ray ends it if the cluster disappears, so it is not the audit's own process.

It passes jobs and answers on as bytes, so that it imports neither torch nor the models.
"""

from __future__ import annotations

import logging
import os
import pickle
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from palpate.audit.engines.processes import belong_to_parent

_TURN = 0.05
"""Seconds between a look at the audit and one at the workers."""
_CLOSING = 5.0
"""Seconds that a worker has to remove its temporary files."""


class Actor:
    """A worker inside Ray."""

    def __init__(self, setup: bytes):
        from palpate.audit.engines.worker import Worker

        self._worker = Worker(pickle.loads(setup))

    def start(self) -> bytes:
        """As `Worker.start`."""
        return pickle.dumps(self._worker.start())

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
        pipe.send(("refused", f"{text} If it asks for a token, set RAY_AUTH_MODE=token where palpate is started."))
        return
    held = ray.cluster_resources()
    room = held.get("GPU", 0) / gpus if gpus else held.get("CPU", 1)
    pipe.send(("open", max(1, int(room)), ray.get_runtime_context().gcs_address))
    with suppress(EOFError, OSError):
        _Gateway(pipe, ray.put(setup), gpus).go()
    ray.shutdown()


class _Gateway:
    def __init__(self, pipe: Connection, setup: Any, gpus: float):
        self.pipe, self.setup, self.gpus = pipe, setup, gpus
        self.actors: dict[int, Any] = {}
        self.waiting: dict[Any, int] = {}

    def go(self) -> None:
        import ray

        while True:
            while self.pipe.poll(0 if self.waiting else 1.0):
                self._asked(*self.pipe.recv())
            if not self.waiting:
                continue
            for ref in ray.wait(list(self.waiting), timeout=_TURN)[0]:
                self._heard(ref, self.waiting.pop(ref))

    def _asked(self, what: str, worker: int, given: Any = None) -> None:
        import ray

        if what == "start":
            options = {"num_cpus": 1, "num_gpus": self.gpus, "scheduling_strategy": "SPREAD", "max_restarts": 0}
            self.actors[worker] = ray.remote(**options)(Actor).remote(self.setup)
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
            self.pipe.send(("said", worker, ray.get(ref)))
        except lost as error:
            self.pipe.send(("gone", worker, _line(error)))
        except ray_errors.RayError as error:
            text = f"run.engine: a worker of Ray cannot run palpate: {_line(error)}"
            self.pipe.send(("refused", f"{text} Install the same palpate on all machines."))


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
