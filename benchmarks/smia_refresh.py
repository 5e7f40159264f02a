"""What SMIA loses and saves if it smooths rarely: `python -m benchmarks.smia_refresh [--images N] [--rounds N]`.

First the attack itself: the demo's grades of fundus phantoms and masks of thorax phantoms, 10 steps, every image to the
end, beside `bim`. Printed are images that fall, those with another verdict than with every smoothed image, the mean
difference of the margin, and the share of values whose final change differs by over a twentieth of the radius. Then
its time: CPU seconds per step where none falls on an ordinary ResNet-18, over those of PGD. One thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from monai.networks.nets.resnet import resnet18
from torch import Tensor

from benchmarks.measure import Contender, Timed, race, ratio
from palpate import Classification, Linf, Victim
from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.contracts import AttackResult, Task
from palpate.data.phantoms import fundus_set, thorax_set
from palpate.models.demo import fundus, thorax
from palpate.tasks.segmentation import Segmentation
from palpate.victim.tuning import choose

STEPS, SEED, SIZE, LONG = 10, 77, 96, 21
REFRESHED = (2, 4, 8)


def worlds(count: int) -> Iterator[tuple[str, Victim, Task, Tensor, Tensor, tuple[float, ...]]]:
    """Name, model, task, images, labels and radii."""
    pixels, grades = fundus_set(count, SEED, SIZE)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().contiguous()
    victim = Victim(fundus.load(), (0, 255), preprocess=_normal(fundus.MEAN, fundus.STD))
    yield "grades", victim, Classification(5), images, torch.from_numpy(grades), (0.25, 0.5, 1.0)
    units, lungs, lesions = thorax_set(max(count // 4, 4), SEED, SIZE)
    labels = torch.from_numpy(lungs).long().masked_fill(torch.from_numpy(lesions), 3)
    victim = Victim(thorax.load(), (0, 4095), preprocess=_normal(thorax.MEAN, thorax.STD))
    slices = (torch.from_numpy(units)[:, None].float() + 1024).clamp(0, 4095)
    yield "masks", victim, Segmentation(3, floor=0.8), slices, labels, (4.0, 16.0)


def _normal(mean: tuple[float, ...], std: tuple[float, ...]) -> Callable[[Tensor], Tensor]:
    low, wide = (torch.tensor(values).reshape(1, -1, 1, 1) for values in (mean, std))
    return lambda images: (images - low) / wide


def attacks(eps: float) -> dict[str, Ascent]:
    """The attack that computes every smoothed image first."""
    smia = {f"refresh {n}": recipes.smia(Linf(eps), steps=STEPS, run_to_end=True, refresh=n) for n in (1, *REFRESHED)}
    return smia | {"bim": recipes.bim(Linf(eps), steps=STEPS, run_to_end=True)}


def compared(count: int) -> None:
    """Print what each attack finds."""
    print("| task | eps | attack | fall | other verdicts | margin | other values | passes per image |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, victim, task, images, labels, radii in worlds(count):
        for eps in radii:
            exact: AttackResult | None = None
            for title, attack in attacks(eps).items():
                found = attack(victim, task, images, labels)
                exact = exact or found
                rows = found.eligible
                verdicts = int((found.success != exact.success).sum())
                margin = float((found.margin - exact.margin)[rows].mean())
                values = float(((found.images - exact.images).abs() > eps / 20)[rows].double().mean())
                passes = float((found.forwards + found.backwards)[rows].double().mean())
                print(
                    f"| {name} | {eps:g} | {title} | {int(found.success.sum())} of {int(rows.sum())} | {verdicts} "
                    f"| {margin:+.4f} | {100 * values:.1f} % | {passes:.0f} |"
                )


def timed(rounds: int) -> None:
    """Print CPU time per step over PGD's."""
    torch.manual_seed(0)
    model = resnet18(spatial_dims=2, n_input_channels=3, num_classes=5, conv1_t_stride=2).eval()
    images = torch.rand(2, 3, SIZE, SIZE)
    with torch.no_grad():
        labels = model(images).argmax(1)
    tuning = choose(Victim(model, (0, 1)), images)

    def work(attack: Ascent) -> Callable[[], Timed]:
        def once() -> Timed:
            begin = time.process_time()
            result = attack(Victim(model, (0, 1), tuning=tuning), Classification(5), images, labels)
            return Timed(time.process_time() - begin, int(result.success.sum()))

        return once

    pgd = Contender("PGD", work(recipes.pgd(Linf(1e-6), steps=LONG)))
    others = [
        Contender(f"SMIA, refresh {n}", work(recipes.smia(Linf(1e-6), steps=LONG, refresh=n))) for n in (1, *REFRESHED)
    ]
    race([pgd, *others], rounds)
    print("\n| attack | time per step over PGD's |\n| --- | --- |")
    for other in others:
        print(f"| {other.name} | {ratio(other, pgd):.2f} |")
    if any(contender.answer for contender in (pgd, *others)):
        print("An image fell where none should: the ratios are too low.")


def main() -> None:
    """Compare, time, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100, help="0: only the time")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.images:
        compared(options.images)
    timed(options.rounds)


if __name__ == "__main__":
    main()
