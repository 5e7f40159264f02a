"""One change for all images, learned on half of them: `python -m benchmarks.universal --xrays pneumoniamnist.npz`.

Two small networks on chest X-rays of PneumoniaMNIST (`benchmarks.l1_victims`), validation images in [0, 1] that they
get right. Half of the images teach the change, the others are unseen. Next to it: one random change of this size, one
change for each class, and the strongest attack on each image alone. Writes the table of docs/explanation/universal.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.l1 import BEGIN, END
from benchmarks.l1_victims import linf, network, trained
from benchmarks.measure import say
from palpate import L2, Classification, Linf, Victim
from palpate.attacks.cascade.strongest import strongest
from palpate.attacks.universal.learning import learn_universal
from palpate.contracts import Task, Threat
from palpate.metrics.intervals import wilson

PAGE = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "universal.md"
BUDGETS = {
    "plain": (Linf(2 / 255), Linf(4 / 255), Linf(8 / 255), L2(0.5)),
    "trained in L-inf": (Linf(8 / 255), Linf(16 / 255)),
}


def images_of(path: Path) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """2048 training images, and all 524 validation images in a random order; test images are not touched."""
    stored, generator = np.load(path), torch.Generator().manual_seed(0)
    found = []
    for part, count in (("train", 2048), ("val", 524)):
        images = torch.tensor(stored[f"{part}_images"])[:, None].float() / 255
        labels = torch.tensor(stored[f"{part}_labels"]).flatten().long()
        chosen = torch.randperm(len(images), generator=generator)[:count]
        found.append((images[chosen], labels[chosen]))
    return found[0], found[1]


def victims(seen: tuple[Tensor, Tensor]) -> dict[str, Victim]:
    """The networks by name; trained now if they are not in the cache."""
    made = {
        "plain": trained("l1_xrays_plain", network(2), *seen, 4),
        "trained in L-inf": trained("l1_xrays_linf", network(2), *seen, 5, linf),
    }
    return {name: Victim(module) for name, module in made.items()}


def share(success: Tensor) -> str:
    """A share in percent with its 95% interval; each image is a patient."""
    low, high = wilson(int(success.sum()), len(success))
    return f"{100 * float(success.double().mean()):.0f} ({100 * low:.0f}-{100 * high:.0f})"


def beaten(victim: Victim, task: Task, threat: Threat, images: Tensor, labels: Tensor, change: Tensor) -> Tensor:
    """Which images a change beats (B,) bool."""
    with victim:
        space = threat.around(images, victim.bounds)
        return task.margin(victim.judge(space.to_image(space.project(images + change))), labels) <= 0


def rows(victim: Victim, name: str, images: Tensor, labels: Tensor) -> Iterator[list[str]]:
    """One row of the table for each budget."""
    task = Classification(2)
    with victim:
        right = (victim.judge(images).argmax(1) == labels).nonzero().flatten()
    half = len(right) // 2
    learned, unseen = ((images[part], labels[part]) for part in (right[:half], right[half:]))
    for threat in BUDGETS[name]:
        attack = learn_universal(victim, task, *learned, threat)
        noise = threat.around(torch.full_like(images[:1], 0.5), victim.bounds)
        drawn = torch.randn(images[:1].shape, generator=torch.Generator().manual_seed(0))
        random = noise.project(0.5 + 100 * drawn) - 0.5
        alone = strongest(threat)(victim, task, *unseen, generator=torch.Generator().manual_seed(0))
        found = [attack(victim, task, *part).success for part in (learned, unseen)]
        apart = torch.zeros_like(found[1])
        for label in (0, 1):
            own = [(images[labels == label], labels[labels == label]) for images, labels in (learned, unseen)]
            apart[unseen[1] == label] = learn_universal(victim, task, *own[0], threat)(victim, task, *own[1]).success
        size = f"{threat.norm} {threat.eps * 255:.0f}/255" if threat.norm == "linf" else f"{threat.norm} {threat.eps:g}"
        yield [
            f"X-rays, {name}",
            size,
            f"{half} / {len(right) - half}",
            *map(share, (beaten(victim, task, threat, *unseen, random), *found, apart, alone.success)),
        ]
        say(f"  {name}, {size}: {share(found[0])} learned, {share(found[1])} unseen")


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--xrays", type=Path, required=True, help="pneumoniamnist.npz")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seen, held = images_of(given.xrays)
    head = [
        "network",
        "budget",
        "learned / unseen images",
        "noise, unseen",
        "one change, learned",
        "one change, unseen",
    ]
    table = [[*head, "one per class, unseen", "`strongest` per image, unseen"], ["---"] * 8]
    for name, victim in victims(seen).items():
        table += rows(victim, name, *held)
    text = "\n".join(f"| {' | '.join(row)} |" for row in table)
    say(text)
    page = PAGE.read_text()
    PAGE.write_text(page[: page.index(BEGIN) + len(BEGIN)] + f"\n{text}\n" + page[page.index(END) :])


if __name__ == "__main__":
    main()
