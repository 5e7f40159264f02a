"""Who decides how memory is handled."""

import os

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
