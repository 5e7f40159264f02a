"""An audit with all defaults over its attack alone: `python -m benchmarks.audit_overhead`.

Two audits in which no image falls, so that every attack takes all its steps: ResNet-18 at 128 px, 64 images, PGD of 20
steps; a tiny network at 28 px, 4096 images, PGD of 10 steps. Prints CPU seconds of each part, on one thread, and the
ratio of the whole (audit and report, without imports) to the attack's own calls in the same run. About 5 CPU minutes;
`--images`, `--steps` and `--no-probes` make it shorter.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch

from benchmarks.audit_overhead.clock import Clock
from benchmarks.audit_overhead.parts import parts
from benchmarks.audit_overhead.worlds import WORLDS
from palpate.allocator import choose_allocation
from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.report.page.html import write_report
from palpate.storage.runs import RunFolder


def measured(plan: Path, out: Path) -> dict[str, float]:
    """CPU seconds by part of one audit and its report; what is in no part is `other`."""
    clock = Clock()
    with clock.part("other"), clock.watching(parts()):
        outcome = audit(load_plan(plan), out)
        with clock.part("report"):
            write_report(RunFolder(out))
    if outcome.status != "finished" or outcome.failed:
        raise SystemExit(f"The audit did not finish: {outcome.findings}")
    won = RunFolder(out).frame()["success"]
    if won.any():
        raise SystemExit(f"{int(won.sum())} of {len(won)} images fell, and none should.")
    return dict(clock.spent)


def table(name: str, spent: dict[str, float]) -> str:
    """Parts by their share, and the ratio."""
    total = sum(spent.values())
    rows = [f"| {part} | {taken:.2f} | {taken / total:.1%} | {taken / spent['attack']:.3f} |"
            for part, taken in sorted(spent.items(), key=lambda one: -one[1])]  # fmt: skip
    head = f"| {name} | CPU s | share | over the attack |\n| --- | --- | --- | --- |\n"
    bare = total - spent.get("probes", 0.0)
    rows += [f"| without probes | {bare:.2f} | {bare / total:.1%} | **{bare / spent['attack']:.3f}** |"]
    return head + "\n".join([*rows, f"| whole | {total:.2f} | 100 % | **{total / spent['attack']:.3f}** |"])


def main() -> None:
    """Print one table for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=list(WORLDS), action="append", help="both by default")
    parser.add_argument("--images", type=int, help="fewer images")
    parser.add_argument("--steps", type=int, help="steps of PGD")
    parser.add_argument("--no-probes", action="store_true", help="leave out the probes, which are attacks of their own")
    parser.add_argument("--keep", type=Path, help="keep worlds and run folders here, for example to compare them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["PALPATE_CACHE"] = "0"  # the layout is timed, as in a first run
    choose_allocation(frugal=False)
    print(f"Imports: {time.process_time():.1f} CPU s, once for each process.")
    with tempfile.TemporaryDirectory() if options.keep is None else nullcontext(options.keep) as folder:
        for name in options.world or WORLDS:
            world = WORLDS[name]
            images, steps = options.images or world.images, options.steps or world.steps
            plan = world.write(Path(folder) / name, images, steps)
            if options.no_probes:
                plan.write_text(f"{plan.read_text()}\n[quality]\nimages = 0\n")
            spent = measured(plan, plan.parent / "run")
            print(f"\n{table(f'{name}, {images} images, PGD-{steps}', spent)}", flush=True)


if __name__ == "__main__":
    main()
