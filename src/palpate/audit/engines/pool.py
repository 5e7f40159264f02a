"""The engine of one machine with many cores: worker processes of one thread each, with a model of their own."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from palpate.audit.engines.contracts import Gone, Job, Outcome, Pause, Ready, Setup
from palpate.audit.engines.crew import Hand, Message, conduct
from palpate.audit.engines.processes import belong_to_parent, processors
from palpate.audit.engines.queue import Queue
from palpate.audit.engines.worker import Worker
from palpate.storage.leftovers import sweep

_PATIENCE = 5.0
"""Seconds that a process has to end after it closed its connection."""


@dataclass(frozen=True)
class Pool:
    """Worker processes of this machine.

    Attributes:
        setup: what they are started with.
        workers: how many at most; None: as many as there are processors for this process.
    """

    setup: Setup
    workers: int | None

    def run(self, jobs: Iterator[Job | Pause]) -> Generator[Outcome, None, None]:
        """As `Engine.run`."""
        try:
            yield from conduct(self, Queue(jobs, self.setup.subject.table), self.workers or processors())
        finally:
            # What killed workers left: images, like records, must not stay where nobody looks for them.
            if self.setup.scratch is not None:
                sweep(self.setup.scratch)

    def start(self) -> Hand:
        """As `Crew.start`."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(self.setup, theirs), daemon=True)
        process.start()
        theirs.close()
        return Hand(process, ours)

    def give(self, hand: Hand, job: Job) -> None:
        """As `Crew.give`."""
        # If the worker has just ended, the next look at its pipe says so.
        with suppress(OSError):
            hand.pipe.send(job)

    def listen(self, hands: list[Hand]) -> Iterable[tuple[Hand, Message]]:
        """As `Crew.listen`."""
        by_pipe = {hand.pipe: hand for hand in hands}
        for pipe in wait(list(by_pipe)):
            hand = by_pipe[pipe]
            try:
                yield hand, hand.pipe.recv()
            except (EOFError, OSError):
                yield hand, Gone(_ended(hand))

    def stop(self, hand: Hand) -> None:
        """As `Crew.stop`; a worker that waits ends by itself and removes its files."""
        hand.pipe.close()
        if hand.ready and hand.job is None:
            hand.process.join(_PATIENCE)
        hand.process.kill()
        hand.process.join()


def _ended(hand: Hand) -> str:
    """How a process ended, in words."""
    hand.process.join(_PATIENCE)
    code = hand.process.exitcode
    if code is None:
        return "it closed its connection"
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def serve(setup: Setup, pipe: Connection) -> None:
    """The life of a worker process: load the model, then compute one job after the other."""
    belong_to_parent()
    worker = Worker(setup)
    with suppress(EOFError, BrokenPipeError):
        said: Message = worker.start()
        pipe.send(said)
        while isinstance(said, (Ready, Outcome)):
            said = worker.compute(pipe.recv())
            pipe.send(said)
    worker.close()
