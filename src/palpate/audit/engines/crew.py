"""Workers and the jobs between them: who starts, who gets what, and what happens when one is gone."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from palpate.audit.engines.contracts import Gone, Job, Outcome, Ready, Refused
from palpate.audit.engines.queue import Queue

Message = Ready | Refused | Gone | Outcome


@dataclass(eq=False)
class Hand:
    """One worker, as the audit sees it.

    Attributes:
        process: what the engine knows it by.
        pipe: how it is heard.
        job: what it computes; None if it waits.
        ready: whether it has loaded the model.
    """

    process: Any
    pipe: Any
    job: Job | None = None
    ready: bool = False


class Crew(Protocol):
    """How workers of one kind are started and heard."""

    def start(self) -> Hand:
        """A new worker, which loads the model now."""

    def give(self, hand: Hand, job: Job) -> None:
        """Let a worker that is ready compute a job."""

    def listen(self, hands: list[Hand]) -> Iterable[tuple[Hand, Message]]:
        """Wait until at least one worker says something, or is gone; may be empty after a while.

        Raises:
            EngineLostError: all workers are gone and do not come back.
        """

    def stop(self, hand: Hand) -> None:
        """End a worker, whatever it does."""


def conduct(crew: Crew, queue: Queue, most: int) -> Generator[Outcome, None, None]:
    """The outcomes of all jobs, in any order; a worker is started only if a job waits for it.

    Raises:
        InputError: a worker cannot be used, or workers end while they start.
        EngineLostError: all workers are gone.
    """
    hands: list[Hand] = []
    try:
        while True:
            for hand in hands:
                if hand.ready and hand.job is None and (job := queue.next()) is not None:
                    hand.job = job
                    crew.give(hand, job)
            starting = sum(not hand.ready for hand in hands)
            while len(hands) < most and queue.waits(starting + 1):
                hands.append(crew.start())
                starting += 1
            if all(hand.job is None for hand in hands) and not queue.waits(1):
                return
            for hand, said in crew.listen(hands):
                outcome = _heard(hand, said, queue)
                if isinstance(said, Gone):
                    hands.remove(hand)
                    crew.stop(hand)
                if outcome is not None:
                    yield outcome
    finally:
        for hand in hands:
            crew.stop(hand)


def _heard(hand: Hand, said: Message, queue: Queue) -> Outcome | None:
    if isinstance(said, Refused):
        raise said.error()
    if isinstance(said, Ready):
        hand.ready = True
        return None
    job, hand.job = hand.job, None
    if isinstance(said, Outcome):
        return queue.done(said)
    if job is not None:
        return queue.lost(job, said.why)
    if not hand.ready:
        queue.not_started(said.why)
    return None
