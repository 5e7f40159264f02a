"""Speed compared with other libraries, as ratios: `python -m benchmarks.peers [--quick] [--only "none falls"]`.

Prints one JSON line on stdout; progress and the table go to stderr and to `benchmarks/results/peers.md`.
PGD-40, L-inf, a trained ResNet-18, a batch of 32 x 3 x 224 x 224, on the CPU, every contender in turn; peers and floor
in separate processes (`benchmarks.alone`). Eight minutes a round on two cores.
`make benchmark` sets up Foolbox, ART and torchattacks and runs it; without torchattacks `pgd_fall_ratio` is null.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.alone import BATCH, apart
from benchmarks.measure import Contender, race, ratio, say
from benchmarks.rivals import RIVALS
from benchmarks.subject import right_ones, trained
from palpate import Classification, Linf, Tuning, Victim
from palpate.attacks import recipes
from palpate.attacks.curve import Order, curve
from palpate.victim.tuning import choose

STEPS = 40
EPS_FALL, EPS_HALF, EPS_HOLD = 4 / 255, 1 / 255, 1e-5
CURVE = [2.0**power / 255 for power in range(-2, 6)]
"""A quarter to 32 of 255, doubling."""
RESULTS = Path(__file__).resolve().parent / "results"


@dataclass
class World:
    """What every contender gets."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    plain: Tuning
    mixed: Tuning

    def victim(self, tuning: Tuning) -> Victim:
        """A fresh victim, so that its copy is made inside the timed attack."""
        return Victim(self.model, (0, 1), tuning=tuning)

    def robust(self, adversarial: Tensor) -> float:
        """Robust accuracy by the model itself, in float32."""
        with torch.no_grad():
            return float((self.model(adversarial).argmax(1) == self.labels).double().mean())

    def ours(self, attack: Callable[..., object], tuning: Tuning) -> Callable[[], float]:
        """Run one of our attacks; the answer is the robust accuracy of its images."""

        def work() -> float:
            result = attack(self.victim(tuning), Classification(5), self.images, self.labels)
            return self.robust(result.images)  # type: ignore[attr-defined]

        return work


def where_most_fall(world: World, rounds: int, rivals: list[str]) -> tuple[list[Contender], dict[str, Any]]:
    """PGD-40 where most samples are beaten, compared with the peers."""
    attack = recipes.pgd(Linf(EPS_FALL), steps=STEPS)
    ours = Contender("palpate PGD-40", world.ours(attack, world.plain))
    mixed = Contender("palpate PGD-40, mixed precision", world.ours(attack, world.mixed))
    others = [Contender(f"{name} PGD-40", partial(apart, name, EPS_FALL, STEPS)) for name in rivals]
    say(f"PGD-40 at {EPS_FALL * 255:g}/255, where most samples fall")
    race([ours, *others, mixed], rounds)
    figures: dict[str, Any] = {
        f"pgd_fall_ratio_{name}": ratio(ours, other) for name, other in zip(rivals, others, strict=True)
    }
    if "torchattacks" not in rivals:
        say("torchattacks is not installed here, so pgd_fall_ratio is not measured: `make benchmark` sets it up")
    figures = {"pgd_fall_ratio": figures.pop("pgd_fall_ratio_torchattacks", None), **figures}
    figures["robust_accuracy_palpate"], figures["robust_accuracy_mixed"] = ours.answer, mixed.answer
    figures |= {f"robust_accuracy_{name}": other.answer for name, other in zip(rivals, others, strict=True)}
    return [ours, mixed, *others], figures


def where_none_falls(world: World, rounds: int, rivals: list[str]) -> tuple[list[Contender], dict[str, float]]:
    """PGD-40 that runs to its end, over the floor, over each peer, and over torchattacks tuned by hand."""
    attack = recipes.pgd(Linf(EPS_HOLD), steps=STEPS)
    below = Contender("floor: 40 forward and backward passes", partial(apart, "floor", EPS_HOLD, STEPS))
    plain = Contender("palpate PGD-40", world.ours(attack, world.plain))
    mixed = Contender("palpate PGD-40, mixed precision", world.ours(attack, world.mixed))

    def chosen() -> float:
        return world.ours(attack, choose(Victim(world.model, (0, 1)), world.images))()

    choosing = Contender("palpate PGD-40, with the choice of its settings", chosen)
    others = {name: Contender(f"{name} PGD-40", partial(apart, name, EPS_HOLD, STEPS)) for name in rivals}
    if "torchattacks" in rivals:
        work = partial(apart, "torchattacks", EPS_HOLD, STEPS, best=True)
        others["torchattacks_tuned"] = Contender("torchattacks PGD-40, tuned by hand", work)
    say(f"PGD-40 at {EPS_HOLD:g}, where none falls")
    race([below, plain, choosing, mixed, *others.values()], rounds)
    if plain.answer < 1 or mixed.answer < 1:
        raise SystemExit("A sample fell where none should; lower EPS_HOLD.")
    return [below, plain, choosing, mixed, *others.values()], {
        "pgd_floor_ratio": ratio(plain, below),
        "pgd_mixed_ratio": ratio(mixed, below),
        "pgd_choosing_ratio": ratio(choosing, below),
        **{f"pgd_hold_ratio_{name}": ratio(plain, other) for name, other in others.items()},
    }


