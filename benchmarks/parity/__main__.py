"""palpate's attacks beside those of other libraries, image by image: `python -m benchmarks.parity`.

It runs in the environment of `make benchmark` (torchattacks, Foolbox, ART), to which
`pip install --no-deps adv-lib pyautoattack` adds two more; a package that is not installed is left out. Goes on where
it stopped: what `benchmarks/results/parity.json` has of the same weights and images is not run again, unless it is
named by `--again`. Writes that file and the tables of `docs/explanation/parity.md`; `--quick` prints only.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import say
from benchmarks.parity import masks, ours, page, peers
from benchmarks.parity.compare import Contender, inside, measure
from benchmarks.parity.victims import PLANS, Victim, made

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "parity.json"
COUNT, QUICK_COUNT = 24, 8
Known = dict[tuple[str, str], dict[str, Any]]


Lost = Callable[[Tensor], Tensor]


def compare(
    on: Victim, norm: str, contenders: Sequence[Contender], lost: Lost, known: dict[str, Any], given: argparse.Namespace
) -> dict[str, Any]:
    """Every attack on one victim in one norm; what is known of the same victim is taken over."""
    eps, mark = on.radii[norm], on.fingerprint()
    key = {"victim": on.name, "classes": on.classes, "norm": norm, "eps": eps, "images": len(on.images), "mark": mark}
    stored = known.get("attacks", {}) if all(known.get(name) == value for name, value in key.items()) else {}
    attacks: dict[str, Any] = {}
    say(f"{on.name}, {norm}, eps {eps:.4g}, {len(on.images)} images")
    for contender in contenders:
        if contender.name in stored and contender.name not in given.again:
            attacks[contender.name] = stored[contender.name]
            continue
        if contender.name in given.without:
            continue
        one = measure(contender, on.model, on.images, on.labels, lambda made: inside(on.images, made, norm, eps), lost)
        attacks[contender.name] = one
        say(f"  {contender.name}: {one.get('error') or page.short(one)}")
    return {**key, "attacks": attacks}


def wrong(labels: Tensor, outputs: Tensor) -> Tensor:
    """Where the class of the highest score is another one (B,)."""
    return outputs.argmax(1) != labels


def on_classes(given: argparse.Namespace, known: Known) -> Iterator[dict[str, Any]]:
    """Every network for classes, in every norm."""
    for plan in PLANS:
        on = made(plan, given.data, given.cache, QUICK_COUNT if given.quick else COUNT)
        if on is None or given.only not in on.name:
            continue
        for norm, eps in on.radii.items():
            theirs, mine = (kind.contenders(norm, eps, on.classes, given.quick) for kind in (peers, ours))
            before = known.get((on.name, norm), {})
            yield compare(on, norm, [*theirs, *mine], partial(wrong, on.labels), before, given)


def on_masks(given: argparse.Namespace, known: Known) -> Iterator[dict[str, Any]]:
    """Both networks for masks."""
    for on in masks.victims(QUICK_COUNT if given.quick else COUNT):
        if given.only in on.name:
            attacks, before = masks.contenders(on.radii["linf"], given.quick), known.get((on.name, "linf"), {})
            yield compare(on, "linf", attacks, partial(masks.lost, on.labels), before, given)


def main() -> None:
    """Compare, store, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the real images; without it only drawn ones are compared")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "palpate_parity", help="where trained networks stay"
    )
    parser.add_argument("--quick", action="store_true", help="few images and attacks; nothing is written")
    parser.add_argument("--again", nargs="*", default=[], help="attacks to run again")
    parser.add_argument("--without", nargs="*", default=[], help="attacks to leave out, except where they are known")
    parser.add_argument("--only", default="", help="the networks whose name contains this; the others stay as they are")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() and not given.quick else {}
    for part, compared in (("classes", on_classes), ("masks", on_masks)):
        known = {(one["victim"], one["norm"]): one for one in results.get(part, [])}
        for one in compared(given, known):
            known[one["victim"], one["norm"]] = one
            results[part] = list(known.values())
            if not given.quick:
                RESULTS.write_text(json.dumps(results) + "\n")
    if given.quick:
        sys.stdout.write("\n".join(page.tables(results[part]) for part in results))
    else:
        page.write(results)


if __name__ == "__main__":
    main()
