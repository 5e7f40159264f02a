"""All texts for a terminal or a log pass here, so that characters that would control the terminal are only shown."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from palpate.errors import printable

if TYPE_CHECKING:
    from rich.console import Console


def echo(text: object, *, err: bool = False, lines: bool = False) -> None:
    """Print a text on stdout, or on stderr; `lines` as in `printable`."""
    import typer

    typer.echo(printable(text, lines=lines), err=err)


def echo_lines(text: str) -> None:
    """Print a text of palpate with several lines on stdout."""
    for line in text.split("\n"):
        echo(line)


def console(*, stderr: bool = False) -> Console:
    """A console of rich that cleans everything it draws: texts, cells of tables, texts of progress bars."""
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

    class Clean(Console):
        def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                # The codes of rich itself are separate segments; a line break is how it ends a line.
                if segment.control or segment.text.isprintable() or segment.text == "\n":
                    yield segment
                else:
                    shown = "\n".join(map(printable, segment.text.split("\n")))
                    yield Segment(shown, segment.style)

    return Clean(stderr=stderr, highlight=False)


@contextmanager
def unread() -> Iterator[None]:
    """Inside this block, a command goes on when nobody reads its output any more, as after `| head`.

    The rest of the output is lost, and the exit status is that of the command.
    """
    before = sys.stdout
    sys.stdout = _Unread(before)
    try:
        yield
    finally:
        sys.stdout = before


class _Unread:
    """A stream that survives its reader."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._leave()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._leave()

    def _leave(self) -> None:
        # What is still in a buffer has to go somewhere too, also when Python ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


@contextmanager
def guarded() -> Iterator[None]:
    """Inside this block, warnings and log messages of libraries are cleaned too, because they quote files.

    So are exceptions that nobody can catch: those of a model's threads, or of deleted objects. Each kind is shown once.
    """
    last = logging.lastResort
    before = None if last is None else last.formatter
    hooks = threading.excepthook, sys.unraisablehook
    lost = _Lost()
    threading.excepthook = sys.unraisablehook = lost
    with warnings.catch_warnings():
        warnings.showwarning = _show  # type: ignore[assignment]
        if last is not None:
            last.setFormatter(_Clean())
        try:
            yield
        finally:
            threading.excepthook, sys.unraisablehook = hooks
            if last is not None:
                last.setFormatter(before)


class _Lost:
    """Shows an exception that ended a thread, or was raised where it cannot be passed on."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, lost: Any, /) -> None:
        name = lost.exc_type.__name__
        if sys.stderr is None or issubclass(lost.exc_type, SystemExit) or name in self._said:
            return
        self._said.add(name)
        try:
            text = f"{name}: {lost.exc_value}"
        except BaseException:  # its own text fails
            text = name
        echo(f"palpate: something that runs next to the audit failed with {text}", err=True)


def _show(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, *_: Any
) -> None:
    print(f"{category.__name__}: {printable(message)}", file=file or sys.stderr)


class _Clean(logging.Formatter):
    """Only the message of a record, cleaned."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(record.getMessage())
