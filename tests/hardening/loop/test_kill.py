"""Killed by the system, in the middle of whatever it does, a training goes on to the same bytes."""

import multiprocessing
import random
import signal
import time
from pathlib import Path

from palpate.hardening.loop import train
from palpate.hardening.loop.weights import digest
from tests.hardening.loop.tiny import course

KILLS = 8


def work(folder: Path) -> None:
    train(course(epochs=4), folder, every=0)


def test_after_kill_9_the_same_bytes_come_out(tmp_path):
    train(course(epochs=1), tmp_path / "imports")
    begin = time.perf_counter()
    whole = train(course(epochs=4), tmp_path / "whole", every=0)
    seconds, chance = time.perf_counter() - begin, random.Random(2)
    assert whole.best
    forks, kills, finished = multiprocessing.get_context("fork"), 0, 0
    while kills < KILLS:
        folder = tmp_path / f"killed{finished}"
        process = forks.Process(target=work, args=(folder,))
        process.start()
        process.join(chance.uniform(0.05, 0.6) * seconds)
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        if process.exitcode == 0:
            assert digest(train(course(epochs=4), folder).state) == digest(whole.state)
            finished += 1
        assert process.exitcode in (0, -signal.SIGKILL)
    last = train(course(epochs=4), tmp_path / f"killed{finished}")
    assert digest(last.state) == digest(whole.state)
    assert not list((tmp_path / f"killed{finished}").rglob("*.tmp")), "unfinished files are left behind"
