"""What certificates are worth: one small network trained with the noise of its certificate, and one without.

    python -m benchmarks.certified --xrays pneumoniamnist.npz
    python -m benchmarks.certified --xrays pneumoniamnist.npz --images 10 --epochs 2    # a look

The networks are those of `benchmarks.defences`: four convolutions for chest X-rays of PneumoniaMNIST (28 x 28 pixels,
values 0 to 255), trained here in seconds. Each is smoothed with the same noise, certified, and attacked as a smoothed
model at the same L2 lengths. `certified` is the share of images whose right class no change of that length can alter,
`attacked` the share that the attack has not beaten.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import palpate
from benchmarks.defences import BOUNDS, SIGMA, images_of, trained

LENGTHS = (8.0, 16.0, 32.0, 48.0)


@dataclass(frozen=True)
class Row:
    """One network at one L2 length, as shares of images.

    Attributes:
        training: what noise the network saw.
        length: L2 length of the change in stored values; 0 is the image as stored.
        certified: right whatever the change is.
        attacked: not beaten by the attack.
    """

    training: str
    length: float
    certified: float
    attacked: float


@dataclass(frozen=True)
class Network:
    """One network as a whole.

    Attributes:
        training: what noise it saw.
        alone: share of images that it decides right without noise.
        smoothed: share that its smoothed form decides right; one that abstains is wrong.
        abstains: share for which the smoothed form has no answer.
        seconds: what certificates and attacks took.
        rows: one per length.
    """

    training: str
    alone: float
    smoothed: float
    abstains: float
    seconds: float
    rows: tuple[Row, ...]


def measured(training: str, network: nn.Module, data: tuple[Tensor, Tensor], samples: int, steps: int) -> Network:
    """One network, certified and attacked."""
    images, labels = data
    with torch.no_grad():
        alone = network(images).argmax(1) == labels
    begin = time.perf_counter()
    found = palpate.certify(
        network, images, labels, SIGMA, samples=samples, radii=LENGTHS, steps=steps, bounds=BOUNDS, batch=250
    )
    spent = time.perf_counter() - begin
    pairs = zip(found.radii, found.least.mean(1).tolist(), found.most.mean(1).tolist(), strict=True)
    return Network(
        training,
        _share(alone),
        _share(found.prediction == labels),
        _share(found.prediction < 0),
        round(spent, 1),
        tuple(Row(training, *values) for values in pairs),
    )


def networks(xrays: Path, images: int, training: int, epochs: int, samples: int, steps: int) -> Iterator[Network]:
    """Both, one after the other."""
    seen, data = images_of(xrays, "train", training), images_of(xrays, "val", images)
    yield measured("without noise", trained(*seen, 0, epochs), data, samples, steps)
    yield measured(f"with noise {SIGMA:g}", trained(*seen, 3, 2 * epochs, SIGMA), data, samples, steps)


def table(found: Sequence[Network]) -> str:
    """Lengths as rows in Markdown, two columns for each network."""
    names = [f"trained {one.training}: {side}" for one in found for side in ("certified", "attacked")]
    lines = ["| L2 length | " + " | ".join(names) + " |", "| --- " * (1 + len(names)) + "|"]
    for rows in zip(*(one.rows for one in found), strict=True):
        shares = [f"{share:.0%}" for row in rows for share in (row.certified, row.attacked)]
        lines.append(f"| {rows[0].length:g} | " + " | ".join(shares) + " |")
    return "\n".join(lines)


def sentence(one: Network) -> str:
    """What smoothing costs this network."""
    return (
        f"trained {one.training}: {one.alone:.0%} right alone, {one.smoothed:.0%} smoothed with {SIGMA:g}, "
        f"abstains for {one.abstains:.0%}; {one.seconds:.0f} s"
    )


def _share(flags: Tensor) -> float:
    return float(flags.float().mean())


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xrays", type=Path, required=True, help="pneumoniamnist.npz of MedMNIST")
    parser.add_argument("--images", type=int, default=50, help="validation images, half of them with pneumonia")
    parser.add_argument("--training", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=8, help="twice as many with noise")
    parser.add_argument("--samples", type=int, default=1000, help="noisy copies that are counted for each certificate")
    parser.add_argument("--steps", type=int, default=20, help="of the attack at each length")
    parser.add_argument("--out", type=Path, default=None, help="store the figures as JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for one in networks(given.xrays, given.images, given.training, given.epochs, given.samples, given.steps):
        found.append(one)
        print(sentence(one), flush=True)
    print(table(found))
    if given.out is not None:
        given.out.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
