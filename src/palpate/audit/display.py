"""The progress of an audit for people: a bar in a terminal, lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from palpate.audit.progress import Progress
from palpate.errors import printable

EVERY = 10.0
"""Seconds between two lines of a log."""


@contextmanager
def displayed(console: Console) -> Iterator[Progress]:
    """A progress that draws on `console` while the block runs: a bar on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    shown = TextColumn("{task.description}", markup=False)
    with RichProgress(shown, *columns, console=console, transient=True) as bar:
        yield Bar(bar)


class Bar:
    """A bar with the shard at work, what is done, the rate and the time left."""

    def __init__(self, bar: RichProgress):
        self._bar, self._seconds, self._images = bar, 0.0, 0

    def start(self, total: int) -> None:
        """Draw a bar; traces follow the attacks with one of their own."""
        self._seconds, self._images = 0.0, 0
        self._task = self._bar.add_task("audit", total=total, rate="")

    def advance(self, shard: str, seconds: float, images: int) -> None:
        """Move it."""
        self._seconds, self._images = self._seconds + seconds, self._images + images
        rate = f"{self._images / max(self._seconds, 1e-9):.1f} images/s"
        self._bar.update(self._task, advance=images, description=printable(shard), rate=rate)

    def message(self, text: str) -> None:
        """A line above it."""
        self._bar.console.print(printable(text), markup=False)


class Lines:
    """Lines, at most one in ten seconds besides the last."""

    def __init__(self, console: Console):
        self._console = console
        self._total = self._done = 0
        self._seconds, self._last = 0.0, time.monotonic()

    def start(self, total: int) -> None:
        """Nothing is done yet; traces follow the attacks with a count of their own."""
        self._total, self._done, self._seconds = total, 0, 0.0

    def advance(self, shard: str, seconds: float, images: int) -> None:
        """A line, when it is time for one."""
        self._done, self._seconds = self._done + images, self._seconds + seconds
        if time.monotonic() - self._last < EVERY and self._done < self._total:
            return
        self._last = time.monotonic()
        rate = self._done / max(self._seconds, 1e-9)
        left = (self._total - self._done) / max(rate, 1e-9)
        self.message(f"{self._done} of {self._total} done, {rate:.1f} images/s, {left:.0f} s left ({shard})")

    def message(self, text: str) -> None:
        """The text on a line of its own."""
        self._console.print(printable(text), markup=False, soft_wrap=True)
