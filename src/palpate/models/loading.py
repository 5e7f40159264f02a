"""A model as its plan describes it, in any form. Pickles are loaded only with a flag."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from palpate.errors import InputError
from palpate.models.blackbox import FromProbabilities
from palpate.models.bundle import network_of, weighted, weights_of
from palpate.models.detectors.forms import FromBoxes
from palpate.models.endpoint import EndpointModel
from palpate.models.factory import build, importable
from palpate.models.fit import fit
from palpate.models.huggingface import load_huggingface
from palpate.models.inputs.module import WithInputs, require_alone
from palpate.models.nnunet.folder import read_trained
from palpate.models.nnunet.network import load_folds
from palpate.models.outputs import Chosen
from palpate.models.source import ModelSource
from palpate.models.stored.exported import load_exported
from palpate.models.stored.onnx_detectors import OnnxDetector
from palpate.models.stored.onnx_models import OnnxGradients, OnnxModel
from palpate.models.stored.states import Weights, read_weights
from palpate.models.stored.torchscript import load_torchscript
from palpate.models.timm_networks import build_timm

__all__ = ["Loaded", "ModelSource", "load_model", "load_noted", "weights_digest"]


@dataclass(frozen=True)
class Loaded:
    """A model, and how it was loaded.

    Attributes:
        module: as `load_model` describes it.
        notes: sentences for the report, such as which part of a checkpoint was used.
        form: what a shipped detector was recognised to return; empty for every other model.
        reads: sentences for the report on how it is read.
    """

    module: nn.Module
    notes: tuple[str, ...] = ()
    form: str = ""
    reads: tuple[str, ...] = ()


def load_model(source: ModelSource, root: Path, *, allow_pickle: bool = False) -> nn.Module:
    """The module that a source describes, on the CPU. Compiled ones are in evaluation mode, others as they were built.

    Args:
        source: where the model is.
        root: folder that its paths start from: the plan's.
        allow_pickle: load files that do more than store numbers and compute: pickles, bundles whose configuration is
        code, TorchScript that uses files, exported programs with compiled parts. They can run any code here.

    Raises:
        InputError: a file or function is missing, fails, or does not fit; weights need pickle and it is not allowed.
    """
    return load_noted(source, root, allow_pickle=allow_pickle).module


def load_noted(
    source: ModelSource,
    root: Path,
    *,
    allow_pickle: bool = False,
    detector: Callable[[nn.Module], Loaded | None] | None = None,
) -> Loaded:
    """As `load_model`, with notes for the report.

    Args:
        source: where the model is.
        root: folder that its paths start from.
        allow_pickle: as in `load_model`.
        detector: for a detection, reads the module as it was loaded; None if it returns candidates already.
    """
    loaded = _load(source, root, allow_pickle, detector is not None)
    module = loaded.module
    require_built(module)
    if source.inputs:
        module = WithInputs(module, list(source.inputs))
    else:
        require_alone(module)
    if source.output is not None and source.onnx is None:
        module = Chosen(module, source.output)
    if detector is not None and (read := detector(module)) is not None:
        return replace(read, notes=loaded.notes)
    if source.outputs != "logits":
        module = FromProbabilities(module, source.outputs)
    if source.boxes not in (None, "fractions"):
        module = FromBoxes(module, source.boxes)
    return Loaded(module, loaded.notes)


def _load(source: ModelSource, root: Path, allow_pickle: bool, boxed: bool) -> Loaded:
    onnx: Any = OnnxGradients if source.onnx_gradients else OnnxDetector if boxed else OnnxModel
    whole: dict[str, Callable[[Path], nn.Module]] = {
        "torchscript": partial(load_torchscript, allow_code=allow_pickle),
        "exported": partial(load_exported, allow_pickle=allow_pickle),
        "huggingface": partial(load_huggingface, texts=source.texts, root=root, inputs=source.inputs),
        "onnx": partial(onnx, output=source.output),
    }
    for name, load in whole.items():
        if (place := getattr(source, name)) is not None:
            return Loaded(load(root / place))
    if source.bundle is not None:
        return _load_bundle(root / source.bundle, allow_pickle)
    if source.nnunet is not None:
        module, notes = load_folds(
            read_trained(root / source.nnunet, source.folds, source.checkpoint), allow_pickle=allow_pickle
        )
        return Loaded(module, tuple(notes))
    if source.endpoint is not None:
        return Loaded(EndpointModel(source.endpoint, root))
    return _load_built(source, root, allow_pickle)


def _load_built(source: ModelSource, root: Path, allow_pickle: bool) -> Loaded:
    """A factory's or timm's network with its weights, or a pickled module."""
    module = None
    if source.factory is not None:
        module = build(source.factory, source.arguments, root)
    elif source.timm is not None:
        module = build_timm(source.timm, source.arguments)
    if source.weights_file is None:
        assert module is not None  # ModelSource has one of the two
        return Loaded(module)
    path = root / source.weights_file
    with importable(root):  # for the classes of a pickled module
        held = read_weights(path, allow_pickle=allow_pickle, entry=source.weights_entry)
    if module is None:
        if isinstance(held, nn.Module):
            return Loaded(held)
        raise InputError(
            f"model.weights: {path} contains weights, and the plan does not name their network. "
            'Give factory = "file.py:function", which builds it.'
        )
    return _fitted(module, held, path)


def _fitted(module: nn.Module, held: Weights | nn.Module, path: Path) -> Loaded:
    weights = Weights(held.state_dict()) if isinstance(held, nn.Module) else held
    return Loaded(module, (*weights.notes, *fit(module, weights.tensors, path)))


def _load_bundle(folder: Path, allow_pickle: bool) -> Loaded:
    network = network_of(folder, allow_code=allow_pickle)
    if network is None:
        return Loaded(load_torchscript(folder / "models" / "model.ts", allow_code=allow_pickle))
    path = weights_of(folder)
    fitted = _fitted(weighted(network), read_weights(path, allow_pickle=allow_pickle), path)
    return Loaded(network, fitted.notes)


def require_built(module: nn.Module) -> None:
    """Refuse a module with lazy layers that no image has passed; raises InputError."""
    if any(map(is_lazy, [*module.parameters(), *module.buffers()])):
        raise InputError(
            "model: a lazy layer (nn.LazyLinear, nn.LazyConv2d) has no weights before the first image. Give the layer "
            "its number of inputs, or pass one image through the network in the factory."
        )


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over a module's parameters and buffers: names, types, shapes and bytes, in order of names.

    State that is not saved with a module counts too, because it changes what the module computes: buffers with
    `persistent=False` and plain tensors (the means of a normalisation), and the constants of frozen TorchScript.
    The device does not count.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(_named_tensors(module), key=lambda named: named[0]):
        stored = tensor.detach().cpu()
        head = f"{name}\0{stored.dtype}\0{tuple(stored.shape)}\0"
        digest.update(head.encode())
        digest.update(_bytes(stored))
    return digest.hexdigest()


def _named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)
    for name, part in module.named_modules():
        yield from ((f"{name}.{key}", value) for key, value in vars(part).items() if isinstance(value, Tensor))
    if isinstance(module, torch.jit.ScriptModule):
        graph: Any = module.inlined_graph  # its nodes exist only while it is referenced
        for number, node in enumerate(graph.findAllNodes("prim::Constant")):
            if node.hasAttribute("value") and node.kindOf("value") == "t":
                yield f"constant {number}", node.t("value")


def _bytes(tensor: Tensor) -> bytes:
    dense = tensor.to_dense() if tensor.layout is not torch.strided else tensor
    return dense.resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
