"""Recipe against recipe: what each one gains on validation images, against which attacks, for how much time.

    python -m benchmarks.harden_recipes examples/fundus_dr/harden.toml --recipes fast pgd trades --seeds 0 1 2

Each recipe trains from the same weights on the same images. The scores are those of the validation images that chose
the epoch, under attacks of more steps: one on the loss that most recipes train on, and two that none trains on (the
margin or the Dice loss, and another norm). The audited test images are not attacked. CPU minutes are those of the
training without the choice of the epoch, which costs the same with every recipe. `--epochs`, `--rate`, `--validation`,
`--images` and `--steps` replace what the plan says; its settings of one recipe are left out. Prints a
table, and appends one line of JSON per training to `--out`.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from palpate import catalog
from palpate.audit.plan.plan import Plan, load_plan
from palpate.contracts import Attack
from palpate.hardening.contracts import Examiner, Scores
from palpate.hardening.courses import course_of
from palpate.hardening.examination import Examination
from palpate.hardening.loop.trainer import train
from palpate.hardening.material import Material, load_material
from palpate.tasks.kinds import kind_of
from palpate.victim import Victim

STEPS = 30


def smaller(plan: Plan, images: int | None, **changes: int | float | None) -> Plan:
    """The plan with at most so many training images and other fields of `[harden]`; None keeps what it says."""
    assert plan.harden is not None
    harden = plan.harden.model_copy(update={name: value for name, value in changes.items() if value is not None})
    if images is not None:
        harden = harden.model_copy(update={"data": harden.data.model_copy(update={"limit": images})})
    return plan.model_copy(update={"harden": harden})


def attacks(material: Material, kind: str | None, steps: int) -> dict[str, Attack]:
    """What every model is tried with: the training's own loss, another loss, twice the budget, another norm."""
    threat, eps = material.plan.threat, material.eps
    unseen = "dice-pgd" if kind == "segmentation" else "apgd-margin"
    dense = {"run_to_end": True} if kind in ("segmentation", "detection") else {}
    size = math.prod(material.validation.shape_of(material.rows.validation[0]))
    other = threat.model_copy(update={"norm": "l2"}).build(eps * size**0.5 / 2)
    return {
        "pgd on the loss": catalog.make("pgd", threat.build(eps), steps=steps, **dense),
        unseen: catalog.make(unseen, threat.build(eps), steps=steps, **dense),
        f"{unseen}, 2 eps": catalog.make(unseen, threat.build(2 * eps), steps=steps, **dense),
        f"{unseen}, l2": catalog.make(unseen, other, steps=steps, **dense),
    }


def scores(material: Material, examination: Examination, kind: str | None, steps: int) -> dict[str, float]:
    """The mean score of the validation images without and with each attack."""
    found: dict[str, float] = {}
    for name, attack in attacks(material, kind, steps).items():
        seen = replace(examination, judge=attack).examine(material.judged)
        found |= {"clean": seen.clean, name: seen.robust}
    return found


class Clocked:
    """An examiner whose time is counted: choosing the epoch costs the same with every recipe."""

    def __init__(self, examiner: Examiner):
        self.examiner, self.seconds = examiner, 0.0

    def examine(self, victim: Victim) -> Scores:
        """What the examiner says."""
        begin = time.process_time()
        found = self.examiner.examine(victim)
        self.seconds += time.process_time() - begin
        return found


def trained(material: Material, recipe: str, seed: int, folder: Path, steps: int) -> dict[str, Any]:
    """One training and its scores; the module has its old weights again afterwards."""
    settings = material.settings.model_copy(update={"recipe": recipe, "settings": {}})
    material = replace(material, settings=settings, lessons=replace(material.lessons, seed=seed))
    course = replace(course_of(material), seed=seed)
    clock = Clocked(course.examiner)
    course = replace(course, examiner=clock)
    begin = time.process_time()
    found = train(course, folder)
    seconds = time.process_time() - begin
    module = material.judged.module
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.load_state_dict(found.state)
    examination = clock.examiner
    assert isinstance(examination, Examination)
    after = scores(material, examination, kind_of(course.task), steps)
    module.load_state_dict(before)
    examined = sum(row.seconds for row in found.epochs)
    return {
        "recipe": recipe,
        "seed": seed,
        "best": found.best,
        "cpu_seconds": seconds - clock.seconds,
        "examining_cpu_seconds": clock.seconds,
        "wall_seconds": examined,
        "events": list(found.events),
        "scores": after,
        "epochs": [[row.epoch, row.clean, row.robust, row.single, row.loss, row.drift] for row in found.epochs],
    }


def rows(plan: Plan, recipes: list[str], seeds: list[int], out: Path | None, steps: int) -> list[dict[str, Any]]:
    """Every recipe with every seed, after the model as it is."""
    material = load_material(plan)
    course = course_of(material)
    assert isinstance(course.examiner, Examination)
    first = scores(material, course.examiner, kind_of(course.task), steps)
    found = [{"recipe": "before", "seed": None, "cpu_seconds": 0.0, "scores": first}]
    _kept(out, plan, found[0])
    for recipe in recipes:
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                found.append(trained(material, recipe, seed, Path(folder), steps))
            _kept(out, plan, found[-1])
            print(line(found[-1]), flush=True)
    return found


def _kept(out: Path | None, plan: Plan, row: dict[str, Any]) -> None:
    if out is not None:
        with open(out, "a") as handle:
            handle.write(json.dumps({"plan": plan.origin.as_posix(), **row}) + "\n")


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    cells = [f"{value:.3f}" for value in row["scores"].values()]
    return f"| `{row['recipe']}` | {row['seed']} | {row['cpu_seconds'] / 60:.1f} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--recipes", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="instead of the plan's")
    parser.add_argument("--rate", type=float, help="instead of the plan's")
    parser.add_argument("--validation", type=int, help="at most so many validation images, instead of the plan's limit")
    parser.add_argument("--images", type=int, help="at most so many training images, instead of the plan's limit")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the attacks")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    changes = {"epochs": options.epochs, "rate": options.rate, "validation_limit": options.validation}
    plan = smaller(load_plan(options.plan), options.images, **changes)
    found = rows(plan, options.recipes, options.seeds, options.out, options.steps)
    names = list(found[0]["scores"])
    print(f"| recipe | seed | CPU minutes | {' | '.join(names)} |")
    print("| --- " * (3 + len(names)) + "|")
    for row in found:
        print(line(row))


if __name__ == "__main__":
    main()
