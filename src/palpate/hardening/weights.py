"""The trained weights as a file: in the format that came in, with the same names."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from palpate.errors import InputError
from palpate.models.bundle import bundle_files, weights_of
from palpate.models.factory import importable
from palpate.models.fit import names_in_file
from palpate.models.huggingface import huggingface_files
from palpate.models.nnunet.folder import read_trained
from palpate.models.nnunet.network import Folds
from palpate.models.nnunet.saving import write_trained
from palpate.models.source import ModelSource
from palpate.models.stored.states import Weights, read_weights
from palpate.storage.writing import write_atomically

NOTE = {"format": "pt", "palpate": "weights trained by palpate harden"}


@dataclass(frozen=True)
class SavedModel:
    """The trained model on the disk.

    Attributes:
        path: the file or folder.
        field: the field of `[model]` that names it: `weights`, `torchscript`, `bundle`, `huggingface` or `nnunet`.
        confidence: of a detector whose operating point was chosen anew; None: as before.
    """

    path: Path
    field: str
    confidence: float | None = None


def save_model(
    network: nn.Module, source: ModelSource, root: Path, folder: Path, *, allow_pickle: bool = False
) -> SavedModel:
    """Write a network's weights into `folder`, in the format and with the names of those it was loaded from.

    Safetensors stay safetensors, files of `torch.save` become a plain state dict, TorchScript a new TorchScript file,
    and folders (bundle, Hugging Face, nnU-Net) a copy with new weights. A factory that loads its own weights gives
    safetensors.

    Args:
        network: the user's own network (`network_inside`), with its new weights.
        source: where the model came from.
        root: folder of the plan.
        folder: where to write.
        allow_pickle: as for the model; nnU-Net's checkpoints hold more than weights.

    Raises:
        InputError: the file of the old weights cannot be read any more.
        StorageError: the disk is full or does not accept the file; nothing half-written is left.
    """
    if source.nnunet is not None:
        return _fold(network, source, root, folder, allow_pickle)
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    if source.torchscript is not None:
        path = folder / Path(source.torchscript).name
        buffer = io.BytesIO()
        assert isinstance(network, torch.jit.ScriptModule)
        torch.jit.save(network, buffer)
        write_atomically(path, buffer.getvalue())
        return SavedModel(path, "torchscript")
    if source.bundle is not None:
        place = root / source.bundle
        target = _copied(place, folder / place.name, bundle_files(place))
        old = weights_of(place)
        _write(target / old.relative_to(place), _renamed(network, state, old, read_weights(old)))
        return SavedModel(target, "bundle")
    if source.huggingface is not None:
        place = root / source.huggingface
        configs = [path for path in huggingface_files(place) if path.suffix == ".json" and "index" not in path.name]
        target = _copied(place, folder / place.name, configs)
        _write(target / "model.safetensors", state)
        return SavedModel(target, "huggingface")
    if source.weights_file is None:
        path = folder / "weights.safetensors"
        _write(path, state)
        return SavedModel(path, "weights")
    old = root / source.weights_file
    path = folder / old.name
    with importable(root):  # for the classes of a pickled module
        held = read_weights(old, allow_pickle=allow_pickle, entry=source.weights_entry)
    # A pickled module becomes the state dict that a factory reads.
    _write(path, _renamed(network, state, old, held) if isinstance(held, Weights) else state)
    return SavedModel(path, "weights")


def _fold(network: nn.Module, source: ModelSource, root: Path, folder: Path, allow_pickle: bool) -> SavedModel:
    assert isinstance(network, Folds) and source.nnunet is not None
    trained = read_trained(root / source.nnunet, source.folds, source.checkpoint)
    target = folder / trained.folder.resolve().name
    write_trained(trained, network.folds[0], target, allow_pickle=allow_pickle)
    return SavedModel(target, "nnunet")


def _renamed(
    network: nn.Module, state: Mapping[str, Tensor], old: Path, held: Weights | nn.Module
) -> dict[str, Tensor]:
    """The tensors of the old file with the new values: its names, and what it has besides the network."""
    if not isinstance(held, Weights):
        raise InputError(f"model.weights: {old} is a pickled module. Save model.state_dict(), and give a factory.")
    names = names_in_file(network, held.tensors, old)
    trained = {theirs: state[ours] for ours, theirs in names.items()}
    return {name: trained.get(name, tensor) for name, tensor in held.tensors.items()}


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Tensors that share memory are written separately."""
    plain = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    if path.suffix == ".safetensors":
        write_atomically(path, _ordered(safetensors_bytes(plain, metadata=NOTE)))
        return
    buffer = io.BytesIO()
    torch.save(plain, buffer)
    write_atomically(path, buffer.getvalue())


def _ordered(data: bytes) -> bytes:
    """A safetensors file whose metadata are in the order of their names: the library writes them in a random one."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


def _copied(place: Path, target: Path, files: tuple[Path, ...] | list[Path]) -> Path:
    for path in files:
        copy = target / path.relative_to(place)
        write_atomically(copy, path.read_bytes())
    return target
