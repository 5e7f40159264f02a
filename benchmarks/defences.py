"""What defences are worth: each around one small network, attacked naively (as if it were not there) and adaptively.

    python -m benchmarks.defences --xrays pneumoniamnist.npz
    python -m benchmarks.defences --xrays pneumoniamnist.npz --only jpeg

A network for chest X-rays of PneumoniaMNIST (28 x 28 pixels) is trained here, in seconds, without any defence; so are
two more for the ensemble, one with noise for smoothing, and a denoiser. `naive` attacks the network alone and shows the
images to the defended one. `adaptive` attacks the defended one: straight through what has no slope, in expectation
over random draws, all members at once; images that the naive attack found count too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from palpate import catalog
from palpate.defences import Denoise, Ensemble, Filter, Median, Noise, Quantised, Reject, ResizePad, Smoothing
from palpate.postprocessing.codecs import Jpeg
from palpate.postprocessing.grids import Blurred
from palpate.tasks.classification import Classification
from palpate.tasks.screening import screened
from palpate.threats.ball import Linf
from palpate.units import Scale
from palpate.victim import Defence, Victim

BOUNDS = (0.0, 255.0)
SCALE = Scale(BOUNDS)
EPS, STEPS, SIGMA = 8.0, 30, 16.0
TASK = screened(Classification(2))
ATTACKS = ("apgd-ce", "apgd-margin")
RESULTS = Path(__file__).parent / "results" / "defences.json"


@dataclass(frozen=True)
class Row:
    """One defence: shares of images that are decided right.

    Attributes:
        defence: what it does.
        clean: before any attack.
        naive: and still right on the images that beat the network alone.
        adaptive: and not beaten by an attack on the defended network.
        seconds: what the adaptive attack took.
    """

    defence: str
    clean: float
    naive: float
    adaptive: float
    seconds: float


def images_of(path: Path, part: str, count: int) -> tuple[Tensor, Tensor]:
    """X-rays (B, 1, 28, 28) from 0 to 255, half of them with pneumonia, and which (B,); the same ones every time."""
    stored, generator = np.load(path), torch.Generator().manual_seed(0)
    labels = torch.from_numpy(stored[f"{part}_labels"]).flatten().long()
    chosen = []
    for kind in (0, 1):
        places = (labels == kind).nonzero().flatten()
        chosen.append(places[torch.randperm(len(places), generator=generator)[: count // 2]])
    rows = torch.cat(chosen)
    return torch.from_numpy(stored[f"{part}_images"])[rows, None].float(), labels[rows]


class Network(nn.Module):
    """Four convolutions and a linear layer on stored values."""

    def __init__(self) -> None:
        super().__init__()
        widths, layers = (1, 16, 24, 32, 48), []
        for place in range(4):
            layers += [nn.Conv2d(widths[place], widths[place + 1], 3, padding=1, stride=1 + place % 2), nn.ReLU()]
        self.features, self.head = nn.Sequential(*layers), nn.Linear(48, 2)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 2)."""
        return self.head(self.features((images - 128) / 60).amax((2, 3)))


class Cleaner(nn.Module):
    """A denoiser that predicts the noise, on stored values."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 1, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Cleaner images of the same shape."""
        return images + 20 * self.body(images / 60 - 2)


def trained(images: Tensor, labels: Tensor, seed: int, epochs: int, noise: float = 0.0) -> nn.Module:
    """The network after so many epochs of ordinary training, with noise of that width."""
    torch.manual_seed(seed)
    network = Network()
    _train(
        network,
        images,
        epochs,
        lambda rows: nn.functional.cross_entropy(
            network(images[rows] + noise * torch.randn_like(images[rows])), labels[rows]
        ),
    )
    return network.eval()


def cleaner(images: Tensor, epochs: int) -> nn.Module:
    """The denoiser after training on noise of `SIGMA`."""
    torch.manual_seed(5)
    network = Cleaner()
    _train(
        network,
        images,
        epochs,
        lambda rows: nn.functional.mse_loss(
            network(images[rows] + SIGMA * torch.randn_like(images[rows])), images[rows]
        ),
    )
    return network.eval()


