"""What eight radii cost beside one: `python -m benchmarks.budgets` (a minute on one thread).

PGD-40, L-inf, on a small network that grades fundus phantoms of 64 pixels; 64 images that it grades
correctly, 32 at a time, as in a shard. One radius is the smallest of the eight, where fewest images leave early. Costs
are passes, of which a backward counts twice: they do not depend on the machine. Halving is bisection without a pilot.
*Other verdicts* counts images and
radii at which bisection and rising radii disagree, of 512: each attack draws other random numbers for the same image.
"""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import say
from palpate import Classification, Linf, Victim
from palpate.attacks import recipes
from palpate.attacks.budgets import Budget
from palpate.attacks.curve import Order, curve
from palpate.data.phantoms import fundus_set
from palpate.streams import Streams

SIZE, CLASSES, SHARD, SHARDS, STEPS = 64, 5, 32, 2, 40
RADII = {
    "1/64 to 2, doubling": [2.0**power / 255 for power in range(-6, 2)],
    "1/8 to 16, doubling": [2.0**power / 255 for power in range(-3, 5)],
    "0.1 to 0.8, even": [power / 10 / 255 for power in range(1, 9)],
    "1 to 8, even: all fall": [power / 255 for power in range(1, 9)],
    "0.01 to 0.08, even: few fall": [power / 100 / 255 for power in range(1, 9)],
}
"""In 255ths of the range."""


class Grader(nn.Module):
    """Three convolutions, for images in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((3, 8), (8, 16), (16, 32)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 5) logits."""
        logits: Tensor = self.layers((images - 0.35) / 0.25)
        return logits


def subject() -> tuple[nn.Module, Tensor, Tensor]:
    """The trained network, and images that it grades correctly."""
    drawn, grades = fundus_set(600, 1, SIZE)
    images, labels = torch.from_numpy(drawn).permute(0, 3, 1, 2).contiguous().float() / 255, torch.from_numpy(grades)
    torch.manual_seed(0)
    network = Grader()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(15):
        for batch in torch.randperm(450).split(32):
            optimiser.zero_grad()
            F.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        right = (network.eval()(images).argmax(1) == labels).nonzero().flatten()[-SHARD * SHARDS :]
    return network, images[right], labels[right]


def passes(budgets: list[Budget]) -> int:
    """Forward passes, and backward passes twice."""
    return sum(int(one.result.forwards.sum()) + 2 * int(one.result.backwards.sum()) for one in budgets)


def measured(
    victim: Victim, images: Tensor, labels: Tensor, eps: list[float], order: Order, pilot: tuple[int, ...] | None = None
) -> tuple[int, float, Tensor]:
    """Passes, CPU seconds, and success (radii, images) of an order, shard by shard."""
    attack, task = recipes.pgd(Linf(eps[0]), steps=STEPS), Classification(CLASSES)
    cost, began, won = 0, time.process_time(), []
    for place in range(SHARDS):
        rows = slice(place * SHARD, (place + 1) * SHARD)
        streams = Streams(range(rows.start, rows.stop))
        given = victim, task, images[rows], labels[rows], eps
        budgets = curve(attack, *given, order=order, generator=streams, pilot=pilot)
        cost += passes(budgets)
        won.append(torch.stack([one.result.success for one in budgets]))
    return cost, time.process_time() - began, torch.cat(won, 1)


def row(victim: Victim, images: Tensor, labels: Tensor, words: str) -> str:
    """The line of the table for these radii."""
    eps = RADII[words]
    one, alone, _ = measured(victim, images, labels, eps[:1], "rising")
    bisect, taken, found = measured(victim, images, labels, eps, "bisect")
    halving, _, _ = measured(victim, images, labels, eps, "bisect", ())
    rising, risen, expected = measured(victim, images, labels, eps, "rising")
    fell, other = expected.sum(1).tolist(), int((found != expected).sum())
    costs = " | ".join(f"{cost / one:.2f}" for cost in (bisect, halving, rising))
    return f"| {words} | {fell[0]}, {fell[-1]} | {costs} | {taken / alone:.1f}, {risen / alone:.1f} | {other} |"


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    network, images, labels = subject()
    victim = Victim(network, (0, 1))
    print("| radii, of 255 | fall at the first, last | bisect | halving | rising | CPU time of both | other verdicts |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with victim:
        for words in RADII:
            say(words)
            print(row(victim, images, labels, words), flush=True)


if __name__ == "__main__":
    main()
