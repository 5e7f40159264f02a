"""Kill an audit at random moments, resume it, compare bytes: `python -m benchmarks.kill_resume --kills 20`.

An audit of the demo's model on phantoms runs once undisturbed. A second one is killed with SIGKILL at random moments,
started again by the same command each time, and run to its end. The records of both have to be byte-identical. Where
the second one finishes before all kills are spent, it is compared, and a third one takes the remaining kills.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import say
from palpate.data.phantoms import write_fundus_folder

PLAN = """
title = "Kill and resume"
[model]
factory = "palpate.models.demo.fundus:load"
bounds = [0, 255]
[model.preprocess]
mean = [124.0, 67.0, 40.0]
std = [74.0, 42.0, 25.0]
[data]
table = "labels.csv"
label = "grade"
[task]
kind = "ordinal"
classes = ["no DR", "mild", "moderate", "severe", "proliferative"]
disease = ["moderate", "severe", "proliferative"]
[threat]
norm = "linf"
eps = [0.1, 0.25, 0.5, 1.0]
[run]
batch = 8
shard = 8
# Timing the layout may choose differently in two runs, and another layout changes the last digits.
layout = "contiguous"
[[attacks]]
attack = "noise"
[[attacks]]
attack = "pgd"
restarts = 2
[[attacks]]
attack = "smia"
[[attacks]]
attack = "di"
[[attacks]]
attack = "apgd-margin"
goal = "hide disease"
"""


def start(plan: Path, out: Path) -> subprocess.Popen[bytes]:
    """The audit, in a separate process."""
    command = [sys.executable, "-m", "palpate", "audit", str(plan), "--out", str(out), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def finish(plan: Path, out: Path) -> None:
    """Run the audit to its end; the same command whether anything was done before or not."""
    code = start(plan, out).wait()
    if code != 0:
        raise SystemExit(f"palpate audit ended with status {code} in {out}")


def records(out: Path) -> dict[str, bytes]:
    """Name -> bytes of every file of records."""
    return {path.name: path.read_bytes() for path in sorted((out / "records").iterdir())}


def shards(out: Path) -> int:
    """How many shards are stored."""
    return len(list((out / "records").glob("*.parquet"))) if (out / "records").is_dir() else 0


def main() -> int:
    """Run, kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--seed", type=int, default=None, help="of the random moments; by default the clock")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else time.time_ns() % 2**31
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        write_fundus_folder(base, options.images, seed=11)
        plan = base / "plan.toml"
        plan.write_text(PLAN)
        begin = time.perf_counter()
        finish(plan, base / "whole")
        whole, seconds = records(base / "whole"), time.perf_counter() - begin
        say(f"undisturbed: {seconds:.0f} s, {len(whole)} shards; moments by seed {seed}")
        killed, runs, same, at = 0, 0, True, []
        while killed < options.kills:
            out = base / "killed"
            shutil.rmtree(out, ignore_errors=True)
            while killed < options.kills:
                process = start(plan, out)
                try:
                    process.wait(timeout=moments.uniform(0.05, 0.6) * seconds)
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    killed += 1
                    at.append(shards(out))
                    say(f"  kill {killed:2d} of {options.kills}: {at[-1]} of {len(whole)} shards stored")
            finish(plan, out)
            runs += 1
            same = same and records(out) == whole
        verdict = "byte-identical to" if same else "DIFFERENT from"
        print(
            f"{killed} kills (SIGKILL) in {runs} run(s), at {min(at)} to {max(at)} stored shards of {len(whole)}: "
            f"the records are {verdict} an uninterrupted run's."
        )
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
