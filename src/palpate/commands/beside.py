"""Audits in processes of their own, beside one that runs here: small networks gain little from a second thread."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from palpate.commands.status import GATE_FAILED, INCOMPLETE, INTERRUPTED
from palpate.console import console, echo

_Said = tuple[int, str, str]
"""Exit status, stdout and stderr of a process."""


class Beside:
    """Audits that run one after the other while this block does something else; those that are left end with it.

    They are `palpate audit` for plans, so that what ends early is continued by the same command.

    Args:
        plans: their plans.
        threads: of torch, for each.
        quiet: print only the paths of their reports.
    """

    def __init__(self, plans: Sequence[Path], threads: int, *, quiet: bool):
        self._quiet, self._arguments = quiet, ["--threads", str(threads), *(["--quiet"] if quiet else [])]
        self._running: subprocess.Popen[str] | None = None
        self._left = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._begun: dict[Path, Future[_Said]] = {plan: self._pool.submit(self._carry_out, plan) for plan in plans}

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._left = True
        if self._running is not None:
            self._running.terminate()  # one that has ended stays as it is
        self._pool.shutdown(cancel_futures=True)

    def status(self, plan: Path) -> int:
        """Wait for the audit of a plan, print what it says, and give its exit status."""
        try:
            status, said, failed = self._begun[plan].result()
        except KeyboardInterrupt:
            echo(f"Stopped in the audit of {plan}. The same command continues from there.", err=True)
            return INTERRUPTED
        sys.stdout.write(said)
        sys.stdout.flush()
        if status < 0:
            echo(f"The audit of {plan} was killed (signal {-status}). The same command continues it.", err=True)
            return INCOMPLETE
        if self._quiet or status > GATE_FAILED:
            for line in failed.splitlines():
                echo(line, err=True)
        return status

    def _carry_out(self, plan: Path) -> _Said:
        here = console()
        shown = {"COLUMNS": str(here.width), **({"FORCE_COLOR": "1"} if here.is_terminal else {})}
        command = [sys.executable, "-m", "palpate", "audit", str(plan), *self._arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **shown}
        ) as self._running:
            if self._left:
                self._running.terminate()
            said, failed = self._running.communicate()
        return self._running.returncode, said, failed
