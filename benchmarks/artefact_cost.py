"""What a candidate of each artefact costs: `python -m benchmarks.artefact_cost [--only NAME ...] [--rounds 5]`.

Each artefact makes 8 candidates of one image of 224 x 224 pixels at severity 3, next to a forward pass of a ResNet-18
on 8 such images. Images have three channels, those in Hounsfield units one. Artefacts of volumes also make 2 candidates
of 64 x 64 x 64 voxels. One thread, processor time, median of the rounds. Prints one JSON line; without `--only` it
writes `benchmarks/results/artefact_cost.md`. About a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from monai.networks.nets import resnet18
from torch import Tensor

from benchmarks.measure import say
from palpate.artefacts.artefact import Artefact, Scene, bound_to
from palpate.artefacts.catalog import artefacts, make
from palpate.artefacts.parameter import free, theta_at
from palpate.streams import Streams

RESULTS = Path(__file__).resolve().parent / "results"
SIDE, DEEP, COUNT, FEW = 224, 64, 8, 2
ALLOWED = 2.0
"""An artefact should cost at most so many forward passes."""


@dataclass(frozen=True)
class Cost:
    """Milliseconds of processor time: what is computed once per image, and each candidate."""

    once: float
    candidate: float


def body(channels: int, shape: tuple[int, ...], hounsfield: bool) -> Tensor:
    """A bright ball with texture on air, (channels, *shape)."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    apart = sum(axis**2 for axis in axes)
    texture = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    ball = torch.where(torch.as_tensor(apart < 0.7), 0.5 + 0.2 * texture, torch.zeros(()))
    values = ball * 2000 - 1000 if hounsfield else ball * 255
    return values.round().expand(channels, *shape).clone()


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Median processor time after one round to warm up."""
    found = []
    for turn in range(rounds + 1):
        begin = time.process_time()
        work()
        if turn:
            found.append((time.process_time() - begin) * 1000)
    return statistics.median(found)


def cost(artefact: Artefact, shape: tuple[int, ...], count: int, rounds: int) -> Cost:
    """What an artefact costs on an image or a volume."""
    hounsfield = "HU" in artefact.needs
    colour = "colour" in artefact.needs or (len(shape) == 2 and not hounsfield)
    image = body(3 if colour else 1, shape, hounsfield)
    bounds = (-1024.0, 3071.0) if hounsfield else (0.0, 255.0)
    scene = Scene(bounds, (400 / shape[-1],) * len(shape), "HU" if hounsfield else "")
    points = torch.rand(count, free(artefact.parameters), generator=torch.Generator().manual_seed(0))
    theta = theta_at(artefact.parameters, points.double(), 3.0)
    once = milliseconds(lambda: bound_to(artefact, image, scene, Streams([0])), rounds)
    bound = bound_to(artefact, image, scene, Streams([0]))
    with torch.no_grad():
        return Cost(once, milliseconds(lambda: bound(theta), rounds) / count)


def forward(rounds: int) -> float:
    """Milliseconds per image of a ResNet-18."""
    network = resnet18(spatial_dims=2, n_input_channels=3, num_classes=2, conv1_t_stride=2).eval()
    images = torch.rand(COUNT, 3, SIDE, SIDE)
    with torch.no_grad():
        return milliseconds(lambda: network(images), rounds) / COUNT


def row(name: str, flat: Cost | None, deep: Cost | None, passed: float) -> str:
    """A line of the table; a dash for what an artefact does not act on."""
    cells = [f"{one.once:.1f} | {one.candidate:.1f}" if one else "- | -" for one in (flat, deep)]
    share = (
        f"{flat.candidate / passed:.2f}{'' if flat.candidate <= ALLOWED * passed else ' (too much)'}" if flat else "-"
    )
    return f"| {name} | {cells[0]} | {share} | {cells[1]} |"


def page(lines: list[str], passed: float, rounds: int) -> str:
    """The table."""
    return "\n".join(
        [
            f"# What a candidate of each artefact costs, {date.today()}",
            "",
            f"`python -m benchmarks.artefact_cost --rounds {rounds}`: milliseconds of processor time, one thread, "
            f"torch {torch.__version__}, median of {rounds} rounds. *Once*: what is computed per image. A forward "
            f"pass of a ResNet-18 takes {passed:.1f} ms per image of {SIDE} x {SIDE} pixels; *share* is a candidate "
            f"over it, and should be at most {ALLOWED:g}, except for metal in CT.",
            "",
            f"| artefact | once, {SIDE}^2 | candidate, {SIDE}^2 | share | once, {DEEP}^3 | candidate, {DEEP}^3 |",
            "| --- | --- | --- | --- | --- | --- |",
            *lines,
            "",
        ]
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    passed, lines, figures = forward(given.rounds), [], {}
    for name in given.only or artefacts():
        artefact = make(name)
        flat = cost(artefact, (SIDE, SIDE), COUNT, given.rounds) if 2 in artefact.dimensions else None
        deep = cost(artefact, (DEEP, DEEP, DEEP), FEW, given.rounds) if 3 in artefact.dimensions else None
        lines.append(row(name, flat, deep, passed))
        say(lines[-1])
        if flat:
            figures[name] = round(flat.candidate / passed, 3)
    if not given.only:
        RESULTS.joinpath("artefact_cost.md").write_text(page(lines, passed, given.rounds), encoding="utf-8")
    print(json.dumps({"forward_ms": round(passed, 2), "share": figures}))


if __name__ == "__main__":
    main()
