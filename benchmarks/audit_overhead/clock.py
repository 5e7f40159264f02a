"""CPU seconds of a run by part: functions are replaced by timed ones, and inner parts are taken out of outer ones."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch


class Clock:
    """CPU seconds of this process, all threads together.

    Attributes:
        spent: part -> seconds that no inner part took.
    """

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._last = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside for this part."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        now = time.process_time()
        if self._open:
            self.spent[self._open[-1]] += now - self._last
        self._last = now

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, counted."""

        @wraps(work)
        def counted(*given: Any, **named: Any) -> Any:
            with self.part(name):
                return work(*given, **named)

        return counted

    @contextmanager
    def watching(self, parts: dict[str, list[tuple[Any, str]]]) -> Iterator[None]:
        """Time some functions inside this block: part -> (module or class, attribute)."""
        with ExitStack() as stack:
            for name, places in parts.items():
                for owner, attribute in places:
                    stack.enter_context(patch.object(owner, attribute, self.timed(name, getattr(owner, attribute))))
            yield
