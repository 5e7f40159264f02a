"""Models that hang: the attack is given up, and the others go on, at once or at the next start."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from palpate.audit.plan.plan import Plan
from palpate.audit.run.runner import audit
from palpate.commands.status import INCOMPLETE
from palpate.storage.runs import RunFolder
from tests.audit import tiny
from tests.audit.tiny import Heard

MODEL = (
    tiny.MODEL
    + """
import ctypes, time

def native():
    # A lock that is taken twice: signals wake the thread, and the system waits on.
    library, lock = ctypes.CDLL(None), ctypes.create_string_buffer(128)
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_lock(lock)

class Hangs(nn.Sequential):
    def forward(self, images):
        stored = images.detach() * 127.5 + 127.5
        if images.requires_grad and float((stored - stored.round()).abs().max()) > 1e-3:
            eval(self.act)
        return super().forward(images)

def hangs(act):
    model = Hangs(*layers(4))
    model.act = act
    return model
"""
)


def hanging(folder: Path, act: str, seconds: float) -> Plan:
    tiny.write(folder)
    (folder / "model.py").write_text(MODEL)
    text = tiny.PLAN.replace("model.py:build", "model.py:hangs").replace("batch = 3", f"batch = 3\ntimeout = {seconds}")
    return tiny.rewrite(folder, text.replace("bounds", f"arguments = {{act = '{act}'}}\nbounds", 1))


def test_a_model_that_sleeps_is_given_up_and_the_other_attacks_go_on(tmp_path: Path) -> None:
    begin = time.perf_counter()
    outcome = audit(hanging(tmp_path / "plan", "time.sleep(60)", 0.5), tmp_path / "run")
    assert time.perf_counter() - begin < 30
    assert (outcome.status, outcome.failed, outcome.done) == ("unfinished", ("pgd",), 6)
    (text,) = [one.text for one in outcome.findings if one.subject == "pgd"]
    assert "one batch took longer than run.timeout = 0.5 seconds" in text


def test_what_could_not_run_is_tried_again_last(tmp_path: Path) -> None:
    plan = hanging(tmp_path / "plan", "time.sleep(60)", 0.3)
    (tmp_path / "run").mkdir()
    audit(plan, tmp_path / "run")
    for shard in (tmp_path / "run" / "records").glob("*.parquet"):
        shard.unlink()
    heard = Heard(stop_after=6)
    outcome = audit(plan, tmp_path / "run", progress=heard)
    assert outcome.interrupted and outcome.failed == () and outcome.done == 6
    assert not any(words.startswith("pgd") for words in heard.shards)


@pytest.mark.skipif(sys.platform != "linux", reason="the hang is made with a lock of glibc")
def test_native_code_that_hangs_ends_the_command_and_loses_nothing(tmp_path: Path) -> None:
    hanging(tmp_path / "plan", "native()", 1)
    command = [sys.executable, "-m", "palpate", "audit", str(tmp_path / "plan" / "plan.toml"), "-q"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = []
    for _ in range(2):
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=environment)
        assert ended.returncode == INCOMPLETE and "Traceback" not in ended.stderr
        assert "'pgd' could not run: model: one batch took longer than run.timeout = 1 seconds" in ended.stderr
        described = RunFolder(tmp_path / "plan" / "runs" / "plan").describe()
        assert [one["level"] for one in described["findings"] if one["subject"] == "pgd"] == ["failure"]
        done.append(len(tiny.shards(tmp_path / "plan" / "runs" / "plan")))
    # pgd comes first: the first start ends with it, and the second has done the others before.
    assert done == [0, 6]
