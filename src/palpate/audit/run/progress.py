"""What an audit tells while it runs; the command line draws it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class Progress(Protocol):
    """Hears how an audit goes on: first the attacks, then their traces.

    One unit of work is one image under one attack, at all its budgets, or traced at one of them.
    """

    def start(self, total: int) -> None:
        """The attacks begin, or the traces; `total` units of them are left to do."""

    def advance(self, shard: str, seconds: float, images: int) -> None:
        """A shard or a trace was stored: what it was in words, the time it took, and how many units it held."""

    def message(self, text: str) -> None:
        """A sentence worth reading now."""


@runtime_checkable
class Finer(Progress, Protocol):
    """Hears of what is loaded before the attacks, and of single images while a shard is at work."""

    def loading(self, text: str) -> None:
        """What is loaded now; it may take a moment or minutes."""

    def within(self, shard: str, seconds: float, images: int) -> None:
        """Units of the shard at work are done and not stored yet; `advance` counts them again, with all its others."""


class Silence:
    """Says nothing."""

    def start(self, total: int) -> None:
        """Nothing."""

    def advance(self, shard: str, seconds: float, images: int) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""


def loading(progress: Progress, text: str) -> None:
    """Tell what is loaded now, to those that want to hear it."""
    if isinstance(progress, Finer):
        progress.loading(text)
