"""What a trace costs an attack: `python -m benchmarks.stability_cost [--rounds 7]`.

PGD and SMIA of 20 steps, run to their end, each alone, traced, and traced with the smoothed image looked at, in turn. A
ResNet-18 and a small U-Net on made images, whose weights are random: neither changes the time. CPU, one thread,
processor time, which other work on the machine disturbs least. Prints one JSON line and writes the table to
`benchmarks/results/stability_cost.md`; some minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from monai.networks.nets import UNet, resnet18
from torch import Tensor

from benchmarks.measure import Contender, Timed, race, ratio, say
from palpate import Linf, Victim
from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.contracts import Task
from palpate.stability import trace
from palpate.tasks.classification import Classification
from palpate.tasks.segmentation import Segmentation

RESULTS = Path(__file__).resolve().parent / "results"
STEPS, COUNT = 20, 2
ATTACKS: dict[str, Ascent] = {
    "PGD": recipes.pgd(Linf(2.0), STEPS, run_to_end=True),
    "SMIA": recipes.smia(Linf(2.0), STEPS, run_to_end=True),
}
WAYS = ("alone", "traced", "traced, smoothed")


@dataclass(frozen=True, eq=False)
class Setting:
    """A network with images that it decides as their targets say, so that all of them are attacked."""

    words: str
    victim: Victim
    task: Task
    images: Tensor
    targets: Tensor


def settings() -> list[Setting]:
    """Two classes of work: one decision per image, and one per pixel."""
    torch.manual_seed(0)
    grades = Victim(resnet18(spatial_dims=2, n_input_channels=3, num_classes=5, conv1_t_stride=2), (0, 255))
    masks = Victim(UNet(2, 3, 1, channels=(16, 32, 64, 128), strides=(2, 2, 2), num_res_units=2), (0, 255))
    found = []
    for words, victim, task, side, decide in (
        ("ResNet-18, 112 px", grades, Classification(5), 112, lambda outputs: outputs.argmax(1)),
        ("U-Net, 96 px", masks, Segmentation(1), 96, lambda outputs: (outputs[:, 0] > 0).long()),
    ):
        victim.preprocess = _normalise
        images = (torch.rand(COUNT, 3, side, side) * 255).round()
        with victim:
            outputs = victim.judge(images)
        found.append(Setting(words, victim, task, images, decide(outputs)))
    return found


def _normalise(images: Tensor) -> Tensor:
    return images / 127.5 - 1


def contenders(setting: Setting, attack: Ascent) -> list[Contender]:
    """The attack alone and traced, from the same random numbers."""
    inputs = (setting.victim, setting.task, setting.images, setting.targets)

    def work(way: str) -> Callable[[], Timed]:
        def run() -> Timed:
            generator, begin = torch.Generator().manual_seed(3), time.process_time()
            if way == "alone":
                result = attack(*inputs, generator=generator)
            else:
                result = trace(attack, *inputs, generator=generator, smoothed=way != "traced").results[0]
            return Timed(time.process_time() - begin, result.images)

        return run

    return [Contender(way, work(way)) for way in WAYS]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    lines, figures = [], {}
    for setting in settings():
        for name, attack in ATTACKS.items():
            say(f"{name} on {setting.words}")
            race(contenders(setting, attack), 1)
            alone, traced, smoothed = them = contenders(setting, attack)
            race(them, rounds)
            for other in (traced, smoothed):
                if not torch.equal(alone.answer, other.answer):
                    raise SystemExit(f"{name}, {other.name}: the trace changed the attack.")
                key = f"{name} {setting.words} {other.name}"
                figures[key] = round(ratio(other, alone), 3)
            seconds = " | ".join(f"{one.median:.2f}" for one in them)
            shares = " | ".join(f"{ratio(one, alone):.3f}" for one in (traced, smoothed))
            lines.append(f"| {name} | {setting.words} | {seconds} | {shares} |")
    RESULTS.joinpath("stability_cost.md").write_text(page(lines, rounds), encoding="utf-8")
    print(json.dumps(figures))


def page(lines: list[str], rounds: int) -> str:
    """The table."""
    return "\n".join(
        [
            f"# What a trace costs an attack, {date.today()}",
            "",
            f"`python -m benchmarks.stability_cost --rounds {rounds}`: {STEPS} steps, {COUNT} images, all run to their "
            f"end; median processor seconds of {rounds} rounds, and the median over rounds of the ratio within each. "
            f"One thread, torch {torch.__version__}. *Smoothed*: with one more forward pass per step, which SMIA alone "
            "already makes two of. The images that the attack returns are the same in all three, to the bit.",
            "",
            "| attack | network | alone (s) | traced (s) | traced, smoothed (s) | traced / alone | smoothed / alone |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    main()
