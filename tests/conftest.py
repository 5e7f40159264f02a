import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.slow import is_slow, is_slow_file


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    # Tests run side by side; more threads each only make them wait for one another.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _nothing_in_the_users_home() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PALPATE_CACHE", "0")
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    # What a test writes need not survive a power failure. Waiting for the disk took as long as the audits themselves.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Such a file is not even imported. None leaves the decision to others.
    return (config.getoption("markexpr") == "not slow" and is_slow_file(collection_path)) or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    for item in items:
        if is_slow(item.path, item.name):
            item.add_marker(pytest.mark.slow)
