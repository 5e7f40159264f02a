"""The boundary to the user's code: its errors become one sentence, and the settings that it changes are restored.

A model may raise anything, call `sys.exit`, switch gradients off, change torch's number format or hang. Palpate's own
code is outside the boundary, so that its own faults are not blamed on the model.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

import torch

from palpate.errors import InputError, PalpateError

_GRACE = 2.0
"""A call that Python cannot interrupt is given up after this many times the limit."""


class ModelError(InputError):
    """The user's model, its preprocessing or its backward pass raised an exception; `cause` is that exception."""

    def __init__(self, cause: BaseException):
        super().__init__(f"model: it fails with {said(cause)}.")
        self.cause = cause


def said(error: BaseException) -> str:
    """The class of an exception and the first line of its text, without a full stop."""
    try:
        lines = str(error).strip().splitlines()
    except KeyboardInterrupt:
        raise
    except BaseException:  # a class of the user whose own text fails, or ends the process
        lines = []
    name = type(error).__name__
    return f"{name}: {lines[0].strip()[:300]}".rstrip(". ") if lines else name


class _LateError(BaseException):
    """The time is over. It is not an Exception, so that a model that catches everything does not catch it."""


class Watchdog:
    """Limits how long one call of the user's code may take.

    Code that runs in Python, sleeps or waits for a file is interrupted and raises. Native code cannot be interrupted
    from Python; after twice the limit `given_up` is called, from another thread.

    Args:
        seconds: the limit for one call.

    Attributes:
        given_up: is called for a call that cannot be interrupted; nothing by default.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.given_up: Callable[[], None] | None = None
        self._before: Any = None
        self._timer: threading.Timer | None = None

    def describe(self) -> str:
        """The problem with a call that took too long."""
        return (
            f"model: one batch took longer than run.timeout = {self.seconds:g} seconds. Raise run.timeout, lower "
            "run.batch, or correct the model"
        )

    def start(self) -> None:
        """The call begins."""
        if self.given_up is not None:
            self._timer = threading.Timer(self.seconds * _GRACE, self.given_up)
            self._timer.daemon = True
            self._timer.start()
        # Signals reach only the main thread, and not every system has this one.
        if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGALRM, _raise_late)
            signal.setitimer(signal.ITIMER_REAL, self.seconds, self.seconds)

    def stop(self) -> None:
        """The call ended."""
        if self._before is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
            self._before = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _raise_late(number: int, frame: FrameType | None) -> None:
    raise _LateError


class UserCode:
    """Inside `with UserCode():` the user's code runs.

    All its exceptions become a `ModelError`, also `SystemExit`; only Ctrl-C and palpate's own errors pass unchanged.
    The switches of torch that belong to the whole process, and the working directory, are restored on exit.

    Args:
        watchdog: limits the time; no limit by default.

    Raises:
        ModelError: the code raised.
        InputError: it took longer than the watchdog allows.
    """

    def __init__(self, watchdog: Watchdog | None = None):
        self._watchdog = watchdog

    def __enter__(self) -> None:
        self._state = _switches()
        self._folder = _folder()
        if self._watchdog is not None:
            self._watchdog.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        late = isinstance(error, _LateError)
        if self._watchdog is not None:
            try:
                self._watchdog.stop()
            except _LateError:  # the signal came while the watchdog was being stopped
                late = True
                self._watchdog.stop()
        _put_back(self._state)
        if self._folder is not None and _folder() != self._folder:
            os.chdir(self._folder)
        if late and self._watchdog is not None:
            raise InputError(f"{self._watchdog.describe()}.") from error
        if error is None or isinstance(error, (KeyboardInterrupt, PalpateError)):
            return
        raise ModelError(error) from error


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # the folder was removed
        return None


_Switches = tuple[torch.dtype, bool, bool, bool, int]


def _switches() -> _Switches:
    return (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_num_threads(),
    )


def _put_back(before: _Switches) -> None:
    if before == _switches():
        return
    dtype, gradients, deterministic, warn, threads = before
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(gradients)
    torch.use_deterministic_algorithms(deterministic, warn_only=warn)
    with suppress(RuntimeError):
        torch.set_num_threads(threads)
