"""Work on many files in a few threads, with results in order: disks and networks answer several questions at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 8
"""Most of the time is waiting for a disk, so there may be more than processors."""


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, together: int = 16, threads: int = THREADS
) -> Iterator[Result]:
    """The result of `work` for each item, in the order of the items; a few more items than asked for are begun.

    Args:
        work: is called in other threads; the first error, in the order of the items, is raised here.
        items: what it is called with; taken as they are needed.
        together: items of one task: a task costs some microseconds of its own.
        threads: how many.

    Example:
        >>> list(ahead(len, ["a", "bc", ""]))
        [1, 2, 0]
    """
    source = iter(items)
    chunks = iter(lambda: list(islice(source, together)), [])
    first = next(chunks, [])
    if len(first) < together:  # too few for threads
        yield from map(work, first)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="files") as pool:
        begun: deque[Future[list[Result]]] = deque([pool.submit(_all, work, first)])
        try:
            while begun:
                begun.extend(pool.submit(_all, work, chunk) for chunk in islice(chunks, 2 * threads - len(begun)))
                yield from begun.popleft().result()
        finally:
            for task in begun:
                task.cancel()


def _all(work: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    return [work(item) for item in items]
