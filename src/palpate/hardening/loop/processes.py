"""Devices and processes: Lightning Fabric around the module, and what several processes have to agree on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from palpate.errors import InputError
from palpate.hardening.contracts import Batch
from palpate.tensors import Tree, mapped, take

_NAMES = {torch.float32: "32-true", torch.float64: "64-true"}


@dataclass(frozen=True)
class Processes:
    """The processes of a training, each with a device; one unless `torchrun` started several.

    Attributes:
        fabric: of Lightning.
        wrapped: the module as the training step calls it.
        optimiser: wrapped too.
    """

    fabric: Any
    wrapped: nn.Module
    optimiser: Optimizer

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return int(self.fabric.global_rank)

    @property
    def count(self) -> int:
        """Number of processes."""
        return int(self.fabric.world_size)

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return cast(torch.device, self.fabric.device)

    def part(self, batch: Batch) -> tuple[Batch, float]:
        """The images of a batch for this process, on its device, and their weight.

        Gradients are averaged over processes, so a part of n of N images among k processes weighs n k / N. A process
        without an image repeats one with weight 0, because every process has to take part.
        """
        total = len(batch.images)
        if self.count > 1:
            rows = torch.arange(self.rank, total, self.count)
            weight = len(rows) * self.count / total
            batch = _rows(batch, rows if len(rows) else torch.arange(1))
        else:
            weight = 1.0
        return mapped(lambda tensor: tensor.to(self.device), batch), weight

    def mean(self, values: list[float]) -> list[float]:
        """The mean of each value over processes."""
        if self.count == 1:
            return values
        return cast(Tensor, self.fabric.all_reduce(torch.tensor(values, device=self.device).double())).tolist()

    def any(self, value: bool) -> bool:
        """Whether it is so in any process."""
        return self.mean([float(value)])[0] > 0

    def first(self, value: Any) -> Any:
        """The value of the first process."""
        return value if self.count == 1 else self.fabric.broadcast(value)

    def average_buffers(self, module: nn.Module) -> None:
        """Give the running statistics of every process the mean of all."""
        if self.count > 1:
            for buffer in module.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.fabric.all_reduce(buffer.clone()))


def _rows(batch: Batch, rows: Tensor) -> Batch:
    def some(tree: Tree) -> Tree:
        return take(tree, rows)

    return Batch(some(batch.images), some(batch.targets), some(batch.limits), batch.streams.take(rows))


def processes_for(module: nn.Module, optimiser: Optimizer, precision: str) -> Processes:
    """Wrap a module and its optimiser for the device that the module is on.

    Raises:
        InputError: the module's number format cannot be trained.
    """
    # Loading it takes seconds, which only a training should pay.
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    place = next(module.parameters())
    formats = {p.dtype for p in module.parameters() if p.requires_grad and p.is_floating_point()}
    coarse = formats - set(_NAMES)
    if coarse:
        names = " and ".join(sorted(str(one).removeprefix("torch.") for one in coarse))
        raise InputError(
            f"model: its weights are {names}, which is too coarse for small steps. Store them as float32; "
            'harden.precision = "bfloat16" makes the training step as fast.'
        )
    double = formats == {torch.float64}
    exact: Literal["64-true", "32-true"] = "64-true" if double else "32-true"
    several = world(os.environ) > 1
    # Broadcasting buffers at each forward pass would change them between two passes of one step.
    strategy: Any = DDPStrategy(broadcast_buffers=False) if several else "auto"
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if several else 1
    cuda = place.is_cuda
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=local if several or not cuda else [place.device.index or 0],
        num_nodes=world(os.environ) // local if several else 1,
        strategy=strategy,
        precision="bf16-mixed" if precision == "bfloat16" and not double else exact,
    )
    fabric.launch()
    wrapped, wrapped_optimiser = fabric.setup(module, optimiser)
    return Processes(fabric, wrapped, wrapped_optimiser)


def world(environment: Mapping[str, str]) -> int:
    """How many processes `torchrun` started."""
    text = environment.get("WORLD_SIZE", "1")
    return int(text) if text.isdigit() and "LOCAL_RANK" in environment else 1
