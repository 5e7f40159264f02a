"""How many images fit into memory at once. If a batch does not fit, half as many are tried."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from palpate.errors import InputError
from palpate.memory import out_of_memory

Result = TypeVar("Result")

_ONE = (
    "There is not enough memory for one image at a time. Use a machine with more memory, smaller images "
    "(preprocess.size), or sliding windows (model.inferer)."
)


class Room:
    """Images that are computed together: the plan's `run.batch`, or fewer after that many did not fit into memory.

    Results do not depend on it: every image has its own random numbers.

    Attributes:
        wanted: the number of the plan.
        batch: the number that fits, as far as known.
    """

    def __init__(self, wanted: int):
        self.wanted = self.batch = wanted

    def each(
        self, rows: Sequence[int], work: Callable[[tuple[int, ...]], Result]
    ) -> Iterator[tuple[tuple[int, ...], Result]]:
        """The results of `work` for the rows, a part of them at a time, in their order.

        Raises:
            InputError: one image alone does not fit into memory; see `work`.
        """
        left = tuple(rows)
        while left:
            part = left[: self.batch]
            result = self._tried(part, work)
            if result is not None:
                yield part, result[0]
                left = left[len(part) :]

    def some(
        self, rows: Sequence[int], work: Callable[[tuple[int, ...]], Result], fewer: Callable[[int], tuple[int, ...]]
    ) -> Result:
        """The result of `work` for the rows, or for as many as fit: `fewer` chooses that many of them.

        Raises:
            InputError: one image alone does not fit into memory; see `work`.
        """
        part = tuple(rows)
        while (result := self._tried(part, work)) is None:
            part = fewer(self.batch)
        return result[0]

    def describe(self) -> str | None:
        """A sentence for the user if fewer images fit than the plan's batch; else None."""
        if self.batch == self.wanted:
            return None
        one = self.batch == 1
        return (
            f"{self.wanted} images at once did not fit into memory, so {self.batch} {'is' if one else 'are'} computed "
            f"at a time. Results do not depend on it. run.batch = {self.batch} saves the failed attempts."
        )

    def _tried(self, part: tuple[int, ...], work: Callable[[tuple[int, ...]], Result]) -> tuple[Result] | None:
        """The result; None if the memory is too small, so that fewer must be tried."""
        try:
            return (work(part),)
        except Exception as error:
            if not out_of_memory(error):
                raise
            if len(part) == 1:
                raise InputError(_ONE) from error
        # Outside the `except` block no reference to the tensors of the failed attempt is left.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.batch = max(1, len(part) // 2)
        return None
