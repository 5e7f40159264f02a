"""The engine of many machines: actors of a Ray cluster, each with a model of its own."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from palpate.audit.engines.contracts import EngineLostError, Gone, Job, Outcome, Pause, Setup
from palpate.audit.engines.crew import Hand, Message, conduct
from palpate.audit.engines.gateway import talk
from palpate.audit.engines.queue import Queue
from palpate.audit.plan.checks.run import ADDRESS
from palpate.errors import InputError

_ANSWER = 5.0
"""Seconds that a cluster has to accept a connection."""
_CONNECT = 120.0
"""Seconds that Ray has to connect to it, or to start; Ray itself would try for many minutes."""
_LOOK = 2.0
"""Seconds between two looks whether the cluster is still there."""
_TRIES = 3
"""Looks in turn without an answer after which it is gone."""
_PATIENCE = 600.0
"""Seconds without any worker after which nobody waits for machines that may come."""
_CLOSING = 15.0
"""Seconds that the connection to Ray has to be closed."""
_LOST = "The Ray cluster at {place} does not answer any more. Finished work is kept."


def require_ray(address: str | None) -> None:
    """Refuse a cluster that cannot be used, before anything is loaded.

    Raises:
        InputError: Ray is not installed, the address is none, or nothing answers there.
    """
    if find_spec("ray") is None:
        raise InputError('run.engine: "ray" needs Ray. Install it: pip install "palpate[ray]".')
    place, named = _place(address), "run.address" if address else "RAY_ADDRESS"
    if place in ("auto", "local"):
        return
    if not ADDRESS.fullmatch(place):
        raise InputError(
            f"{named}: '{place}' is not the address of a Ray cluster. Give HOST:PORT, as `ray start --head` prints it, "
            'or "auto" on one of its machines.'
        )
    if not _answers(place):
        raise InputError(
            f"{named}: nothing answers at {place}. Start Ray there (ray start --head), or correct the address."
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
    _pipe: Any = None
    _place: str = ""
    _count: int = 0
    _silent: int = 0
    _looked: float = 0.0
    _worked: float = 0.0

    def run(self, jobs: Iterator[Job | Pause]) -> Generator[Outcome, None, None]:
        """As `Engine.run`."""
        require_ray(self.address)
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        given = (theirs, _place(self.address), pickle.dumps(self.setup), self.gpus)
        gateway = context.Process(target=talk, args=given, daemon=True)
        gateway.start()
        theirs.close()
        try:
            self._require_connected()
            _, room, self._place = self._received()
            self._looked = self._worked = time.monotonic()
            yield from conduct(self, Queue(jobs, self.setup.subject.table), self.workers or room)
        finally:
            self._pipe.close()
            gateway.join(_CLOSING)
            gateway.kill()
            gateway.join()

    def start(self) -> Hand:
        """As `Crew.start`."""
        self._count += 1
        self._send("start", self._count, None)
        return Hand(self._count, None)

    def give(self, hand: Hand, job: Job) -> None:
        """As `Crew.give`."""
        self._send("give", hand.process, pickle.dumps(job))

    def listen(self, hands: list[Hand]) -> Iterable[tuple[Hand, Message]]:
        """As `Crew.listen`."""
        heard = self._pipe.poll(_LOOK)
        self._require_there(hands)
        if not heard:
            return
        what, worker, said = self._received()
        for hand in [hand for hand in hands if hand.process == worker]:
            yield hand, pickle.loads(said) if what == "said" else Gone(said)

    def stop(self, hand: Hand) -> None:
        """As `Crew.stop`; a worker that waits removes its files first."""
        self._send("stop", hand.process, hand.ready and hand.job is None)

    def _require_connected(self) -> None:
        if not self._pipe.poll(_CONNECT):
            raise InputError(
                f"run.address: no Ray cluster of this version answered at {_place(self.address)} within "
                f"{_CONNECT:.0f} seconds. Correct the address, or look there with: ray status."
            )

    def _send(self, *what: Any) -> None:
        # If the gateway has just ended, the next look at its pipe says so.
        with suppress(OSError):
            self._pipe.send(what)

    def _received(self) -> tuple[str, Any, Any]:
        """What the gateway says.

        Raises:
            InputError: Ray cannot be used.
            EngineLostError: the gateway has ended, as it does when its cluster disappears.
        """
        try:
            said: tuple[Any, ...] = self._pipe.recv()
        except (EOFError, OSError) as error:
            if not self._place:
                raise InputError(
                    "run.engine: the process that connects to Ray ended before it was connected. See whether the "
                    "cluster is still there (ray status). A script that starts an audit needs the line "
                    '`if __name__ == "__main__":` around it.'
                ) from error
            raise EngineLostError(_LOST.format(place=self._place)) from error
        if said[0] == "refused":
            raise InputError(said[1])
        return said[0], said[1], said[2]

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
            raise EngineLostError(_LOST.format(place=self._place))
