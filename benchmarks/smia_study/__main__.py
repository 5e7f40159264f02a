"""The study of SMIA with one command: `python -m benchmarks.smia_study`.

Trains or loads the victims, scans radii and decides the defaults on validation images, runs every attack on test
images, traces some, and writes the tables, plots and pages. Nothing that is finished is done again: stop it at any
moment, start the same command again, in several terminals to use several cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.measure import say
from benchmarks.smia_study import ablation, cells, run
from benchmarks.smia_study.cell import STAGES, Cell
from benchmarks.smia_study.suite import BENCHMARKS
from benchmarks.smia_study.transfer_networks import CACHE, ROOT
from palpate.allocator import keep_freed_memory

COMMAND = "python -m benchmarks.smia_study"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    benchmarks = [
        benchmark for benchmark in BENCHMARKS if not options.benchmarks or benchmark.name in options.benchmarks
    ]
    grounds = run.Grounds(options.data)
    for stage in [] if options.tables else options.stage:
        # What a cell is linked to does not depend on which benchmarks are asked for.
        found = cells.cells(stage, benchmarks)
        if options.only:
            found = _only(found, options.only)
        if options.list:
            _listed(found)
            continue
        minutes = sum(cell.seconds for cell in found) / 60
        say(f"{stage}: {len(found)} cells, at most {minutes:.0f} min of a quiet core if none is done")
        run.run(found, grounds, options.cache, again=bool(options.only))
        _summed_up(stage, cells.cells(stage, BENCHMARKS), options.cache)
    if not options.list and not options.only and not options.no_pages:
        from benchmarks.smia_study import pages

        pages.write(options.cache)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--stage", action="append", choices=STAGES, help="only this stage; may be repeated")
    parser.add_argument(
        "--benchmarks", nargs="+", choices=[benchmark.name for benchmark in BENCHMARKS], help="only these"
    )
    parser.add_argument(
        "--only", metavar="BENCHMARK/ATTACK/EPS/MODE/SEED", help="run this cell again, as --list names it"
    )
    parser.add_argument("--list", action="store_true", help="list the cells with their commands")
    parser.add_argument("--tables", action="store_true", help="write tables, plots and pages from the cache alone")
    parser.add_argument("--no-pages", action="store_true", help="run cells and write no pages")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder with the sets")
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args(arguments)
    options.stage = options.stage or list(STAGES)
    return options


def _only(found: list[Cell], key: str) -> list[Cell]:
    """The cell of this name and, where its rows are another one's, that one."""
    chosen = [cell for cell in found if cell.key == key]
    names = {(cell.benchmark.name, cell.source) for cell in chosen}
    return [cell for cell in found if (cell.benchmark.name, cell.name) in names] + [c for c in chosen if c.linked]


def _listed(found: list[Cell]) -> None:
    for cell in found:
        same = f"   # the rows of {cell.source}" if cell.linked else f"   # {cell.steps} steps, {cell.seconds:.0f} s"
        print(cell.command + same)


def _summed_up(stage: str, found: list[Cell], root: Path) -> None:
    if stage == "scan":
        ablation.scanned(found, root)
    elif stage == "ablation":
        outcome = ablation.decide(found, root, f"{COMMAND} --stage ablation")
        say(f"best {outcome['best']}, lead {outcome['lead']}; default: {outcome['default']}")


if __name__ == "__main__":
    main()
