"""From a few images on this machine to a million on a cluster: the simulator of `palpate estimate`, checked and used.

    python -m benchmarks.scale --check            # real runs with 1, 2 and 4 workers beside what the simulator says
    python -m benchmarks.scale plan.toml          # a pilot of a plan, then 10^6 images on 8, 64 and 512 workers
    python -m benchmarks.scale --reading          # hashing files in threads, over one after the other

The check uses a network that waits instead of computing, so that four workers are four also on two processors: what is
compared is how jobs are given out, computed and stored. Its workers start one after the other, since starting computes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import numpy as np
from PIL import Image

from palpate.audit.estimate.costs import Costs
from palpate.audit.estimate.forecast import drawn, forecast, most_workers
from palpate.audit.estimate.pilot import pilot
from palpate.audit.estimate.simulation import Cluster, simulate
from palpate.audit.plan.plan import load_plan
from palpate.audit.run.progress import Silence
from palpate.audit.run.runner import audit
from palpate.data.ahead import ahead
from palpate.data.cases import Case
from palpate.data.source import Folder
from palpate.report.page.html import write_report

MODEL = """
import time
import torch

class Waiting(torch.nn.Module):
    def forward(self, images):
        time.sleep({wait} * len(images))
        bright = images.mean((1, 2, 3)) - 120
        return torch.stack([-bright, bright], 1)

def build():
    return Waiting()
"""
PLAN = """
[model]
factory = "model.py:build"
bounds = [0, 255]
[data]
table = "labels.csv"
[task]
kind = "binary"
classes = ["dark", "bright"]
[threat]
norm = "linf"
eps = [2]
[[attacks]]
attack = "pgd"
steps = 5
[survival]
after = []
saved = false
[stability]
images = 0
[quality]
images = 0
[run]
batch = 4
shard = 4
layout = "contiguous"
engine = "pool"
"""
IMAGES, WAIT = 192, 0.02


@dataclass
class Stopwatch(Silence):
    """When the first shard was given out and when each was stored."""

    begin: float = 0.0
    first: float = 0.0
    last: float = 0.0

    def start(self, total: int) -> None:
        """The workers start now."""
        self.begin = time.perf_counter()

    def advance(self, shard: str, seconds: float, images: int) -> None:
        """A shard was stored."""
        self.last = time.perf_counter()
        self.first = self.first or self.last


def write(folder: Path) -> Path:
    """Images, a network that waits, and the plan."""
    (folder / "model.py").write_text(MODEL.format(wait=WAIT))
    lines = ["file,label"]
    for number in range(IMAGES):
        Image.fromarray(np.full((8, 8), 60 + 120 * (number % 2), np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{'bright' if number % 2 else 'dark'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    (folder / "plan.toml").write_text(PLAN)
    return folder / "plan.toml"


def check(counts: Sequence[int]) -> None:
    """Print real and simulated seconds; all but the first number of workers are forecast from the run with one."""
    with tempfile.TemporaryDirectory() as name:
        plan = load_plan(write(Path(name)))
        print("| workers | real s | simulated s | ratio |\n| --- | --- | --- | --- |")
        shards, start, commit = [1.0], 0.0, 0.0
        for count in counts:
            watch, folder = Stopwatch(), Path(name) / f"run{count}"
            audit(plan.on("pool", count), folder, progress=watch)
            real = watch.last - watch.begin
            if count == counts[0]:
                shards = list(json.loads((folder / "run.json").read_text())["shard_seconds"].values())
                start = watch.first - watch.begin - shards[0]
                commit = max(0.0, (watch.last - watch.first - sum(shards[1:])) / (len(shards) - 1))
            said = simulate(shards, Cluster(count, start * max(1, count / 2), commit)).seconds
            print(f"| {count} | {real:.1f} | {said:.1f} | {said / real:.2f} |", flush=True)
        print(
            f"\n{len(shards)} shards of {mean(shards):.3f} s; start {start:.1f} s; {1000 * commit:.1f} ms to store one"
        )


def million(costs: Costs, counts: Sequence[int]) -> None:
    """Print the forecast for a million images, on ordinary workers, and where some are slow or lost."""
    costs = replace(costs, images=10**6)
    shards = drawn(costs)
    print(f"{len(shards)} shards of {mean(shards):.1f} s, {1000 * costs.commit:.1f} ms to store one, "
          f"{1000 * costs.reading:.2f} ms to read and check one image before the first shard.\n")  # fmt: skip
    print("| workers | hours | of these, before the first shard | storing is busy | 5% twice as slow, each lost every "
          "100 h |\n| --- | --- | --- | --- | --- |")  # fmt: skip
    for count in counts:
        found = forecast(costs, count)
        worse = simulate(shards, Cluster(count, 60, costs.commit, slow=0.05, factor=2, losses=0.01)).seconds
        best = simulate(shards, Cluster(count, commit=costs.commit)).seconds
        print(f"| {count} | {found.seconds / 3600:.2f} | {found.before / 3600:.2f} | {found.busy:.1%} | "
              f"{(found.seconds - best + worse) / 3600:.2f} |", flush=True)  # fmt: skip
    print(f"\nStoring is the limit beyond {most_workers(costs):,.0f} workers. Memory of the process of the audit: "
          f"{(costs.memory + 10**6 * costs.row) / 1e9:.1f} GB.")  # fmt: skip


READ, DELAYS, LOOKS = 1000, (0.0, 0.001, 0.005), 3


def reading() -> None:
    """Print how long one image takes to be read and hashed: from the cache of the disk, and from a disk that waits."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
        for number in range(READ):
            Image.fromarray(np.roll(pixels, number, 0)).save(folder / f"{number}.png", compress_level=0)
        source = Folder(folder)
        cases = [Case(f"{number}.png", -1, "", number) for number in range(READ)]
        print("| the disk answers after | one after the other | in threads | ratio |\n| --- | --- | --- | --- |")
        for delay in DELAYS:

            def content(case: Case, delay: float = delay) -> bytes:
                time.sleep(delay)
                return hashlib.sha256(source.content(case)).digest()

            # Both in turn, and the faster of each: other work on the machine comes and goes.
            times = [(_milliseconds(map(content, cases)), _milliseconds(ahead(content, cases))) for _ in range(LOOKS)]
            one, several = (min(column) for column in zip(*times, strict=True))
            print(f"| {1000 * delay:.0f} ms | {one:.2f} ms | {several:.2f} ms | {one / several:.1f} |", flush=True)


def _milliseconds(results: Iterable[bytes]) -> float:
    begin = time.perf_counter()
    for _ in results:
        pass
    return 1000 * (time.perf_counter() - begin) / READ


def main() -> None:
    """Check the simulator, or forecast a million images of a plan."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("plan", nargs="?", type=Path, help="a plan, for the forecast of a million images")
    parser.add_argument("--check", action="store_true", help="compare the simulator with real runs")
    parser.add_argument("--reading", action="store_true", help="time reading and hashing of files")
    parser.add_argument("--workers", type=int, nargs="+", help="numbers of workers")
    parser.add_argument("--images", type=int, help="images of the pilot")
    options = parser.parse_args()
    if options.check:
        check(options.workers or [1, 2, 4])
    if options.reading:
        reading()
    if options.plan is not None:
        plan = load_plan(options.plan).on("pool", None)
        costs = pilot(plan, options.plan.parent / "runs", write_report, images=options.images, progress=Silence())
        million(costs, options.workers or [8, 64, 512])


if __name__ == "__main__":
    main()
