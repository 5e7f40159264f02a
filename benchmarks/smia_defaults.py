"""Choose the defaults of `smia` on validation images: `python -m benchmarks.smia_defaults --data DIR --weights FILE`.

Runs points of the SMIA family on the rightly graded validation images of APTOS 2019 (`examples/fundus_dr`), at equal
budgets and steps, beside BIM. Measures success as computed, after 8-bit rounding, and after rounding and a 3x3
Gaussian blur. Test images are never read. Writes `docs/explanation/smia_defaults.md`.
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
from palpate import Classification, Linf, Preprocess, Victim
from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.attacks.budgets import at
from palpate.attacks.smoothing import gaussian
from palpate.data.table import Table
from palpate.tuning import choose

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples" / "fundus_dr"))

EPS = (0.25, 0.5, 1.0, 2.0)
STEPS = 10
FAMILY = [
    ("step", "label", False, 0.5),
    ("step", "label", False, 0.9),
    ("step", "distribution", False, 0.5),
    ("perturbation", "label", False, 0.5),
    ("perturbation", "distribution", False, 0.5),
    ("perturbation", "distribution", False, 1.0),
    ("perturbation", "distribution", True, 1.0),
    ("image", "label", False, 0.5),
    ("image", "distribution", False, 0.5),
    ("image", "distribution", True, 1.0),
    ("image", "distribution", True, 2.0),
    ("perturbation", "distribution", True, 3.0),
]
"""What is smoothed, how agreement is measured, gradients through the smoothed branch, weight."""


@dataclass
class Row:
    """One attack: success at each radius, and after saving and blurring."""

    name: str
    success: list[float]
    rounded: list[float]
    blurred: list[float]
    passes: float
    seconds: float


def measure(name: str, attack: Ascent, victim: Victim, images: Tensor, labels: Tensor) -> Row:
    """Run one attack at every radius."""
    task, begin = Classification(5), time.perf_counter()
    # Every sample runs all steps, so that survival is not that of images which have only just crossed the border.
    attack = replace(attack, run_to_end=True)
    found = [
        [at(attack, eps)(victim, task, x, y) for eps in EPS]
        for x, y in zip(images.split(40), labels.split(40), strict=True)
    ]
    seconds = time.perf_counter() - begin
    row = Row(name, [], [], [], 0.0, seconds)
    for position in range(len(EPS)):
        results = [parts[position] for parts in found]
        eligible = torch.cat([result.eligible for result in results])
        adversarial = torch.cat([result.images for result in results])
        row.success.append(float(torch.cat([r.success for r in results]).sum() / eligible.sum()))
        row.passes += float(sum((r.forwards + r.backwards).sum() for r in results) / len(labels))
        with victim:
            for kept, changed in (
                (row.rounded, adversarial.round()),
                (row.blurred, gaussian(adversarial.round(), 3, 1.0).round()),
            ):
                decided = torch.cat([victim.judge(part).argmax(1) for part in changed.split(40)])
                kept.append(float(((decided != labels) & eligible).sum() / eligible.sum()))
    say(f"{name:<50} {row.success} {seconds:.0f} s")
    return row


def write_page(rows: list[Row], count: int, command: str) -> None:
    """The table as a page of the docs."""
    lines = [
        "# How the defaults of `smia` were chosen",
        "",
        f"APTOS 2019, the {count} validation images that the network of `examples/fundus_dr` grades rightly. "
        f"L-inf, {STEPS} steps of 2.5 / {STEPS} radii from the image itself, all run to the end. Success in percent, "
        "at eps "
        + ", ".join(f"{eps:g}" for eps in EPS)
        + " of 255: as computed / after rounding to 8 bits / after rounding and a 3x3 Gaussian blur. Passes are "
        "forward plus backward passes per image over all four radii.",
        "",
        f"Written by `{command}`.",
        "",
        "| attack | " + " | ".join(f"eps {eps:g}" for eps in EPS) + " | passes |",
        "| --- |" + " --- |" * (len(EPS) + 1),
    ]
    for row in rows:
        cells = [
            f"{a:.1%} / {b:.1%} / {c:.1%}".replace("%", "")
            for a, b, c in zip(row.success, row.rounded, row.blurred, strict=True)
        ]
        lines.append(f"| {row.name} | " + " | ".join(cells) + f" | {row.passes:.0f} |")
    path = ROOT / "docs" / "explanation" / "smia_defaults.md"
    kept = path.read_text().partition("\n## Reading\n") if path.is_file() else ("", "", "")
    path.write_text("\n".join(lines) + "\n" + (kept[1] + kept[2] if kept[1] else ""))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the APTOS folder, with labels.csv")
    parser.add_argument("--weights", type=Path, default=ROOT / "examples/fundus_dr/weights/resnet18.safetensors")
    options = parser.parse_args()
    import model as example

    network = example.build()
    network.load_state_dict(load_file(options.weights))
    victim = Victim(
        network, (0, 255), preprocess=Preprocess(size=example.SIZE, mean=(example.MEAN,), std=(example.STD,))
    )
    table = Table.from_csv(options.data / "labels.csv", options.data, label="diagnosis", where={"split": "val"})
    images = torch.stack([torch.tensor(table.image(row)) for row in range(len(table))]).float()
    labels = torch.tensor([case.label for case in table.cases])
    with victim:
        right = torch.cat([victim.judge(part).argmax(1) for part in images.split(40)]) == labels
    images, labels = images[right], labels[right]
    victim.tuning = choose(victim, images)
    threat = Linf(EPS[0])
    rows = [measure("bim", recipes.bim(threat, STEPS), victim, images, labels)]
    for smooth, agreement, through, weight in FAMILY:
        attack = recipes.smia(threat, STEPS, weight, smooth, agreement, through)  # type: ignore[arg-type]
        name = f"smia {smooth}, {agreement}, {'through' if through else 'detached'}, weight {weight:g}"
        rows.append(measure(name, attack, victim, images, labels))
    write_page(rows, len(images), "python -m benchmarks.smia_defaults --data APTOS_FOLDER")


if __name__ == "__main__":
    main()
