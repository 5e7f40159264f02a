"""Small networks and files of models for the tests."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn


class Small(nn.Module):
    """A network with all that a file of a model may have to hold: norms, dropout, a hidden buffer, a plain tensor."""

    def __init__(self, classes: int = 3, mean: float = 0.0):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, classes)
        self.register_buffer("mean", torch.tensor([mean]), persistent=False)
        self.plain = torch.tensor([1.0])

    def forward(self, images: Tensor) -> Tensor:
        features = self.norm(self.first((images - self.mean) * self.plain)).relu()
        return self.head(self.drop(features).mean((2, 3)))


def small(seed: int = 0, **arguments: float) -> Small:
    """A network of known weights in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Small(**arguments)  # type: ignore[arg-type]
        for part in (network.norm.running_mean, network.norm.running_var):
            part.uniform_(0.5, 1.5)
    return network.eval()


def images(count: int = 2, size: int = 8) -> Tensor:
    """A batch of grey images."""
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


def scripted(network: nn.Module, path: Path, *, frozen: bool = False) -> Path:
    """Save a network as TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.script(network)
        (torch.jit.freeze(module) if frozen else module).save(path)
    return path


def exported(network: nn.Module, path: Path, *, any_batch: bool = True, count: int = 2) -> Path:
    """Save a network as an exported program."""
    free = ({0: torch.export.Dim("batch")},) if any_batch else None
    torch.export.save(torch.export.export(network, (images(count),), dynamic_shapes=free), path)
    return path


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


def saved(value: object) -> bytes:
    """The bytes of `torch.save`."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def repack(source: Path, target: Path, change: Callable[[str, bytes], bytes], extra: dict[str, bytes]) -> Path:
    """Copy a zip with changed and added members."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, data in extra.items():
            new.writestr(name, data)
    return target