def curve_over_one(world: World, rounds: int, _rivals: list[str]) -> tuple[list[Contender], dict[str, float]]:
    """Eight radii in both orders, over the dearest single radius: the smallest, where fewest samples leave early."""
    attack = recipes.pgd(Linf(CURVE[0]), steps=STEPS)

    def whole(order: Order) -> list[float]:
        victim = world.victim(world.plain)
        with victim:
            budgets = curve(attack, victim, Classification(5), world.images, world.labels, CURVE, order=order)
        return [world.robust(budget.result.images) for budget in budgets]

    one = Contender(f"palpate PGD-40 at {CURVE[0] * 255:g}/255 alone", world.ours(attack, world.plain))
    bisect = Contender("palpate PGD-40 at eight radii, bisect", partial(whole, "bisect"))
    rising = Contender("palpate PGD-40 at eight radii, rising", partial(whole, "rising"))
    say("An eps curve of eight values")
    race([one, bisect, rising], rounds)
    return [one, bisect, rising], {
        "eps_curve_ratio": ratio(bisect, one),
        "eps_curve_ratio_rising": ratio(rising, one),
        "eps_curve_robust_accuracy": bisect.answer,
        "eps_curve_robust_accuracy_rising": rising.answer,
    }


def mixed_over_float(world: World, rounds: int, _rivals: list[str]) -> tuple[list[Contender], dict[str, float]]:
    """Whether a search in mixed precision finds as much, where about half of the samples fall."""
    attack = recipes.pgd(Linf(EPS_HALF), steps=STEPS)
    contenders = [
        Contender(f"palpate PGD-40 at {EPS_HALF * 255:g}/255", world.ours(attack, world.plain)),
        Contender(f"palpate PGD-40 at {EPS_HALF * 255:g}/255, mixed precision", world.ours(attack, world.mixed)),
    ]
    say("What mixed precision finds")
    race(contenders, rounds)
    return contenders, {"mixed_minus_float32_robust_accuracy": contenders[1].answer - contenders[0].answer}


def smia_over_pgd(world: World, rounds: int, _rivals: list[str]) -> tuple[list[Contender], dict[str, float]]:
    """SMIA, detached, over our PGD, per step, both run to the end."""
    pgd = recipes.pgd(Linf(EPS_HOLD), steps=STEPS // 2)
    smia = recipes.smia(Linf(EPS_HOLD), steps=STEPS // 2, through=False)
    contenders = [
        Contender("palpate PGD-20", world.ours(pgd, world.plain)),
        Contender("palpate SMIA-20, detached", world.ours(smia, world.plain)),
        Contender("palpate PGD-20, mixed precision", world.ours(pgd, world.mixed)),
        Contender("palpate SMIA-20, detached, mixed precision", world.ours(smia, world.mixed)),
    ]
    say("SMIA over PGD, per step")
    race(contenders, rounds)
    return contenders, {
        "smia_step_ratio": ratio(contenders[1], contenders[0]),
        "smia_step_ratio_mixed": ratio(contenders[3], contenders[2]),
    }


Race = Callable[[World, int, list[str]], tuple[list[Contender], dict[str, Any]]]
RACES: dict[str, Race] = {
    "most fall": where_most_fall,
    "none falls": where_none_falls,
    "eight radii": curve_over_one,
    "half fall": mixed_over_float,
    "per step": smia_over_pgd,
}


def write_table(rows: list[tuple[str, Contender]], figures: dict[str, object], rounds: int, chosen: str) -> None:
    """The full table, with versions and machine."""
    lines = [
        f"# Speed compared with other libraries, {date.today().isoformat()}",
        "",
        f"`python -m benchmarks.peers`, {rounds} round(s), contenders in turn; {torch.get_num_threads()} threads, "
        f"{os.cpu_count()} cores, torch {torch.__version__}. Only ratios within one table are meaningful.",
        f"*Mixed precision* may choose bfloat16 and chose {chosen}.",
        "",
        "| where | contender | median s | robust accuracy |",
        "| --- | --- | --- | --- |",
    ]
    for where, row in rows:
        answer = f"{row.answer:.3f}" if isinstance(row.answer, float) else ""
        lines.append(f"| {where} | {row.name} | {row.median:.2f} | {answer} |")
    lines += ["", "| figure | value |", "| --- | --- |"]
    lines += [f"| {name} | {value:.3f} |" for name, value in figures.items() if isinstance(value, float)]
    packages = ("torchattacks", "foolbox", "adversarial-robustness-toolbox", "monai")
    lines += ["", "Versions: " + ", ".join(f"{name} {_version(name)}" for name in packages)]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "peers.md").write_text("\n".join(lines) + "\n")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every race; medians are reported")
    parser.add_argument("--only", choices=tuple(RACES), help="one race; the stored table is left as it is")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    rivals = [name for name in RIVALS if RIVALS[name].available()]
    model = trained()
    images, labels = right_ones(model, BATCH)
    probe = Victim(model, (0, 1))
    world = World(model, images, labels, choose(probe, images), choose(probe, images, mixed=True))
    say(f"search: {world.plain}\nmixed:  {world.mixed}")
    rows: list[tuple[str, Contender]] = []
    figures: dict[str, object] = {}
    for where, run in RACES.items():
        if options.only in (None, where):
            contenders, found = run(world, rounds, rivals)
            rows += [(where, contender) for contender in contenders]
            figures |= found
    if options.only is None:
        write_table(rows, figures, rounds, world.mixed.search)
    print(json.dumps({name: round(v, 4) if isinstance(v, float) else v for name, v in figures.items()}))


if __name__ == "__main__":
    main()
