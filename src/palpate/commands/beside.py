"""Commands in processes of their own, beside audits that run here: small networks gain little from a second thread."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from palpate.commands.status import GATE_FAILED, INCOMPLETE, INTERRUPTED
from palpate.console import console, echo

Job = tuple[str, ...]
_Said = tuple[int, str, str]
"""Exit status, stdout and stderr of a process."""


class Beside:
    """Commands that run one after the other while this block does something else; those that are left end with it.

    What ends early is continued by the same command.

    Args:
        jobs: the commands, as the words after `palpate`.
        threads: of torch, for each.
        quiet: print only the paths of their reports.
    """

    def __init__(self, jobs: Iterable[Job], threads: int, *, quiet: bool):
        self._quiet, self._arguments = quiet, ["--threads", str(threads), *(["--quiet"] if quiet else [])]
        self._running: subprocess.Popen[str] | None = None
        self._left = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self.jobs = tuple(jobs)
        self._begun: dict[Job, Future[_Said]] = {job: self._pool.submit(self._carry_out, job) for job in self.jobs}

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._left = True
        if self._running is not None:
            self._running.terminate()  # one that has ended stays as it is
        self._pool.shutdown(cancel_futures=True)

    def status(self, job: Job) -> int:
        """Wait for a command, print what it says, and give its exit status."""
        named = f"palpate {' '.join(job)}"
        try:
            status, said, failed = self._begun[job].result()
        except KeyboardInterrupt:
            echo(f"Stopped in `{named}`. The same command continues from there.", err=True)
            return INTERRUPTED
        sys.stdout.write(said)
        sys.stdout.flush()
        if status < 0:
            echo(f"`{named}` was killed (signal {-status}). The same command continues it.", err=True)
            return INCOMPLETE
        if self._quiet or status > GATE_FAILED:
            for line in failed.splitlines():
                echo(line, err=True)
        return status

    def _carry_out(self, job: Job) -> _Said:
        here = console()
        shown = {"COLUMNS": str(here.width), **({"FORCE_COLOR": "1"} if here.is_terminal else {})}
        command = [sys.executable, "-m", "palpate", *job, *self._arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **shown}
        ) as self._running:
            if self._left:
                self._running.terminate()
            said, failed = self._running.communicate()
        return self._running.returncode, said, failed
