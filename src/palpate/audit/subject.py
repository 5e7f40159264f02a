"""What a plan audits, loaded: the model, its images and labels, and the hashes that identify them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from palpate.audit.identity import encode
from palpate.audit.machine import device_of
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.models.loading import load_model, weights_digest
from palpate.models.source import ModelSource
from palpate.preprocess import Preprocess
from palpate.tensors import Tree
from palpate.victim import Victim

if TYPE_CHECKING:
    from palpate.audit.plan import Plan


@dataclass(frozen=True)
class Subject:
    """The model under test and the images it is tested on.

    Attributes:
        victim: the model with its bounds and preprocessing, on its device.
        table: the audited images, in order.
        preprocess: from stored values to the network's input.
        model: hash of the model's code and files.
        weights: hash of its weights as they are used.
        data: hash of all images, labels and groups.
        device: where the model runs.
    """

    victim: Victim
    table: Table
    preprocess: Preprocess
    model: str
    weights: str
    data: str
    device: torch.device

    def images(self, rows: Sequence[int]) -> Tensor:
        """Images (B, C, H, W) of some rows in stored values, float32, on the device."""
        pixels = np.stack([self.table.image(row).astype(np.float32) for row in rows])
        return torch.from_numpy(pixels).to(self.device)

    def targets(self, rows: Sequence[int]) -> Tree:
        """What is annotated of some rows, as the task expects it, on the device."""
        return self.labels(rows)

    def labels(self, rows: Sequence[int]) -> Tensor:
        """Their classes (B,) int64, on the device."""
        return torch.tensor([self.table[row].label for row in rows], dtype=torch.int64, device=self.device)

    def identity(self, rows: Sequence[int]) -> dict[str, Any]:
        """What identifies the model and some of the images, as JSON."""
        return {
            "model": self.model,
            "weights": self.weights,
            "preprocess": encode(self.preprocess),
            "bounds": list(self.victim.bounds),
            "data": self.table.fingerprint(rows),
            "rows": list(rows),
        }

    def spread(self, rows: Sequence[int], count: int) -> tuple[int, ...]:
        """At most `count` of some rows, taken from the classes in turn; in their order."""
        queues: dict[int, list[int]] = {}
        for row in rows:
            queues.setdefault(self.table[row].label, []).append(row)
        turns = sorted((turn, label, row) for label, queue in queues.items() for turn, row in enumerate(queue))
        return tuple(sorted(row for _, _, row in turns[:count]))


def load_subject(plan: Plan, *, allow_pickle: bool = False) -> Subject:
    """Load what a plan audits.

    Raises:
        InputError: the model or the images cannot be loaded, or a budget is wider than the images' whole space.
    """
    table = load_table(plan)
    shape = table.shape()
    _check_width(plan, shape)
    source = model_source(plan)
    module = load_model(source, plan.root, allow_pickle=allow_pickle)
    device = device_of(plan.run.device)
    preprocess = plan.model.preprocess.build()
    return Subject(
        victim=Victim(module.to(device), plan.model.bounds, preprocess=preprocess),
        table=table,
        preprocess=preprocess,
        model=source.digest(plan.root),
        weights=weights_digest(module),
        data=table.fingerprint(),
        device=device,
    )


def load_table(plan: Plan) -> Table:
    """The images and labels of a plan; raises InputError where they cannot be read."""
    data, classes = plan.data, plan.task.classes
    if data.table is not None:
        file = plan.root / data.table
        images = file.parent if data.images is None else plan.root / data.images
        table = Table.from_csv(file, images, data.file, data.label, data.group, data.where, classes)
    elif data.folders is not None:
        table = Table.from_folders(plan.root / data.folders, classes)
    else:
        table = Table.from_medmnist(plan.root / str(data.medmnist), data.split, classes)
    return table if data.limit is None else table.limit(data.limit, plan.seed)


def model_source(plan: Plan) -> ModelSource:
    """Where the model of a plan comes from."""
    model = plan.model
    return ModelSource(
        factory=model.factory,
        arguments=model.arguments,
        weights=model.weights,
        torchscript=model.torchscript,
        exported=model.exported,
    )


def _check_width(plan: Plan, shape: Sequence[int]) -> None:
    low, high = plan.model.bounds
    widest = {"linf": 1.0, "l2": float(np.prod(shape)) ** 0.5, "l1": float(np.prod(shape))}[plan.threat.norm]
    largest = plan.radii[-1]
    if largest > widest * (high - low):
        raise InputError(
            f"threat.eps: {largest:g} is wider than the whole space of images of shape {list(shape)}, which is "
            f"{widest * (high - low):g} in {plan.threat.norm}. Is it in other units than the images?"
        )
