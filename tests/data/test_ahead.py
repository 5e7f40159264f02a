"""Files in a few threads: results keep their order, and the first error of that order is raised."""

import threading
import time
from itertools import count

import pytest

from palpate.data.ahead import ahead


def test_results_come_in_order_although_the_first_is_the_slowest() -> None:
    def late(number: int) -> tuple[int, int]:
        time.sleep(0.02 if number == 0 else 0)
        return number, threading.get_ident()

    found = list(ahead(late, range(40), together=2, threads=4))
    assert [number for number, _ in found] == list(range(40))
    assert len({thread for _, thread in found}) > 1, "several threads worked"


def test_the_first_error_in_order_is_raised_and_endless_items_are_not_all_taken() -> None:
    def refuse(number: int) -> int:
        if number in (30, 70):
            time.sleep(0.02 if number == 30 else 0)
            raise ValueError(number)
        return number

    taken, items = list[int](), count()
    with pytest.raises(ValueError, match="30"):
        taken.extend(ahead(refuse, items, together=4, threads=2))
    assert taken == list(range(28)) and next(items) < 100
