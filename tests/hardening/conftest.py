"""For every test of hardening: one thread, and no waiting for the disk, which matters to power cuts only."""

import os
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _small_machine() -> Iterator[None]:
    threads, fsync = torch.get_num_threads(), os.fsync
    torch.set_num_threads(1)
    os.fsync = lambda descriptor: None  # type: ignore[assignment]
    yield
    os.fsync = fsync
    torch.set_num_threads(threads)
