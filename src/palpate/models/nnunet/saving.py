"""A trained folder of nnU-Net v2 with other weights, for nnU-Net and palpate alike."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from palpate.models.fit import names_in_file
from palpate.models.nnunet.folder import Trained
from palpate.models.nnunet.network import WEIGHTS, read_fold
from palpate.storage.writing import write_atomically


def write_trained(trained: Trained, network: nn.Module, target: Path, *, allow_pickle: bool = False) -> None:
    """Write a trained folder of one fold: `plans.json`, `dataset.json`, and the fold's checkpoint with its keys.

    Next to the new weights the checkpoint holds what the old one holds, except objects that are neither tensors nor
    plain values: they become None. The checkpoint is written last, so that no folder without it looks whole.

    Args:
        trained: the old folder, with one fold.
        network: the network of this fold, with its new weights.
        target: the new folder.
        allow_pickle: as for the model.

    Raises:
        InputError: the old checkpoint cannot be read any more.
        StorageError: the disk is full or does not accept a file; nothing half-written is left.
    """
    plans, dataset, path = trained.files
    held = read_fold(path, allow_pickle=allow_pickle)
    names = names_in_file(network, held[WEIGHTS], path)
    state = _shared(network.state_dict())
    new = {theirs: state[ours] for ours, theirs in names.items()}
    weights = {name: new.get(name, tensor) for name, tensor in held[WEIGHTS].items()}
    for file in (plans, dataset):
        write_atomically(target / file.name, file.read_bytes())
    buffer = io.BytesIO()
    torch.save({**plain(held), WEIGHTS: weights}, buffer)
    write_atomically(target / path.parent.name / path.name, buffer.getvalue())


def plain(value: Any) -> Any:
    """A value of a checkpoint with nothing in it that `weights_only` refuses; what it refuses becomes None.

    >>> plain({"epoch": np.int64(3), "path": Path("data")})
    {'epoch': 3, 'path': None}
    """
    if isinstance(value, Tensor):
        return value.detach().clone() if type(value) is not Tensor else value
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, float, str, torch.device):
        return value
    if isinstance(value, Mapping):
        return {plain(name): plain(held) for name, held in value.items()}
    if isinstance(value, (list, tuple)):
        made = [plain(held) for held in value]
        return tuple(made) if isinstance(value, tuple) else made
    return None


def _shared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights on the CPU; those of several names, as U-Nets have, once in memory and so in the file."""
    held: dict[tuple[int, torch.Size], Tensor] = {}
    for tensor in state.values():
        key = tensor.data_ptr(), tensor.shape
        if key not in held:
            held[key] = tensor.detach().cpu().clone()
    return {name: held[tensor.data_ptr(), tensor.shape] for name, tensor in state.items()}
