"""The progress of an audit for people: a bar in a terminal, lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from palpate.audit.run.progress import Progress
from palpate.errors import printable

EVERY = 10.0
"""Seconds between two lines of a log."""
PATIENCE = 5.0
"""Seconds until a log says what is being loaded."""


@contextmanager
def displayed(console: Console, *, every_shard: bool = False) -> Iterator[Progress]:
    """A progress on `console` while the block runs: a bar on a terminal, lines elsewhere.

    Args:
        console: where to print.
        every_shard: print a line for each stored shard, on a terminal too.
    """
    if every_shard or not console.is_terminal:
        lines = Lines(console, every_shard=every_shard)
        try:
            yield lines
        finally:
            lines.loaded()
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    shown = TextColumn("{task.description}", markup=False)
    with RichProgress(shown, *columns, console=console, transient=True) as bar:
        yield Bar(bar)


def pace(done: int, seconds: float) -> str:
    """The speed: how many a second, or the seconds of each if that is the number above 1.

    What is counted is an image under one attack or artefact, or a trace, and not an image.
    """
    if not done:
        return ""
    if seconds > done:
        return f"{seconds / done:.1f} s each"
    return f"{done / max(seconds, 1e-9):.1f} per second"


class _Count:
    """Finished units and their time; the units of the current shard are counted once."""

    def __init__(self) -> None:
        self.images, self.seconds = 0, 0.0
        self._shard, self._within = "", (0, 0.0)

    def within(self, shard: str, seconds: float, images: int) -> None:
        """Some units of a shard."""
        before = self._within if shard == self._shard else (0, 0.0)
        self._shard, self._within = shard, (before[0] + images, before[1] + seconds)
        self.images, self.seconds = self.images + images, self.seconds + seconds

    def whole(self, shard: str, seconds: float, images: int) -> None:
        """All units of a shard; some of them may be counted already."""
        before = self._within if shard == self._shard else (0, 0.0)
        self._shard, self._within = "", (0, 0.0)
        self.images, self.seconds = self.images + images - before[0], self.seconds + seconds - before[1]


class Bar:
    """A bar with the current shard, the finished units, the speed and the time left."""

    def __init__(self, bar: RichProgress):
        self._bar, self._count = bar, _Count()

    def start(self, total: int) -> None:
        """Draw a bar; traces come after the attacks and have a separate bar."""
        self._count = _Count()
        self._task = self._bar.add_task("audit", total=total, rate="")

    def within(self, shard: str, seconds: float, images: int) -> None:
        """Move it inside a shard."""
        self._count.within(shard, seconds, images)
        self._draw(shard)

    def advance(self, shard: str, seconds: float, images: int) -> None:
        """Move it to the end of a shard."""
        self._count.whole(shard, seconds, images)
        self._draw(shard)

    def _draw(self, shard: str) -> None:
        count = self._count
        rate = pace(count.images, count.seconds)
        self._bar.update(self._task, completed=count.images, description=printable(shard), rate=rate)

    def loading(self, text: str) -> None:
        """A line above it, at once, because somebody is waiting."""
        self.message(text)

    def message(self, text: str) -> None:
        """A line above it."""
        self._bar.console.print(printable(text), markup=False)


class Lines:
    """Lines, at most one in ten seconds, and always the last; or one for each shard, with its seconds."""

    def __init__(self, console: Console, *, every_shard: bool = False):
        self._console, self._count, self._every_shard = console, _Count(), every_shard
        self._total, self._last = 0, time.monotonic()
        self._waiting: Timer | None = None
        self._said = ""

    def start(self, total: int) -> None:
        """Start to count at 0; traces come after the attacks and have a separate count."""
        self.loaded()
        self._total, self._count = total, _Count()

    def loading(self, text: str) -> None:
        """A line if it takes long; a log does not need lines about short steps."""
        self.loaded()
        self._waiting = Timer(PATIENCE, self.message, [text])
        self._waiting.daemon = True
        self._waiting.start()

    def loaded(self) -> None:
        """The loading has ended."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def within(self, shard: str, seconds: float, images: int) -> None:
        """A line, if it is time for one; of what has just begun, if it takes long."""
        self._count.within(shard, seconds, images)
        if not images:
            self.loading(f"{self._count.images} of {self._total} done, now {shard}.")
        elif time.monotonic() - self._last >= EVERY:
            self._draw(shard)

    def advance(self, shard: str, seconds: float, images: int) -> None:
        """A line, if it is time for one or this was the last shard."""
        self.loaded()
        self._count.whole(shard, seconds, images)
        if self._every_shard:
            self.message(f"{self._count.images} of {self._total} done: {shard}, {seconds:.2f} s")
        elif time.monotonic() - self._last >= EVERY or self._count.images >= self._total:
            self._draw(shard)

    def _draw(self, shard: str) -> None:
        self._last, count = time.monotonic(), self._count
        left = (self._total - count.images) * count.seconds / max(count.images, 1)
        rate = pace(count.images, count.seconds)
        line = f"{count.images} of {self._total} done, {rate}, {left:.0f} s left ({shard})"
        if line != self._said:
            self._said = line
            self.message(line)

    def message(self, text: str) -> None:
        """The text on a separate line."""
        self._console.print(printable(text), markup=False, soft_wrap=True)
