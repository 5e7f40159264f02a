"""The benchmark's model: a ResNet-18 of MONAI, trained on fundus phantoms of 224 x 224 pixels."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from monai.networks.nets import resnet18
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.measure import say
from palpate.data.phantoms import fundus_set

CACHE = Path(__file__).resolve().parent / ".cache"
SIZE, CLASSES = 224, 5


class Normalised(nn.Module):
    """Images in [0, 1], which is all that some peers read, into the network."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(B, 5) logits."""
        logits: Tensor = self.network((images - 0.35) / 0.25)
        return logits


def phantoms(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (count, 3, 224, 224) in [0, 1] on the 8-bit lattice, and grades (count,)."""
    images, labels = fundus_set(count, seed, SIZE)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255, torch.from_numpy(labels)


def trained() -> nn.Module:
    """The trained network, from the cache or trained now (some minutes)."""
    model = Normalised(resnet18(spatial_dims=2, n_input_channels=3, num_classes=CLASSES, conv1_t_stride=2))
    path = CACHE / "resnet18_phantoms.safetensors"
    if path.is_file():
        model.load_state_dict(load_file(path))
        return model.eval()
    say("Training the benchmark's ResNet-18 on phantoms (once; it is kept in benchmarks/.cache) ...")
    torch.manual_seed(0)
    images, labels = phantoms(480, seed=1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    epochs, batches = 4, len(images) // 16
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=epochs * batches)
    for epoch in range(epochs):
        for batch in torch.randperm(len(images)).split(16):
            optimiser.zero_grad()
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            loss.backward()
            optimiser.step()
            schedule.step()
        say(f"  epoch {epoch + 1} of {epochs}: loss {loss.item():.2f}")
    CACHE.mkdir(exist_ok=True)
    save_file(model.state_dict(), path)
    return model.eval()


def right_ones(model: nn.Module, count: int) -> tuple[Tensor, Tensor]:
    """`count` fresh phantoms that the model grades correctly."""
    images, labels = phantoms(3 * count, seed=2)
    with torch.no_grad():
        decided = torch.cat([model(part).argmax(1) for part in images.split(32)])
    right = (decided == labels).nonzero().flatten()[:count]
    if len(right) < count:
        raise SystemExit(
            f"The benchmark's model grades only {len(right)} of {len(images)} phantoms correctly; retrain it."
        )
    return images[right].contiguous(), labels[right]
