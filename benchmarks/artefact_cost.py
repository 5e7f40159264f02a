"""What a candidate of each artefact costs: `python -m benchmarks.artefact_cost [--modality ct] [--rounds 5]`.

A search tries 50 candidates on one image of 256 x 256: the artefact is bound once (sinograms, noise) and then makes the
images of 50 theta at severity 3, in batches of 16. The yardstick is a forward pass of ResNet-18 on the same image, in
batches of 16 too. CPU, one thread, processor time, which other work on the machine disturbs least. Prints one JSON line
and writes the table to `benchmarks/results/artefact_cost.md`; about a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from monai.networks.nets import resnet18
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Scene, bound_to
from palpate.artefacts.catalog import MODALITIES, artefacts, make, of_modality
from palpate.artefacts.parameter import free, theta_at
from palpate.streams import Streams

RESULTS = Path(__file__).resolve().parent / "results"
SIZE, CANDIDATES, BATCH = 256, 50, 16


def body(channels: int) -> Tensor:
    """An ellipse with organs and texture (channels, SIZE, SIZE), from 0 to 1."""
    axis = torch.linspace(-1, 1, SIZE)
    down, right = axis[:, None], axis[None]
    inside = ((down / 0.7) ** 2 + (right / 0.9) ** 2 < 1).float()
    organs = torch.exp(-((down - 0.2) ** 2 + (right + 0.3) ** 2) * 12) + 0.2 * torch.sin(20 * down) * torch.cos(
        25 * right
    )
    return (inside * (0.5 + 0.3 * organs)).clamp(0, 1).expand(channels, SIZE, SIZE).contiguous()


def scene_of(artefact: Artefact) -> tuple[Tensor, Scene]:
    """An image that the artefact can act on, and what is known of it."""
    if "HU" in artefact.needs:
        return body(1) * 2000 - 1000, Scene((-1024.0, 3071.0), (1.5, 1.5), "HU")
    return body(3 if "colour" in artefact.needs else 1) * 255, Scene((0.0, 255.0), (1.5, 1.5))


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of work."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def one_search(artefact: Artefact) -> tuple[float, float]:
    """Seconds to bind, and to make all candidates."""
    image, scene = scene_of(artefact)
    unit = torch.rand(CANDIDATES, free(artefact.parameters), generator=torch.Generator().manual_seed(0))
    theta = theta_at(artefact.parameters, unit.double(), 3.0)
    begin = time.process_time()
    bound = bound_to(artefact, image, scene, Streams([0]))
    prepared = time.process_time()
    with torch.no_grad():
        for some in theta.split(BATCH):
            bound(some)
    return prepared - begin, time.process_time() - prepared


def forward() -> float:
    """Seconds of a forward pass of ResNet-18 for one image."""
    network = resnet18(spatial_dims=2, n_input_channels=1, num_classes=2, conv1_t_stride=2).eval()
    images = body(1).expand(BATCH, 1, SIZE, SIZE).contiguous()
    with torch.no_grad():
        return seconds(lambda: network(images)) / BATCH


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modality", choices=MODALITIES)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    entries = artefacts().values() if options.modality is None else of_modality(options.modality)
    chosen = [found for entry in entries if 2 in (found := make(entry.name)).dimensions]
    times: dict[str, list[tuple[float, float]]] = {artefact.name: [] for artefact in chosen}
    passes = []
    for turn in range(options.rounds + 1):
        yardstick, found = forward(), {artefact.name: one_search(artefact) for artefact in chosen}
        if turn > 0:  # The first round warms up.
            passes.append(yardstick)
            for name, pair in found.items():
                times[name].append(pair)
    network = statistics.median(passes)
    medians = {name: tuple(map(statistics.median, zip(*rows, strict=True))) for name, rows in times.items()}
    RESULTS.joinpath("artefact_cost.md").write_text(page(medians, network, options), encoding="utf-8")
    print(json.dumps({name: round((bind + made) / CANDIDATES, 4) for name, (bind, made) in medians.items()}))


def page(medians: dict[str, tuple[float, ...]], network: float, options: argparse.Namespace) -> str:
    """The table."""
    which = f" --modality {options.modality}" if options.modality else ""
    rows = [
        f"| {name} | {bind * 1000:.0f} | {made / CANDIDATES * 1000:.1f} | {(bind + made) / CANDIDATES * 1000:.1f} "
        f"| {(bind + made) / CANDIDATES / network:.2f} |"
        for name, (bind, made) in medians.items()
    ]
    return "\n".join(
        [
            f"# What a candidate of each artefact costs, {date.today()}",
            "",
            f"`python -m benchmarks.artefact_cost{which} --rounds {options.rounds}`: one image of {SIZE} x {SIZE}, "
            f"{CANDIDATES} candidates at severity 3 in batches of {BATCH}; median processor time of {options.rounds} "
            f"rounds, one thread, torch {torch.__version__}. *Amortised*: with the work that is done once per image. A "
            f"forward pass of ResNet-18 on the same image took {network * 1000:.0f} ms. A CT scan of this size has 360 "
            "views.",
            "",
            "| artefact | once per image (ms) | per candidate (ms) | amortised (ms) | amortised / forward pass |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
