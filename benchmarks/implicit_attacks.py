"""How often a random realistic artefact changes a decision that noise of the same length does not, on real images.

    python -m benchmarks.implicit_attacks --data DIR            # test images, the table of the page
    python -m benchmarks.implicit_attacks --data DIR --example pneumonia --images 8

For each example and each artefact of its modality, some random draws of one severity are compared with normal noise of
the same Euclidean length, and with the gradient of the loss. Networks are those of `artefact_search`: trained on first
use and kept in benchmarks/.cache.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.artefact_search import right_ones
from benchmarks.artefact_subjects import SUBJECTS, Subject
from benchmarks.measure import say
from palpate.artefacts.artefact import Artefact
from palpate.artefacts.catalog import make, of_modality
from palpate.artefacts.implicit import Implicit, implicit
from palpate.metrics.intervals import Resampling
from palpate.streams import Streams
from palpate.tensors import Tree
from palpate.victim import Victim


@dataclass(frozen=True)
class Row:
    """One example with one artefact; figures are means over images and draws.

    Attributes:
        example: name of the example.
        artefact: name of the artefact.
        images: images that count.
        change: median root mean square of the change, as a share of the range of values.
        flips: share of draws that change the decision.
        noise_flips: the same for the noise.
        only: share of draws that change it while the noise does not, mean over images.
        low: lower end of its 95 % interval, by image.
        high: upper end.
        cosine: of the change with the gradient of the loss.
        size: its absolute value.
        noise_size: the absolute value of that of the noise.
        gain: how much the loss rises.
        noise_gain: how much it rises with the noise.
    """

    example: str
    artefact: str
    images: int
    change: float
    flips: float
    noise_flips: float
    only: float
    low: float
    high: float
    cosine: float
    size: float
    noise_size: float
    gain: float
    noise_gain: float

    def markdown(self) -> str:
        """A line of the table."""
        interval = "" if np.isnan(self.low) else f" ({100 * self.low:.0f} to {100 * self.high:.0f})"
        cells = [self.example, self.artefact, str(self.images), f"{100 * self.change:.1f} %"]
        cells += [f"{100 * share:.0f} %" for share in (self.flips, self.noise_flips)]
        cells += [
            f"{100 * self.only:.0f} %{interval}",
            f"{self.cosine:+.3f}",
            f"{self.size:.3f}",
            f"{self.noise_size:.3f}",
        ]
        cells += [f"{self.gain:+.2f}", f"{self.noise_gain:+.2f}"]
        return "| " + " | ".join(cells) + " |"


COLUMNS = ("example", "artefact", "images", "change", "artefact flips", "noise flips", "only the artefact", "cosine",
           "absolute", "of noise", "loss", "with noise")  # fmt: skip
HEAD = f"| {' | '.join(COLUMNS)} |\n| --- | --- |{' ---: |' * (len(COLUMNS) - 2)}"


def row_of(example: str, artefact: str, found: Implicit, values: int, extent: float) -> Row:
    """The means of one comparison.

    Args:
        example: its name.
        artefact: its name.
        found: the comparison.
        values: numbers in an image, for the root mean square.
        extent: of the range of values.
    """
    counted = found.counted[:, None] & found.length.isfinite()

    def mean(of: Tensor) -> float:
        chosen = of[counted].double()
        return float(chosen[chosen.isfinite()].mean())

    rates = found.rates.numpy()
    interval = Resampling(np.arange(len(rates))).mean(rates, found.counted.numpy(), "No image counts.")
    return Row(
        example, artefact, int(found.counted.sum()),
        float(found.length[counted].median()) / values**0.5 / extent, mean(found.flips), mean(found.noise_flips),
        interval.value, interval.low, interval.high, mean(found.cosine), mean(found.cosine.abs()),
        mean(found.noise_cosine.abs()),
        mean(found.gain), mean(found.noise_gain),
    )  # fmt: skip


def compared(subject: Subject, victim: Victim, artefact: Artefact, images: Tensor, targets: Tree,
             options: argparse.Namespace) -> Row:  # fmt: skip
    """One artefact beside noise on some images."""
    streams = Streams.of(torch.Generator().manual_seed(options.seed), len(images))
    with victim:
        found = implicit(artefact, victim, subject.task, images, targets, [subject.scene] * len(images),
                         severity=options.severity, draws=options.draws, streams=streams)  # fmt: skip
    return row_of(subject.name, artefact.name, found, images[0].numel(), subject.scene.extent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real images")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--images", type=int, default=24, help="of each example")
    parser.add_argument("--draws", type=int, default=4, help="of each image")
    parser.add_argument("--example", action="append", help="by name; all by default")
    parser.add_argument("--severity", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    say(HEAD)
    for subject in SUBJECTS:
        if options.example and subject.name not in options.example:
            continue
        images, annotated = subject.read(options.data / subject.folder, options.split)
        victim, images = subject.victim(options.data), subject.stored(images)
        rows = right_ones(subject, victim, images, annotated, options.images)
        targets = subject.targets(annotated[rows])
        for artefact in (make(entry.name) for entry in of_modality(subject.modality)):
            if images.ndim - 2 in artefact.dimensions:
                say(compared(subject, victim, artefact, images[rows], targets, options).markdown())


if __name__ == "__main__":
    main()
