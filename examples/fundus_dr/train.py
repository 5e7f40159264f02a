"""Train the network of this example on the APTOS images: `python examples/fundus_dr/train.py --data DIR`.

An ordinary training, without any defence: flips, turns and contrast, AdamW, cross-entropy, a one-cycle rate; the
epoch with the best quadratic weighted kappa on the validation split is kept. About ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from monai.transforms import Compose, RandAdjustContrast, RandAffine, RandFlip
from safetensors.torch import save_file
from sklearn.metrics import cohen_kappa_score
from torch import Tensor, nn

from palpate import Preprocess
from palpate.data.formats.images import read_image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import model as example  # noqa: E402


def load(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 112, 112), resized as the audit resizes them, and grades (N,)."""
    with open(folder / "labels.csv", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["split"] == split]
    images = torch.stack([torch.tensor(read_image(folder / row["file"])) for row in rows]).float()
    prepare = Preprocess(size=example.SIZE, mean=(example.MEAN,), std=(example.STD,))
    return prepare(images), torch.tensor([int(row["diagnosis"]) for row in rows])


def kappa(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Quadratic weighted kappa and accuracy."""
    with torch.no_grad():
        decided = torch.cat([network(part).argmax(1) for part in images.split(64)])
    return float(cohen_kappa_score(labels, decided, weights="quadratic")), float((decided == labels).double().mean())


def train(folder: Path, epochs: int, seed: int, build: Callable[[], nn.Module] = example.build) -> nn.Module:
    """The network of the best validation epoch."""
    torch.manual_seed(seed)
    images, labels = load(folder, "train")
    validation = load(folder, "val")
    augment = Compose(
        [
            RandFlip(prob=0.5, spatial_axis=0),
            RandFlip(prob=0.5, spatial_axis=1),
            RandAffine(
                prob=0.7,
                rotate_range=math.pi,
                scale_range=(0.12, 0.12),
                translate_range=(6, 6),
                padding_mode="border",
            ),
            RandAdjustContrast(prob=0.5, gamma=(0.8, 1.25)),
        ]
    )
    augment.set_random_state(seed)
    network = build()
    steps = epochs * (len(images) // 32)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    best, kept = -1.0, {}
    for epoch in range(epochs):
        network.train()
        begin = time.perf_counter()
        for batch in torch.randperm(len(images))[: len(images) // 32 * 32].split(32):
            inputs = torch.stack([torch.as_tensor(augment(images[i])) for i in batch.tolist()])
            optimiser.zero_grad()
            F.cross_entropy(network(inputs), labels[batch]).backward()
            optimiser.step()
            schedule.step()
        network.eval()
        score, accuracy = kappa(network, *validation)
        seconds = time.perf_counter() - begin
        print(
            f"epoch {epoch + 1:2d}  validation kappa {score:.3f}  accuracy {accuracy:.3f}  {seconds:.0f} s", flush=True
        )
        if score > best:
            best, kept = score, {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept)
    return network


def main() -> None:
    """Train, test, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv and images/")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "weights" / "resnet18.safetensors")
    options = parser.parse_args()
    network = train(options.data, options.epochs, options.seed)
    score, accuracy = kappa(network, *load(options.data, "test"))
    print(f"test kappa {score:.3f}  accuracy {accuracy:.3f}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), options.out)
    print(f"weights: {options.out}")


if __name__ == "__main__":
    main()
