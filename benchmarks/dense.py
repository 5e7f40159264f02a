"""Attacks on masks, compared with torchattacks and each other: `python -m benchmarks.dense [--quick]`.

Prints one JSON line on stdout; progress goes to stderr and the table to `benchmarks/results/dense.md`.
L-inf, a MONAI U-Net that was trained on drawn structures, a batch of 8 x 1 x 256 x 256, on the CPU, every contender in
a separate process and all in turn, all steps run. torchattacks' PGD is the only one of the peers that runs on masks;
it comes with `make benchmark`'s environment, and without it its ratios are null. `--quick` is one round of 10 steps,
`--compiled` adds a search compiled by `torch.compile`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.dense_alone import BATCH, LEVERS, apart
from benchmarks.dense_subject import dice, drawn, trained
from benchmarks.measure import Contender, race, ratio, say
from benchmarks.rivals import RIVALS

EPS = 2 / 255
RESULTS = Path(__file__).resolve().parent / "results"
ATTACKS = ("pgd", "smia", "segpgd", "cospgd", "dice-pgd")


def contender(name: str, steps: int) -> Contender:
    """One row; `name` as `benchmarks.dense_alone` reads it."""
    attack, _, lever = name.partition(":")
    words = f"palpate {attack}, {lever}" if lever else name
    return Contender(f"{words}, {steps} steps", partial(apart, name, EPS, steps))


def beside_the_peer(steps: int, rounds: int, levers: tuple[str, ...]) -> tuple[list[Contender], dict[str, Any]]:
    """PGD: floor, torchattacks, and ours in every setting of the search."""
    say(f"PGD-{steps} on masks")
    below, mine = contender("floor", steps), {lever: contender(f"pgd:{lever}", steps) for lever in levers}
    rivals = [contender("torchattacks", steps)] if RIVALS["torchattacks"].available() else []
    race([below, *rivals, *mine.values()], rounds)
    figures: dict[str, Any] = {f"dense_floor_ratio_{lever}": ratio(row, below) for lever, row in mine.items()}
    for lever, row in mine.items():
        figures[f"dense_pgd_ratio_{lever}"] = ratio(row, rivals[0]) if rivals else None
        figures[f"dense_pgd_dice_{lever}"] = row.answer["dice"]
    figures["dense_pgd_dice_torchattacks"] = rivals[0].answer["dice"] if rivals else None
    return [below, *rivals, *mine.values()], figures


def side_by_side(steps: int, rounds: int) -> tuple[list[Contender], dict[str, Any]]:
    """Every attack at a quarter, half and all of the steps, searched in mixed precision."""
    say("Attacks on masks side by side")
    efforts = sorted({max(steps // 4, 1), max(steps // 2, 1), steps})
    rows = {(attack, effort): contender(f"{attack}:mixed", effort) for attack in ATTACKS for effort in efforts}
    race(list(rows.values()), rounds)
    figures: dict[str, Any] = {}
    for attack in ATTACKS:
        figures[f"dense_dice_{attack}"] = rows[attack, steps].answer["dice"]
        figures[f"dense_step_ratio_{attack}"] = ratio(rows[attack, steps], rows["pgd", steps])
    return list(rows.values()), figures


def write_table(rows: list[Contender], figures: dict[str, Any], clean: float, rounds: int) -> None:
    """The full table, with versions and machine."""
    lines = [
        f"# Attacks on masks, {date.today().isoformat()}",
        "",
        f"`python -m benchmarks.dense`, {rounds} round(s), contenders in turn, each in a separate process; "
        f"{torch.get_num_threads()} threads, {os.cpu_count()} cores, torch {torch.__version__}. L-inf "
        f"{EPS * 255:g}/255, batch {BATCH} x 1 x 256 x 256. *Ready*: setting up and two steps, once, not in the "
        "seconds. *Lost*: Dice lost per second. Only ratios within one table are meaningful.",
        "",
        f"Dice of the clean images: {clean:.3f}.",
        "",
        "| contender | median s | ready s | Dice after | lost |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        after, ready, seconds = row.answer["dice"], row.answer["ready"], statistics.median(row.seconds)
        lost = (clean - after) / seconds
        lines.append(f"| {row.name} | {seconds:.2f} | {ready:.2f} | {after:.3f} | {lost:.4f} |")
    lines += ["", "| figure | value |", "| --- | --- |"]
    lines += [f"| {name} | {value:.3f} |" for name, value in figures.items() if value is not None]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "dense.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 10 steps")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every race; medians are reported")
    parser.add_argument("--compiled", action="store_true", help="also a search compiled by torch.compile")
    options = parser.parse_args()
    rounds, steps = (1, 10) if options.quick else (options.rounds, 40)
    model = trained()
    clean = dice(model, *drawn(BATCH, seed=7))
    say(f"Dice of the clean images: {clean:.3f}")
    rows, figures = beside_the_peer(steps, rounds, LEVERS if options.compiled else LEVERS[:-1])
    more, found = side_by_side(steps, rounds)
    figures |= found
    write_table(rows + more, figures, clean, rounds)
    print(json.dumps({name: round(v, 4) if isinstance(v, float) else v for name, v in figures.items()}))


if __name__ == "__main__":
    main()
