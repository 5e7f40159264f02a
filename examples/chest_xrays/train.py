"""Train the network of this example: `python examples/chest_xrays/train.py --data pneumoniamnist.npz`.

An ordinary training, without any defence: cross-entropy, AdamW, a one-cycle rate; the epoch with the best accuracy on
the validation images is kept. Less than a minute on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import model as example  # noqa: E402

MEAN, STD, BATCH = 128.0, 60.0, 64


def load(archive: Path, part: str) -> tuple[Tensor, Tensor]:
    """Normalised X-rays (N, 1, 28, 28) and whether each has pneumonia (N,)."""
    stored = np.load(archive)
    images = torch.from_numpy(stored[f"{part}_images"])[:, None].float()
    return (images - MEAN) / STD, torch.from_numpy(stored[f"{part}_labels"]).flatten().long()


def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images that are decided right."""
    with torch.no_grad():
        return float((network(images).argmax(1) == labels).double().mean())


def train(archive: Path, epochs: int, seed: int) -> nn.Module:
    """The network of the best validation epoch."""
    torch.manual_seed(seed)
    images, labels = load(archive, "train")
    validation = load(archive, "val")
    network = example.build()
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-3)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    best, kept = -1.0, {}
    for _ in range(epochs):
        network.train()
        for rows in torch.randperm(len(images))[: len(images) // BATCH * BATCH].split(BATCH):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimiser.step()
            schedule.step()
        network.eval()
        if (score := accuracy(network, *validation)) > best:
            best, kept = score, {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept)
    return network


def main() -> None:
    """Train, test, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="pneumoniamnist.npz")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "weights" / "network.safetensors")
    options = parser.parse_args()
    network = train(options.data, options.epochs, options.seed)
    print(f"test accuracy {accuracy(network, *load(options.data, 'test')):.3f}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), options.out)
    print(f"weights: {options.out}")


if __name__ == "__main__":
    main()
