"""Two workers over one process of one thread: `python -m benchmarks.speedup [--engine ray] [--images 512]`.

The same audit of a network that computes is run by one process of one thread and by two workers, each a process of its
own, start and end included. Printed are the ratio of the times, for two idle cores, and the same from CPU times: twice
that of one process over that of all processes of the other, which hardly depends on what else the machine does. Without
`[stability]` and `[quality]`, which run in one process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from palpate.audit.engines.cluster import require_ray
from palpate.errors import InputError

MODEL = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    width = 32
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
        nn.AvgPool2d(2), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, 2),
    )
"""
PLAN = """
[model]
factory = "model.py:build"
bounds = [0, 255]
[model.preprocess]
mean = [127.5, 127.5, 127.5]
std = [64.0, 64.0, 64.0]
[data]
table = "labels.csv"
[task]
kind = "binary"
classes = ["a", "b"]
[threat]
norm = "linf"
eps = ["0.01/255"]
[[attacks]]
attack = "pgd"
steps = 40
[stability]
images = 0
[quality]
images = 0
[run]
layout = "channels_last"
"""
SIZE = 64


def write(folder: Path, images: int) -> None:
    """A network, images that it tells apart by its own opinion, and the plan."""
    import torch

    (folder / "model.py").write_text(MODEL)
    (folder / "plan.toml").write_text(PLAN)
    names: dict[str, object] = {}
    exec(MODEL, names)
    network, random = names["build"](), np.random.default_rng(0)  # type: ignore[operator]
    lines = ["file,label"]
    for number in range(images):
        pixels = random.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        with torch.no_grad():
            seen = network.eval()((torch.from_numpy(pixels).permute(2, 0, 1)[None].float() - 127.5) / 64)
        lines.append(f"{number}.png,{'ab'[int(seen.argmax())]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def worker(engine: str, folder: Path) -> None:
    """One audit, in a process of its own; prints seconds and CPU seconds."""
    import torch

    from palpate.audit.plan.plan import load_plan
    from palpate.audit.run.runner import audit

    torch.set_num_threads(1)
    plan = load_plan(folder / "plan.toml")
    if engine != "local":
        plan = plan.on(engine, 2)  # type: ignore[arg-type]
    spent = Spent()
    begin = time.perf_counter()
    audit(plan, folder / f"run-{engine}")
    whole = time.perf_counter() - begin
    print(json.dumps([whole, spent.seconds()]))


class Spent(threading.Thread):
    """CPU seconds of this process and of all below it from now on, also of those that end meanwhile."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.held: dict[str, float] = {}
        self.before = _cpu(str(os.getpid()))
        self.start()

    def run(self) -> None:
        """Look twice a second."""
        while True:
            self.look(str(os.getpid()))
            time.sleep(0.5)

    def look(self, process: str) -> None:
        """Note one process and those below it."""
        try:
            self.held[process] = _cpu(process)
            for thread in Path(f"/proc/{process}/task").iterdir():
                for child in (thread / "children").read_text().split():
                    self.look(child)
        except OSError:
            return

    def seconds(self) -> float:
        """Until now."""
        self.look(str(os.getpid()))
        return sum(self.held.values()) - self.before


def _cpu(process: str) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run both, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", choices=("pool", "ray"), default="pool")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(options.worker[0], Path(options.worker[1]))
    if options.engine == "ray":
        try:
            require_ray(None)
        except InputError as error:
            sys.exit(str(error))
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), options.images)
        print(f"others' load before: {os.getloadavg()[0]:.2f}", flush=True)
        found = {}
        for engine in ("local", options.engine):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.speedup", "--worker", engine, name],
                check=True, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            found[engine] = json.loads(done.stdout.splitlines()[-1])
            print(f"{engine}: {found[engine][0]:.1f} s, CPU {found[engine][1]:.1f} s", flush=True)
    (one, spent), (two, both) = found["local"], found[options.engine]
    print(f"\n| two workers on {options.engine} over one process | ratio |\n| --- | --- |")
    print(f"| by time | {one / two:.2f} |\n| by CPU time | {2 * spent / both:.2f} |")


if __name__ == "__main__":
    main()
