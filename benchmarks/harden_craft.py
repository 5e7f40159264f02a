"""What crafting for training costs beside bare loops: `python -m benchmarks.harden_craft [--rounds N]`.

One training batch of random images in each setting: classes at 28 pixels with a network of five convolutions, masks at
64 pixels with a small U-shape. A bare loop does the least that PGD with 7 steps and N-FGSM need, written by hand: no
streams per image, no checks, no restored states. Both do the same passes. The contenders run in turn, forwards and
backwards, and the ratio is the median over the rounds. Writes a table to stdout. One thread, under a minute.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import Contender, Timed, race, ratio
from palpate.allocator import keep_freed_memory
from palpate.contracts import Limits, Task
from palpate.hardening.contracts import Batch, Recipe, Situation
from palpate.hardening.losses.default import default_loss
from palpate.hardening.recipes.gradient import Fast, Pgd
from palpate.hardening.recipes.trades import Trades
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import Linf
from palpate.victim import Victim

EPS, STEPS, BATCH, REPEATS = 4.0, 7, 32, 3


def classifier() -> nn.Module:
    """Five convolutions with batch norm."""
    widths = (1, 16, 32, 32, 64, 64)
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise(widths)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if place in (1, 3) else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2))


def masker() -> nn.Module:
    """Four convolutions at half the size, and back."""
    layers: list[nn.Module] = [nn.AvgPool2d(2)]
    for before, after in ((3, 16), (16, 32), (32, 32), (32, 16)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(16, 1, 1), nn.Upsample(scale_factor=2, mode="bilinear"))


def bare_loss(masks: bool, outputs: Tensor, labels: Tensor) -> Tensor:
    """The loss that both climb, summed."""
    if masks:
        return F.binary_cross_entropy_with_logits(outputs[:, 0], labels.float(), reduction="none").mean((1, 2)).sum()
    return F.cross_entropy(outputs, labels, reduction="sum")


def bare_pgd(module: nn.Module, masks: bool, images: Tensor, labels: Tensor) -> Tensor:
    """PGD by hand."""
    x = (images + (torch.rand_like(images) * 2 - 1) * EPS).clamp(0, 255)
    for _ in range(STEPS):
        x.requires_grad_()
        (g,) = torch.autograd.grad(bare_loss(masks, module(x), labels), x)
        x = torch.min(torch.max(x.detach() + 2.5 / STEPS * EPS * g.sign(), images - EPS), images + EPS).clamp(0, 255)
    return x


def bare_fast(module: nn.Module, masks: bool, images: Tensor, labels: Tensor) -> Tensor:
    """N-FGSM by hand."""
    x = (images + (torch.rand_like(images) * 2 - 1) * 2 * EPS).clamp(0, 255).requires_grad_()
    (g,) = torch.autograd.grad(bare_loss(masks, module(x), labels), x)
    return (x.detach() + EPS * g.sign()).clamp(0, 255)


def timed(once: Callable[[], object]) -> Callable[[], Timed]:
    """Seconds of the processor for some calls, so that other work on the machine does not count."""

    def work() -> Timed:
        begin = time.process_time()
        for _ in range(REPEATS):
            once()
        return Timed(time.process_time() - begin, None)

    return work


def contenders(name: str, masks: bool) -> tuple[list[tuple[Contender, Contender]], list[Contender]]:
    """Pairs of (palpate, bare) for one setting, and those without a bare loop."""
    torch.manual_seed(0)
    module = masker() if masks else classifier()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    module.eval()
    images = torch.randint(0, 256, (BATCH, 3, 64, 64) if masks else (BATCH, 1, 28, 28)).float()
    labels = torch.randint(0, 2, (BATCH, 64, 64) if masks else (BATCH,))
    task: Task = Segmentation(1) if masks else Classification(2)
    situation = Situation(Victim(module, (0.0, 255.0)), task, Linf(EPS), default_loss(task), module)

    def ours(recipe: Recipe) -> Contender:
        def once() -> object:
            return recipe.craft(Batch(images, labels, Limits(), Streams(range(BATCH))), situation)

        return Contender(f"{name}: palpate {recipe.name}", timed(once))

    def bare(title: str, loop: Callable[..., Tensor]) -> Contender:
        return Contender(f"{name}: bare {title}", timed(lambda: loop(module, masks, images, labels)))

    pairs = [(ours(Pgd(steps=STEPS)), bare("pgd", bare_pgd)), (ours(Fast()), bare("fast", bare_fast))]
    return pairs, [ours(Trades(steps=STEPS))]


def main() -> None:
    """Run all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    keep_freed_memory()  # for both, as `palpate harden` does
    print("| setting | palpate, ms per batch | bare loop, ms | ratio |\n| --- | --- | --- | --- |")
    for name, masks in (("classes, 28 px", False), ("masks, 64 px", True)):
        pairs, alone = contenders(name, masks)
        race([one for pair in pairs for one in pair] + alone, rounds)
        for mine, other in pairs:
            times = [1000 * one.median / REPEATS for one in (mine, other)]
            print(f"| {mine.name} | {times[0]:.1f} | {times[1]:.1f} | {ratio(mine, other):.3f} |")
        for mine in alone:
            print(f"| {mine.name} | {1000 * mine.median / REPEATS:.1f} | | {ratio(mine, pairs[0][1]):.3f} of pgd |")


if __name__ == "__main__":
    main()
