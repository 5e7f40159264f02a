"""What is left of attacks after saving and JPEG, on real images: `python -m benchmarks.survival --data DIR`.

Runs BIM on the correctly graded test images of APTOS 2019 with the network of `examples/fundus_dr`, in floating point,
on the lattice of stored values, and with `robust_to`. Scores the results again after each post-processing step. Every
sample runs all steps, so survival is not that of images which have only just crossed the border. Writes
`benchmarks/results/survival.md`. One thread, some minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.measure import say
from palpate import Classification, Linf, Victim
from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.attacks.budgets import at
from palpate.attacks.robust import robust
from palpate.contracts import Limits
from palpate.data.table import Table
from palpate.postprocessing import parse
from palpate.preprocess import Preprocess
from palpate.threats.confined import Confined
from palpate.units import Scale

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples" / "fundus_dr"))

SCALE = Scale((0.0, 255.0), step=1.0, known=True)
EPS = (0.25, 0.5, 1.0, 2.0, 4.0)
TO = ("jpeg75", "blur1")
AFTER = ("8bit", "jpeg90", "jpeg75", "jpeg2000", "half", "rewindow", "blur1")
STEPS, BATCH = 10, 25


@dataclass
class World:
    """The model, and the images that it grades correctly."""

    victim: Victim
    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, data: Path, weights: Path) -> World:
        """From the folder of APTOS, and the example's weights."""
        import model as example

        network = example.build()
        network.load_state_dict(load_file(weights))
        preprocess = Preprocess(size=example.SIZE, mean=(example.MEAN,), std=(example.STD,))
        victim = Victim(network, (0, 255), preprocess=preprocess)
        table = Table.from_csv(data / "labels.csv", data, label="diagnosis", where={"split": "test"})
        images = torch.stack([torch.tensor(table.image(row)) for row in range(len(table))]).float()
        labels = torch.tensor([case.label for case in table.cases])
        with victim:
            right = torch.cat([victim.judge(part).argmax(1) for part in images.split(BATCH)]) == labels
        return cls(victim, images[right], labels[right])

    def attacked(self, attack: Ascent, eps: float) -> Tensor:
        """The images that the attack found at one radius."""
        found = []
        for images, labels in zip(self.images.split(BATCH), self.labels.split(BATCH), strict=True):
            limits = Limits(step=torch.ones(len(images)))
            found.append(at(attack, eps)(self.victim, Classification(5), images, labels, limits=limits).images)
        return torch.cat(found)

    def wrong(self, images: Tensor, handling: str | None = None) -> float:
        """Share of the images that are graded wrongly after a post-processing step."""
        shown = images if handling is None else parse(handling, SCALE)(images)
        with self.victim:
            decided = torch.cat([self.victim.judge(part).argmax(1) for part in shown.split(BATCH)])
        return float((decided != self.labels).double().mean())


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " --- |" * (len(head) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def saving(world: World) -> list[str]:
    """Success before and after saving as 8 bits, in floating point and on the lattice."""
    rows = []
    plain = replace(recipes.bim(Linf(1.0), STEPS), run_to_end=True)
    lattice = replace(recipes.bim(Confined(1.0, lattice=True), STEPS), run_to_end=True)
    for name, attack, radii in (("bim", plain, EPS), ("bim, lattice", lattice, EPS[2:])):
        before, after = ["", ""], ["", ""]
        for eps in radii:
            found = world.attacked(attack, eps)
            before.append(percent(world.wrong(found)))
            after.append(percent(world.wrong(found, "8bit")))
        gap = ["no such change"] * (len(EPS) - len(radii))
        rows.append([name, "before", *gap, *before[2:]])
        rows.append([name, "after", *gap, *after[2:]])
        say(f"{rows[-2]}\n{rows[-1]}")
    return table(["attack", "saving", *(f"eps {eps:g}" for eps in EPS)], rows)


def surviving(world: World) -> list[str]:
    """Success before and after each post-processing step, with and without `robust_to`."""
    rows = [["none", "", "0.0", *(percent(world.wrong(world.images, name)) for name in AFTER)]]
    plain = replace(recipes.bim(Linf(1.0), STEPS), run_to_end=True)
    # At 4 it wins everywhere before anything happens.
    for eps in (1.0, 2.0):
        for name, attack in (
            ("bim", plain),
            (f"bim, robust to {' and '.join(TO)}", robust(plain, TO, SCALE)),
        ):
            found = world.attacked(attack, eps)  # type: ignore[arg-type]
            success = [percent(world.wrong(found)), *(percent(world.wrong(found, after)) for after in AFTER)]
            rows.append([name, f"{eps:g}", *success])
            say(str(rows[-1]))
    return table(["attack", "eps", "before", *AFTER], rows)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the APTOS folder, with labels.csv")
    parser.add_argument("--weights", type=Path, default=ROOT / "examples/fundus_dr/weights/resnet18.safetensors")
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = World.of(options.data, options.weights)
    say(f"{len(world.images)} images")
    lines = [
        f"# What is left of attacks after saving, JPEG and smoothing, {time.strftime('%Y-%m-%d')}",
        "",
        f"`python -m benchmarks.survival`: APTOS 2019, the {len(world.images)} test images that the network of "
        f"`examples/fundus_dr` grades correctly, stored as 8 bits at 224 x 224. L-inf, eps in stored values (of 255); "
        f"BIM with {STEPS} steps, run to the end. Success is the share of wrong grades, in percent. CPU, one thread, "
        f"torch {torch.__version__}.",
        "",
        "## Saving as 8 bits",
        "",
        *saving(world),
        "## What else happens to images",
        "",
        "The first row is the clean images: the effect of each post-processing step without any attack.",
        "",
        *surviving(world),
    ]
    (ROOT / "benchmarks" / "results" / "survival.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
