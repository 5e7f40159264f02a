"""What an audit reports while it runs; the command line shows it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class Progress(Protocol):
    """Is called as an audit proceeds: first for the attacks, then for their traces.

    One unit of work is one image under one attack, at all its budgets, or one traced image.
    """

    def start(self, total: int) -> None:
        """The attacks begin, or the traces; `total` units are left to do."""

    def advance(self, shard: str, seconds: float, images: int) -> None:
        """A shard or a trace was stored: its description, its time in seconds, and its number of units."""

    def message(self, text: str) -> None:
        """A sentence for the user."""


@runtime_checkable
class Finer(Progress, Protocol):
    """Is also called for what is loaded before the attacks, and for each batch inside a shard."""

    def loading(self, text: str) -> None:
        """What is loaded now; it may take seconds or minutes."""

    def within(self, shard: str, seconds: float, images: int) -> None:
        """Some units of the current shard are done but not stored; `advance` counts them again with all the others.

        With no units: this is what runs now, and it may take minutes.
        """


class Silence:
    """Shows nothing."""

    def start(self, total: int) -> None:
        """Nothing."""

    def advance(self, shard: str, seconds: float, images: int) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""


def loading(progress: Progress, text: str) -> None:
    """Pass on what is loaded now, if `progress` shows it."""
    if isinstance(progress, Finer):
        progress.loading(text)


def doing(progress: Progress, text: str) -> None:
    """Pass on what runs now, if `progress` shows it."""
    if isinstance(progress, Finer):
        progress.within(text, 0.0, 0)
