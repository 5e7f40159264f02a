"""Jobs that wait for a worker: those that lost theirs come first, and what loses one too often is given up."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace

from palpate.audit.engines.contracts import Job, Outcome, Pause
from palpate.audit.engines.images import contents
from palpate.data.table import Table
from palpate.errors import InputError

MOST_LOSSES = 3
"""Workers that one job may lose; one that kills every worker would otherwise stop the others for ever."""


class Queue:
    """The jobs of one engine, and what became of those that came back without an outcome.

    Args:
        jobs: all jobs; one is taken when there is a worker for it.
        table: the images, for workers that do not see their files.
    """

    def __init__(self, jobs: Iterator[Job | Pause], table: Table):
        self._jobs, self._table = jobs, table
        self._again: deque[Job] = deque()
        self._losses: Counter[str] = Counter()
        self._starts = 0
        self._blind = False
        self._out = 0
        self._paused = False

    def next(self) -> Job | None:
        """The next job; None if all are given out, or those that are must come back before."""
        job = self._again.popleft() if self._again else self._taken()
        self._out += job is not None
        return self._with_files(job) if job is not None and self._blind else job

    def waits(self, count: int) -> bool:
        """Whether at least so many jobs could be given out now."""
        while len(self._again) < count and (job := self._taken()) is not None:
            self._again.append(job)
        return len(self._again) >= count

    def done(self, outcome: Outcome) -> Outcome | None:
        """The outcome, if there is one; None if the worker could not see the images, so that it gets their files.

        Raises:
            InputError: a file cannot be read here either.
        """
        self._starts = 0
        self._out -= 1
        if not outcome.unseen:
            return outcome
        self._blind = True
        self._again.appendleft(outcome.job)
        return None

    def lost(self, job: Job, why: str) -> Outcome | None:
        """Another worker gets the job whose worker ended; after `MOST_LOSSES` workers its attack has failed."""
        self._losses[job.shard] += 1
        self._out -= 1
        if self._losses[job.shard] < MOST_LOSSES:
            self._again.appendleft(job)
            return None
        return Outcome(
            job,
            failed=f"{MOST_LOSSES} workers in turn ended without an answer while they computed {job.title} ({why}). "
            "They may need more memory than there is: lower run.batch or run.workers. A model that ends its process "
            'shows why with engine = "local".',
        )

    def not_started(self, why: str) -> None:
        """A worker ended before it was ready.

        Raises:
            InputError: it is the third in turn.
        """
        self._starts += 1
        if self._starts >= MOST_LOSSES:
            raise InputError(
                f"run.workers: {MOST_LOSSES} workers in turn ended while they started ({why}). Each loads the model: "
                "there may be too little memory for so many. A script that starts an audit needs the line "
                '`if __name__ == "__main__":` around it.'
            )

    def _taken(self) -> Job | None:
        if self._paused and (self._out or self._again):
            return None
        self._paused = False
        job = next(self._jobs, None)
        if isinstance(job, Pause):
            self._paused = True
            return self._taken()
        return job

    def _with_files(self, job: Job) -> Job:
        return job if job.files else replace(job, files=contents(self._table, job.rows))
