"""A bounded memory of what was made: the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")
_PAIR = 2


class Cache(Generic[V]):
    """Values by key, as many as fit; the last two stay in any case, since a difference needs a pair.

    Attributes:
        most: bytes that are kept.
        size: bytes of a value.
        held: bytes that are kept now.
    """

    def __init__(self, most: int, size: Callable[[V], int]) -> None:
        self.most, self.size, self.held = most, size, 0
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of a key, made if it is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self.held += self.size(value)
                while self.held > self.most and len(self._values) > _PAIR:
                    self.held -= self.size(self._values.popitem(last=False)[1])
        return value
