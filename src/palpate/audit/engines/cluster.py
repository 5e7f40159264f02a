"""The engine of many machines: actors of a Ray cluster, each with a model of its own."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from palpate.audit.engines.contracts import EngineLostError, Gone, Job, Outcome, Setup
from palpate.audit.engines.crew import Hand, Message, conduct
from palpate.audit.engines.queue import Queue
from palpate.audit.engines.worker import Worker
from palpate.errors import InputError

_ANSWER = 5.0
"""Seconds that a cluster has to accept a connection."""
_LOOK = 2.0
"""Seconds between two looks whether the cluster is still there."""
_TRIES = 3
"""Looks in turn without an answer after which it is gone. Ray itself would end this process a minute later."""
_PATIENCE = 600.0
"""Seconds without any worker after which nobody waits for machines that may come."""


def require_ray(address: str | None) -> None:
    """Refuse a cluster that cannot be used, before anything is loaded.

    Raises:
        InputError: Ray is not installed, or nothing answers at the address.
    """
    if find_spec("ray") is None:
        raise InputError('run.engine: "ray" needs Ray. Install it: pip install "palpate[ray]".')
    place = _place(address)
    if place not in ("auto", "local") and not _answers(place):
        raise InputError(
            f"run.address: nothing answers at {place}. Start Ray there (ray start --head), or correct the address."
        )


def _place(address: str | None) -> str:
    # Ray's own tools hand the address of a cluster to their jobs in the environment.
    return address or os.environ.get("RAY_ADDRESS") or "local"


def _answers(place: str) -> bool:
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_ANSWER):
            return True
    except (OSError, ValueError, OverflowError):
        return False


@dataclass
class Cluster:
    """Actors of a Ray cluster, spread over its machines. A lost one is replaced while the others go on.

    Attributes:
        setup: what they are started with.
        workers: how many at most; None: as many as the cluster has processors, or GPUs for.
        address: of the cluster; None: Ray is started on this machine for this run.
        gpus: GPUs of each worker.
    """

    setup: Setup
    workers: int | None
    address: str | None = None
    gpus: float = 0
    _place: str = ""
    _given: Any = None
    _looked: float = field(default_factory=time.monotonic)
    _silent: int = 0
    _worked: float = field(default_factory=time.monotonic)

    def run(self, jobs: Iterator[Job]) -> Generator[Outcome, None, None]:
        """As `Engine.run`."""
        import ray

        require_ray(self.address)
        own = not ray.is_initialized()
        if own:
            _connect(_place(self.address))
        try:
            self._place = ray.get_runtime_context().gcs_address
            self._given = ray.put(self.setup)
            self._worked = time.monotonic()
            yield from conduct(self, Queue(jobs, self.setup.subject.table), self.workers or self._room())
        finally:
            if own:
                ray.shutdown()

    def _room(self) -> int:
        import ray

        held = ray.cluster_resources()
        return max(1, int(held.get("GPU", 0) / self.gpus if self.gpus else held.get("CPU", 1)))

    def start(self) -> Hand:
        """As `Crew.start`."""
        import ray

        options = {"num_cpus": 1, "num_gpus": self.gpus, "scheduling_strategy": "SPREAD", "max_restarts": 0}
        actor = ray.remote(**options)(Worker).remote(self._given)
        return Hand(actor, actor.start.remote())

    def give(self, hand: Hand, job: Job) -> None:
        """As `Crew.give`."""
        hand.pipe = hand.process.compute.remote(job)

    def listen(self, hands: list[Hand]) -> Iterable[tuple[Hand, Message]]:
        """As `Crew.listen`."""
        import ray

        waiting = {hand.pipe: hand for hand in hands if hand.pipe is not None}
        heard, _ = ray.wait(list(waiting), timeout=_LOOK)
        self._require_there(hands)
        for ref in heard:
            waiting[ref].pipe = None
            yield waiting[ref], _said(ref)

    def stop(self, hand: Hand) -> None:
        """As `Crew.stop`; a worker that waits removes its files first."""
        import ray

        with suppress(Exception):
            if hand.ready and hand.job is None and self._silent == 0:
                ray.get(hand.process.close.remote(), timeout=_ANSWER)
            ray.kill(hand.process)

    def _require_there(self, hands: list[Hand]) -> None:
        now = time.monotonic()
        if any(hand.ready for hand in hands):
            self._worked = now
        if now - self._worked > _PATIENCE:
            raise EngineLostError(
                f"No worker could start for {_PATIENCE:.0f} seconds: the cluster at {self._place} has no free processor"
                f"{' or GPU' if self.gpus else ''} for one. Finished work is kept."
            )
        if now - self._looked < _LOOK:
            return
        self._looked = now
        self._silent = 0 if _answers(self._place) else self._silent + 1
        if self._silent >= _TRIES:
            raise EngineLostError(f"The Ray cluster at {self._place} does not answer any more. Finished work is kept.")


def _connect(place: str) -> None:
    import ray

    # Nothing about an audit leaves the machines that it runs on.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Workers are the audit; Ray would let them wait for everything else on a busy machine.
    os.environ.setdefault("RAY_worker_niceness", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    quiet |= {"include_dashboard": False} if place == "local" else {}
    try:
        ray.init(address=place, **quiet)
    except ConnectionError as error:
        raise InputError(
            f"run.address: no Ray cluster is found by {place!r}. Start one (ray start --head), or correct the address."
        ) from error
    except (RuntimeError, ValueError) as error:
        raise InputError(f"run.engine: Ray cannot be used: {_line(error)}") from error


def _said(ref: Any) -> Message:
    """What a worker answers."""
    import ray

    lost = (
        *(ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError),
        *(ray.exceptions.ObjectLostError, ray.exceptions.OutOfMemoryError, ray.exceptions.RaySystemError),
    )
    try:
        said: Message = ray.get(ref)
    except lost as error:
        return Gone(_line(error))
    except ray.exceptions.RayError as error:
        raise InputError(
            f"run.engine: a worker of Ray cannot run palpate: {_line(error)} Install the same palpate on all machines."
        ) from error
    return said


def _line(error: Exception) -> str:
    """The first sentence of an error of Ray, which may have many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".")[:200] + "." if lines else type(error).__name__
