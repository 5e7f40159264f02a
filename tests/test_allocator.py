"""Who decides how memory is handled."""

import os
import sys
from types import SimpleNamespace

import pytest

from palpate import allocator


@pytest.mark.parametrize(
    ("set_by_user", "frugal", "asked"),
    [(None, True, "trim"), (None, False, None), ("keep", True, "keep"), ("0", True, "0")],
)
def test_the_environment_has_the_last_word(monkeypatch, set_by_user, frugal, asked):
    monkeypatch.delenv("PALPATE_MALLOC", raising=False)
    if set_by_user is not None:
        monkeypatch.setenv("PALPATE_MALLOC", set_by_user)
    called = []
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: called.append(os.environ.get("PALPATE_MALLOC")))
    allocator.choose_allocation(frugal=frugal)
    assert called == [asked]
    monkeypatch.delenv("PALPATE_MALLOC", raising=False)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has these thresholds")
@pytest.mark.parametrize("highest", [2**25, 2**31])
def test_large_blocks_are_kept_where_glibc_refuses_a_high_threshold(monkeypatch, highest):
    monkeypatch.delenv("PALPATE_MALLOC", raising=False)
    asked = {}

    def mallopt(parameter, value):
        if parameter == allocator._M_MMAP_THRESHOLD and value > highest:
            return 0
        asked[parameter] = value
        return 1

    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    assert allocator.keep_freed_memory()
    assert asked[allocator._M_TRIM_THRESHOLD] == 2**30
    if highest < 2**30:
        assert asked[allocator._M_MMAP_MAX] == 0
    else:
        assert asked[allocator._M_MMAP_THRESHOLD] == 2**30 and allocator._M_MMAP_MAX not in asked