def _train(network: nn.Module, images: Tensor, epochs: int, loss) -> None:  # type: ignore[no-untyped-def]
    steps = epochs * (len(images) // 32)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for step in range(steps):
        if step % (len(images) // 32) == 0:
            order = torch.randperm(len(images))
        rows = order[(step * 32) % len(images) :][:32]
        optimiser.zero_grad()
        loss(rows).backward()
        optimiser.step()
        schedule.step()


def beaten(victim: Victim, images: Tensor, labels: Tensor, steps: int) -> tuple[Tensor, list[Tensor]]:
    """Which images (B,) some attack beats, and what each attack found."""
    won, found = torch.zeros(len(images), dtype=torch.bool), []
    for name in ATTACKS:
        attack = catalog.make(name, Linf(EPS), steps=steps)
        result = attack(victim, TASK, images, labels, generator=torch.Generator().manual_seed(0))
        won |= result.success
        found.append(result.images)
    return won, found


def margin(victim: Victim, images: Tensor, labels: Tensor) -> Tensor:
    """Margins (B,): 0 or less where the answer is wrong and given."""
    with victim:
        return TASK.margin(victim.judge(images), labels)


def right(victim: Victim, images: Tensor, labels: Tensor) -> Tensor:
    """Which images (B,) are decided right; a rejected one is not."""
    with victim:
        return TASK.right(victim.judge(images), labels)


def row(
    name: str,
    network: nn.Module,
    around: Sequence[Defence],
    data: tuple[Tensor, Tensor],
    found: list[Tensor],
    steps: int,
) -> Row:
    """One defence, measured; `found` are the images that beat the network alone, of each attack."""
    images, labels = data
    victim = Victim(network, BOUNDS, defences=around)
    clean = right(victim, images, labels)
    naive = clean.clone()
    for moved in found:
        naive &= margin(victim, moved, labels) > 0
    begin = time.perf_counter()
    won, _ = beaten(victim, images, labels, steps)
    spent = time.perf_counter() - begin
    shares = [float(flags.float().mean()) for flags in (clean, naive, naive & ~won)]
    return Row(name, *shares, round(spent, 1))


def rows(xrays: Path, images: int, steps: int, training: int, epochs: int, only: str):  # type: ignore[no-untyped-def]
    """All rows, one after the other."""
    seen, data = images_of(xrays, "train", training), images_of(xrays, "val", images)
    plain, second, third = (trained(*seen, seed, epochs) for seed in range(3))
    noisy = trained(*seen, 3, 2 * epochs, SIGMA)
    purifier = cleaner(seen[0], epochs)
    detector = Reject((Quantised.of_bits(SCALE, 3), Median(3), Blurred(SCALE, 1.0)))
    with torch.no_grad():
        detector = detector.calibrated(detector.score(data[0], plain))
    found = {network: beaten(Victim(network, BOUNDS), *data, steps)[1] for network in (plain, noisy)}
    for name, network, around in (
        ("none", plain, ()),
        ("jpeg, quality 75", plain, (Filter(Jpeg(SCALE, 75)),)),
        ("jpeg, quality 30", plain, (Filter(Jpeg(SCALE, 30)),)),
        ("quantise, 3 bits", plain, (Filter(Quantised.of_bits(SCALE, 3)),)),
        ("median, 3 pixels", plain, (Filter(Median(3)),)),
        ("blur, 1 pixel", plain, (Filter(Blurred(SCALE, 1.0)),)),
        ("denoise", plain, (Denoise(purifier),)),
        ("resize-pad", plain, (ResizePad(SCALE),)),
        (f"noise {SIGMA:g}", plain, (Noise(SIGMA),)),
        ("jpeg 75, then noise 8", plain, (Filter(Jpeg(SCALE, 75)), Noise(8.0))),
        ("ensemble of 3", plain, (Ensemble((second, third)),)),
        ("reject, 5% false alarms", plain, (detector,)),
        (f"trained with noise {SIGMA:g}, no defence", noisy, ()),
        (f"trained with noise {SIGMA:g}, smoothing {SIGMA:g}", noisy, (Smoothing(SIGMA),)),
    ):
        if only in name:
            yield row(name, network, around, data, found[network], steps)


def table(found: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| defence | clean | robust, naive | robust, adaptive | seconds |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {one.defence} | {one.clean:.0%} | {one.naive:.0%} | {one.adaptive:.0%} | {one.seconds:.0f} |"
        for one in found
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--xrays", type=Path, required=True, help="pneumoniamnist.npz of MedMNIST")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--training", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=None, help="store the rows as JSON, such as results/defences.json")
    parser.add_argument("--only", default="", help="measure only rows whose name contains this")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for one in rows(given.xrays, given.images, given.steps, given.training, given.epochs, given.only):
        found.append(one)
        print(table([one]).splitlines()[-1], flush=True)
    if given.out is not None:
        given.out.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
