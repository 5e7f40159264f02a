"""Time several contenders in turn, so that a drift of the machine affects all of them equally."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Timed:
    """Seconds that a process measured of its own work, start-up left out, and its answer."""

    seconds: float
    answer: Any


@dataclass
class Contender:
    """Something to time.

    Attributes:
        name: row of the table.
        work: what is timed; what it returns is kept. Work that runs in a separate process returns `Timed`.
        seconds: one figure per round.
        answer: what the last round returned.
    """

    name: str
    work: Callable[[], Any]
    seconds: list[float] = field(default_factory=list)
    answer: Any = None

    @property
    def median(self) -> float:
        """Median seconds."""
        return statistics.median(self.seconds)


def race(contenders: list[Contender], rounds: int) -> None:
    """Run the contenders in turn, `rounds` times, forwards and backwards by turns."""
    for turn in range(rounds):
        for contender in contenders if turn % 2 == 0 else contenders[::-1]:
            begin = time.perf_counter()
            answer = contender.work()
            taken = Timed(time.perf_counter() - begin, answer) if not isinstance(answer, Timed) else answer
            contender.seconds.append(taken.seconds)
            contender.answer = taken.answer
            say(f"  {contender.name:<44} {contender.seconds[-1]:8.2f} s")


def ratio(above: Contender, below: Contender) -> float:
    """Median over rounds of the ratio within each round."""
    return statistics.median(a / b for a, b in zip(above.seconds, below.seconds, strict=True))


def say(line: str) -> None:
    """Progress goes to stderr, so that stdout holds the result alone."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
