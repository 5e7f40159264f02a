"""Many lists of numbers as one array: what each image holds of boxes, findings or measures, without an object each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from palpate.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Lists:
    """An array whose cells are lists of float64. It is indexed like an array; a chosen part copies no number.

    >>> lists = Lists.of([[1.0, 2.0], [], [3.0, 4.0]])
    >>> lists[2]
    array([3., 4.])
    >>> lists[np.array([True, True, False])].table(2)
    array([[ 1.,  2.],
           [nan, nan]])
    """

    values: Floats
    """The numbers of all lists."""
    starts: Ints
    """Of each cell, where its list starts in `values`; any shape."""
    sizes: Ints
    """Of each cell, how long its list is."""

    @classmethod
    def of(cls, lists: Lists | Sequence[Any] | npt.NDArray[Any]) -> Lists:
        """Lists that are given one by one, or in an array of objects of any shape."""
        if isinstance(lists, Lists):
            return lists
        shape = lists.shape if isinstance(lists, np.ndarray) and lists.dtype == object else (len(lists),)
        flat = lists.ravel() if isinstance(lists, np.ndarray) and lists.dtype == object else lists
        arrays = [np.asarray(one, dtype=np.float64).ravel() for one in flat]
        sizes = np.array([one.size for one in arrays], dtype=np.int64)
        values = np.concatenate([np.zeros(0), *arrays])
        return cls(values, (np.cumsum(sizes) - sizes).reshape(shape), sizes.reshape(shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the cells."""
        return self.sizes.shape

    @property
    def widths(self) -> list[int]:
        """The lengths that occur, ascending."""
        return np.flatnonzero(np.bincount(self.sizes.ravel())).tolist() if self.sizes.size else []

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, key: int) -> Any: ...
    @overload
    def __getitem__(self, key: Any) -> Any: ...
    def __getitem__(self, key: Any) -> Any:
        starts, sizes = self.starts[key], self.sizes[key]
        if np.ndim(sizes) == 0:
            return self.values[starts : starts + sizes]
        return Lists(self.values, starts, sizes)

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def table(self, width: int) -> Floats:
        """The numbers [..., width]; NaN where a list is empty.

        Raises:
            InputError: a list has another length.
        """
        filled = np.equal(self.sizes, width)
        if wrong := [one for one in self.widths if one not in (0, width)]:
            raise InputError(f"A list holds {wrong[0]} numbers instead of {width}.")
        out = np.full((*self.shape, width), np.nan)
        if width:
            out[filled] = self.values[self.starts[filled][:, None] + np.arange(width)]
        return out

    def flat(self) -> Floats:
        """The numbers of all cells, one list after the other."""
        sizes = self.sizes.ravel()
        ends = np.cumsum(sizes)
        total = int(ends[-1]) if ends.size else 0
        return np.asarray(self.values[np.arange(total) + np.repeat(self.starts.ravel() - ends + sizes, sizes)])

    def spread(self, cells: tuple[Ints, ...], shape: tuple[int, ...]) -> Lists:
        """These lists in some cells of a larger array; the others are empty."""
        starts, sizes = np.zeros(shape, dtype=self.starts.dtype), np.zeros(shape, dtype=self.sizes.dtype)
        starts[cells], sizes[cells] = self.starts, self.sizes
        return Lists(self.values, starts, sizes)
