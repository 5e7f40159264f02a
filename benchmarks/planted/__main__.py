"""The table of planted victims: `python -m benchmarks.planted`; some minutes on one core.

Each case is a whole audit (`palpate audit` on 40 images of 20 x 20 pixels, L-inf). Writes
`benchmarks/results/planted.md`. Ends with status 1 if a planted failure is not flagged with its name, or an honest
victim is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.measure import say
from benchmarks.planted.audits import IMAGES, IMAGES_SEED, Audited, run_case
from benchmarks.planted.cases import ALSO, CASES, STRONGEST, USUAL, Case
from benchmarks.planted.truth import robust_accuracy
from palpate.metrics.validity.indicators import FREE, TRANSFER

ROOT = Path(__file__).resolve().parent.parent.parent
_HEAD = ("task", "victim", "reported", "truth at most", "attack quality", "fired", "as planted", "probes")


def fired(audited: Audited) -> tuple[str, ...]:
    """The indicators that the report says fired."""
    goal = audited.results["validity"]["goals"][0]
    return tuple(one["name"] for one in goal["indicators"] if one["sign"] == "fired")


def right(case: Case, names: Sequence[str]) -> bool:
    """Whether the verdict is the planted one: nothing for honest victims, an expected name for others."""
    if case.honest or case.exact:
        return set(names) == set(case.expected)
    return bool(set(names) & set(case.expected)) and set(names) <= {*case.expected, *ALSO}


def share(audited: Audited) -> float:
    """Passes of the probes as a share of those of the attacks."""
    goals = audited.run["quality"]["goals"]
    probes = sum(one["forwards"] + one["backwards"] for goal in goals for one in goal["probes"])
    attacks = sum(one["forwards"] + one["backwards"] for one in audited.results["attacks"])
    return float(probes / attacks)


def row(audited: Audited) -> tuple[str, ...]:
    """One line of the table."""
    case, names = audited.case, fired(audited)
    goal = audited.results["validity"]["goals"][0]
    return (
        case.task,
        case.name if not case.honest else f"honest, {case.name}",
        f"{audited.robust:.1%}",
        f"{min(robust_accuracy(case, IMAGES, IMAGES_SEED), audited.robust):.1%}",
        goal["quality"],
        ", ".join(names) or "nothing",
        "yes" if right(case, names) else "NO",
        f"{share(audited):.0%}",
    )


def by_strongest(case: Case) -> Case | None:
    """The case with the attacks of a first plan; None if weak attacks are what was planted.

    Its own search beats images whose gradients mislead, so that may be said in place of a transfer failure.
    """
    if case.attacks != USUAL:
        return None
    also = (FREE,) if TRANSFER in case.expected else ()
    return replace(case, attacks=STRONGEST, expected=(*case.expected, *also), exact=case.exact and not also)


def main() -> None:
    """Audit all cases, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose task and name contain this text; writes no file")
    parser.add_argument("--strongest", action="store_true", help="attack with strongest and noise; writes no file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    begin, rows = time.perf_counter(), []
    for case in map(by_strongest, CASES) if options.strongest else CASES:
        if case is None or options.only not in f"{case.task} {case.name}":
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(run_case(Path(folder), case)))
        say(" | ".join(rows[-1]))
    wrong = [line for line in rows if line[-2] == "NO"]
    if not (options.only or options.strongest):
        head = [f"# Planted victims, {time.strftime('%Y-%m-%d')}", "", *_words(len(rows), time.perf_counter() - begin)]
        lines = ["| " + " | ".join(line) + " |" for line in (_HEAD, ["---"] * len(_HEAD), *rows)]
        (ROOT / "benchmarks" / "results" / "planted.md").write_text("\n".join([*head, *lines]) + "\n")
    sys.exit(1 if wrong else 0)


def _words(count: int, seconds: float) -> list[str]:
    return [
        f"`python -m benchmarks.planted`: {count} audits of {IMAGES} images of 20 x 20 pixels, L-inf, eps 8 of 255 "
        f"(votes: 3). Networks are trained at the start with fixed seeds. Reported: robust accuracy of the audit. "
        "Truth at most: what attacks leave that know what the victim hides, and 1000 queries of square. Probes: their "
        f"forward and backward passes, as a share of those of the attacks. CPU, one thread, {seconds / 60:.0f} min, "
        f"torch {torch.__version__}.",
        "",
    ]


if __name__ == "__main__":
    main()
