"""Smallest changes of FMN and DDN beside Foolbox's, at equal steps, on two small networks for digits of 8 x 8 pixels.

    python -m benchmarks.minimum_peers [STEPS ...]

It needs Foolbox (`pip install foolbox`). One network is plain, one trained adversarially at L-inf 0.15.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palpate import Classification, Victim, catalog
from palpate.tensors import lengths
from palpate.threats.ball import BALLS

TRAINED, LAST = 1300, 1400
RADII = {"linf": 1.0, "l2": 8.0, "l1": 64.0}
"""As large as any change can be."""
PAIRS = (
    ("fmn", "linf", "LInfFMNAttack"),
    ("fmn", "l2", "L2FMNAttack"),
    ("fmn", "l1", "L1FMNAttack"),
    ("ddn", "l2", "DDNAttack"),
)


def digits() -> tuple[Tensor, Tensor]:
    """Images (N, 1, 8, 8) from 0 to 1 and their classes, in a fixed random order."""
    from sklearn.datasets import load_digits

    read = load_digits()
    images, classes = torch.tensor(read.images, dtype=torch.float32)[:, None] / 16, torch.tensor(read.target)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order], classes[order]


def trained(adversarially: bool) -> nn.Module:
    """A small network, trained on the first images."""
    torch.manual_seed(0)
    images, classes = (part[:TRAINED] for part in digits())
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(25):
        for rows in torch.randperm(len(images)).split(64):
            shown = _attacked(network, images[rows], classes[rows]) if adversarially else images[rows]
            optimiser.zero_grad()
            F.cross_entropy(network(shown), classes[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return network.eval()


def _attacked(network: nn.Module, images: Tensor, classes: Tensor, eps: float = 0.15) -> Tensor:
    moved = (images + torch.empty_like(images).uniform_(-eps, eps)).clamp(0, 1)
    for _ in range(4):
        moved.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(moved), classes), moved)
        stepped = moved.detach() + 0.06 * gradient.sign()
        moved = torch.clamp(stepped, images - eps, images + eps).clamp(0, 1)
    return moved


def theirs(network: nn.Module, images: Tensor, classes: Tensor, name: str, norm: str, steps: int) -> Tensor:
    """Foolbox's smallest changes (B,); infinite where it found none."""
    import foolbox

    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    attack: Any = getattr(foolbox.attacks, name)(steps=steps)
    _, found, won = attack(model, images, foolbox.criteria.Misclassification(classes), epsilons=None)
    return torch.where(won, lengths(found - images, norm), torch.inf)


def main(steps: list[int]) -> None:
    """Print the table."""
    sys.stdout.write(
        "| network | steps | attack | Foolbox, median | palpate, median | palpate smaller | Foolbox smaller |\n"
    )
    for adversarially in (False, True):
        network, (images, classes) = trained(adversarially), (part[TRAINED:LAST] for part in digits())
        right = network(images).argmax(1) == classes
        images, classes = images[right], classes[right]
        for count in steps:
            for name, norm, peer in PAIRS:
                attack = catalog.make(name, BALLS[norm](RADII[norm]), steps=count)
                own = attack(Victim(network, (0.0, 1.0)), Classification(10), images, classes).radius
                other = theirs(network, images, classes, peer, norm, count)
                counts = (int((a < b * 0.999).sum()) for a, b in ((own, other), (other, own)))
                row = ("adversarial" if adversarially else "plain", str(count), f"{name}, {norm}")
                cells = (f"{float(other.median()):.4f}", f"{float(own.median()):.4f}", *map(str, counts))
                sys.stdout.write(f"| {' | '.join((*row, *cells))} |\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [20, 100])
