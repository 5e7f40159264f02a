"""The progress of a training for people: a bar in a terminal, a line per epoch in a log."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from palpate.errors import printable
from palpate.hardening.contracts import EpochRow
from palpate.hardening.loop.progress import News, Progress, Silence
from palpate.units import counted

_SECONDS = 10.0
"""Between two lines inside an epoch."""


@contextmanager
def displayed(console: Console, *, verbose: bool = False, quiet: bool = False) -> Iterator[Progress]:
    """A progress on `console` while the block runs; `verbose`: lines inside each epoch, on a terminal too."""
    if quiet:
        yield Silence()
        return
    if verbose or not console.is_terminal:
        yield Lines(console, every=_SECONDS if verbose else None)
        return
    shown = TextColumn("{task.description}", markup=False)
    with RichProgress(shown, BarColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        yield Bar(console, bar)


def in_words(row: EpochRow) -> str:
    """One epoch in a line."""
    if row.epoch == 0:
        return f"before      clean {row.clean:.3f}  robust {row.robust:.3f}  one step {row.single:.3f}"
    return (
        f"epoch {row.epoch:<4}  clean {row.clean:.3f}  robust {row.robust:.3f}  one step {row.single:.3f}  "
        f"loss {row.loss:.3f}  rate {row.rate:.2g}  {row.seconds:.0f} s"
    )


class Lines:
    """A line per epoch; with `every`, also for the first batch of an epoch and then at most one in so many seconds."""

    def __init__(self, console: Console, *, every: float | None = None):
        self._console = console
        self._every = every
        self._told = -math.inf

    def start(self, epochs: int, batches: int) -> None:
        """A line with the amount of work."""
        work = f"{counted(epochs, 'epoch')} of {counted(batches, 'batch', 'batches')}"
        self.message(f"Training: {work}. Scores are those of the validation images.")

    def step(self, news: News) -> None:
        """A line if it is time for one."""
        now = time.monotonic()
        if self._every is not None and (news.batch == 1 or now - self._told >= self._every):
            self._told = now
            self.message(
                f"  epoch {news.epoch}, batch {news.batch}, loss {news.loss:.3f}, {news.pace:.0f} images per second"
            )

    def epoch(self, row: EpochRow) -> None:
        """A line with the scores, and one for what happened."""
        self.message(in_words(row))
        if row.event:
            self.message(f"  {row.event}")

    def message(self, text: str) -> None:
        """The text on a line of its own."""
        self._console.print(printable(text), markup=False, soft_wrap=True)


class Bar(Lines):
    """A bar over all batches, with a line per epoch above it."""

    def __init__(self, console: Console, bar: RichProgress):
        super().__init__(console)
        self._bar = bar
        self._batches = 0

    def start(self, epochs: int, batches: int) -> None:
        """Draw the bar."""
        self._batches = batches
        self._task = self._bar.add_task("training", total=epochs * batches)

    def step(self, news: News) -> None:
        """Move it."""
        done = (news.epoch - 1) * self._batches + news.batch
        text = f"epoch {news.epoch}, loss {news.loss:.3f}, {news.pace:.0f} images/s"
        self._bar.update(self._task, completed=done, description=text)

    def message(self, text: str) -> None:
        """The text above the bar."""
        self._bar.console.print(printable(text), markup=False)
