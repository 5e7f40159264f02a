"""Make the weights of the demo's classifier: `python tools/train_demo.py`, some minutes on two cores.

Draws digital fundus phantoms, trains `palpate.models.demo.build()` on them with cross-entropy alone (no adversarial
training: the demo must show what an ordinary network does), prints accuracy and quadratic weighted kappa on fresh
phantoms and writes `src/palpate/models/weights/fundus_demo.safetensors`.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from torch.nn import functional

from palpate.data.phantoms import fundus_set
from palpate.models import demo
from palpate.seeds import derive

TARGET = Path(__file__).resolve().parents[1] / "src/palpate/models" / demo.WEIGHTS
CHUNK = 250
"""Phantoms drawn under one derived seed."""

NOISE = 15.0
"""Greatest deviation of the noise added in training, in stored values."""


def draw(name: str, seed: int, count: int, workers: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` phantoms as stored values, (count, 3, size, size), uint8, and their grades."""
    seeds = [derive(seed, name, chunk) for chunk in range(0, count, CHUNK)]
    with ProcessPoolExecutor(workers) as pool:
        parts = list(pool.map(partial(fundus_set, CHUNK, size=demo.SIZE), seeds))
    images, grades = (torch.from_numpy(np.concatenate(column)[:count]) for column in zip(*parts, strict=True))
    return images.permute(0, 3, 1, 2), grades


def normalised(images: torch.Tensor) -> torch.Tensor:
    """What the network takes, from stored values."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (demo.MEAN, demo.STD))
    return (images - mean) / std


def varied(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The batch of stored values, mirrored, turned by quarters and with more camera noise on some images than others.

    This is ordinary augmentation: lesions mean the same everywhere and under every sensor.
    """
    quarters, mirror = torch.randint(0, 4, (2,), generator=generator).tolist()
    images = torch.rot90(images, quarters, (2, 3))
    images = images.flip(3) if mirror % 2 else images
    level = NOISE * torch.rand((len(images), 1, 1, 1), generator=generator)
    return images + level * torch.randn(images.shape, generator=generator)


def train(
    images: torch.Tensor, grades: torch.Tensor, epochs: int, batch: int, rate: float, seed: int
) -> torch.nn.Module:
    """A trained network: AdamW, one cycle of the learning rate, cross-entropy."""
    torch.manual_seed(derive(seed, "weights"))
    generator = torch.Generator().manual_seed(derive(seed, "batches"))
    network = demo.build().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.02)
    steps = len(images) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * steps, pct_start=0.25)
    for epoch in range(epochs):
        total, begun = 0.0, time.perf_counter()
        order = torch.randperm(len(images), generator=generator)
        for rows in order[: steps * batch].view(steps, batch):
            loss = functional.cross_entropy(network(normalised(varied(images[rows], generator))), grades[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(
            f"epoch {epoch + 1:2d} of {epochs}: loss {total / steps:.3f}, {time.perf_counter() - begun:.0f} s",
            flush=True,
        )
    return network.eval()


@torch.inference_mode()
def report(network: torch.nn.Module, images: torch.Tensor, grades: torch.Tensor) -> None:
    """Print accuracy, quadratic weighted kappa and the confusion of grades."""
    said = torch.cat([network(normalised(part)).argmax(1) for part in images.split(100)])
    print(f"accuracy {(said == grades).float().mean():.3f} on {len(grades)} fresh phantoms")
    print(f"quadratic weighted kappa {cohen_kappa_score(grades, said, weights='quadratic'):.3f}")
    print("confusion, rows true grade, columns said:", confusion_matrix(grades, said), sep="\n")


def save(network: torch.nn.Module, path: Path) -> None:
    """Write the weights as float16; counters of batch norm, which play no part in eval mode, stay integers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = network.state_dict().items()
    save_file(
        {name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in state}, path
    )
    print(f"wrote {path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> int:
    """Train, save, load what was saved and report on fresh phantoms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4000, help="phantoms to train on")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--rate", type=float, default=6e-3, help="greatest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    begun = time.perf_counter()
    images, grades = draw("train", options.seed, options.count, options.threads)
    print(f"drew {len(images)} phantoms in {time.perf_counter() - begun:.0f} s", flush=True)
    sample = images[:: max(len(images) // 500, 1)].float()
    print(f"stored values: mean {sample.mean((0, 2, 3)).tolist()}, deviation {sample.std((0, 2, 3)).tolist()}")
    network = train(images, grades, options.epochs, options.batch, options.rate, options.seed)
    save(network, options.out)
    report(network, *draw("fresh", options.seed, 1000, options.threads))
    print(f"{time.perf_counter() - begun:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
