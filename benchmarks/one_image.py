"""What a step of PGD on one small image costs beside a bare loop: `python -m benchmarks.one_image [--rounds N]`.

One image of 28 pixels and a network of three convolutions, which takes so little that the loop around it shows. Both
run to the end, in turn, on one thread. The bare loop does the least that PGD needs: no verdicts, no checks, no best
image. Prints CPU microseconds per step, and the median ratio over the rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.audit_overhead.worlds import tiny
from benchmarks.measure import Contender, Timed, race, ratio
from palpate import Classification, Linf, Tuning, Victim
from palpate.attacks import recipes
from palpate.victim.folding import copied, fold_batch_norms

EPS, STEPS, SIZE = 1e-4, 200, 28


def bare(network: nn.Module, image: Tensor, label: Tensor) -> Tensor:
    """PGD by hand."""
    x = (image + (torch.rand_like(image) * 2 - 1) * EPS).clamp(0, 255)
    for _ in range(STEPS):
        x.requires_grad_()
        (g,) = torch.autograd.grad(F.cross_entropy(network(x), label), x)
        x = torch.min(torch.max(x.detach() + 2.5 / STEPS * EPS * g.sign(), image - EPS), image + EPS).clamp(0, 255)
    return x


def timed(once: Callable[[], object]) -> Callable[[], Timed]:
    """Seconds of the processor, so that other work on the machine does not count."""

    def work() -> Timed:
        begin = time.process_time()
        once()
        return Timed(time.process_time() - begin, None)

    return work


def contenders(batch: int) -> list[Contender]:
    """The attack as given, that on the folded copy, and the bare loop on each."""
    torch.manual_seed(0)
    network = tiny().network.eval().requires_grad_(False)
    image = torch.randint(0, 256, (batch, 1, SIZE, SIZE)).float()
    with torch.no_grad():
        label = network(image).argmax(1)
        folded = fold_batch_norms(copied(network), image[:1])
    attack = recipes.pgd(Linf(EPS), steps=STEPS)
    task = Classification(int(network(image).shape[1]))

    def ours(tuning: Tuning) -> Callable[[], object]:
        return lambda: attack(Victim(network, (0, 255), tuning=tuning), task, image, label)

    return [
        Contender("palpate, as given", timed(ours(Tuning()))),
        Contender("bare loop, as given", timed(lambda: bare(network, image, label))),
        Contender("palpate, folded", timed(ours(Tuning(fold=True)))),
        Contender("bare loop, folded", timed(lambda: bare(folded, image, label))),
    ]


def main() -> None:
    """Run in turn and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = contenders(options.batch)
    race(found, options.rounds)
    for contender in found:
        print(f"{contender.name:<22} {1e6 * contender.median / STEPS:8.0f} us per step")
    for place in (0, 2):
        print(f"{found[place].name:<22} {ratio(found[place], found[place + 1]):8.2f} times {found[place + 1].name}")


if __name__ == "__main__":
    main()
