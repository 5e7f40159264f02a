"""The measurement of two workers over one."""

import sys

import pytest

from benchmarks import speedup
from palpate.audit.engines import cluster


def test_without_ray_it_says_so_before_it_measures_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    monkeypatch.setattr(speedup, "write", lambda folder, images: pytest.fail("it began"))
    monkeypatch.setattr(sys, "argv", ["speedup", "--engine", "ray"])
    with pytest.raises(SystemExit, match=r'"ray" needs Ray\. Install it: pip install "palpate\[ray\]"'):
        speedup.main()
