"""What was computed of a run folder before, by the bytes of its files: many tests read the same made-up run."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from functools import partial
from typing import Any

from rich.console import Console

from palpate.report.compute import results
from palpate.report.model.description import read_description
from palpate.report.model.schema import Results
from palpate.report.page import html, terminal
from palpate.storage.runs import RunFolder

_KNOWN: dict[tuple[Any, ...], Any] = {}


def contents(run: RunFolder) -> str:
    """A digest of the names and bytes of all files of a run folder, except those that a report writes."""
    found, written = hashlib.sha256(), {run.results, run.report}
    for path in sorted(one for one in run.path.rglob("*") if one.is_file() and one not in written):
        for part in (path.relative_to(run.path).as_posix().encode(), path.read_bytes()):
            found.update(hashlib.sha256(part).digest())
    return found.hexdigest()


def _once(run: RunFolder, key: tuple[Any, ...], compute: Callable[[], Any]) -> Any:
    key = (contents(run), *key)
    if key not in _KNOWN:
        _KNOWN[key] = compute()
    return _KNOWN[key]


def measure(run: RunFolder) -> Results:
    """All figures of a run; no test may change them."""
    return _once(run, (), partial(results.measure, run))


def render(run: RunFolder, **options: Any) -> str:
    """The page of a run."""
    key = tuple(sorted(options.items()))
    return _once(run, ("page", *key), lambda: html.render(run, read_description(run), measure(run), **options))


def printed(run: RunFolder, width: int = 80, **options: Any) -> str:
    """What the terminal shows of a run."""
    sink = io.StringIO()
    terminal.show(run, Console(file=sink, width=width, **options), results=measure(run))
    return sink.getvalue()
