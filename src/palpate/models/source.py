"""Where a model comes from, as a plan names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from palpate.errors import InputError
from palpate.models.bundle import bundle_files
from palpate.models.detectors.forms import BoxForm
from palpate.models.endpoint import Endpoint
from palpate.models.huggingface import huggingface_files
from palpate.models.inputs.kinds import faults
from palpate.models.nnunet.folder import read_trained
from palpate.models.stored.onnx_files import onnx_files

Outputs = Literal["logits", "softmax", "sigmoid"]

ORIGINS = ("factory", "torchscript", "exported", "bundle", "huggingface", "nnunet", "timm", "onnx", "endpoint")
"""The fields that say where the model is; a plan has one of them."""

IN_FACTORY = "in factory"
"""Value of `weights` if the factory itself loads them, and no file is named."""


@dataclass(frozen=True)
class ModelSource:
    """One of `ORIGINS`, or (by a flag) a pickled module, with its settings.

    Attributes:
        factory: `file.py:function`, or `package.module:function`; it is called with `arguments` and returns a module.
        arguments: keyword arguments of the factory, or of `timm.create_model`.
        weights: safetensors, or a torch file with tensors; `in factory` if the factory itself loads them.
            Without factory or timm: a pickled module.
            weights_entry: which entry of a checkpoint has the weights, or which prefix, if there are several.
        torchscript: a file of `torch.jit.save`.
        exported: a file of `torch.export.save`, usually `.pt2`.
        bundle: a MONAI bundle's folder.
        huggingface: a folder with `config.json` and safetensors of an image classifier, a semantic segmenter, a
            detector, a SAM or a CLIP.
        nnunet: a trained folder of nnU-Net v2, with `plans.json`, `dataset.json` and `fold_0`, `fold_1`, ...
        folds: the folds of `nnunet` that are averaged: numbers, or `all`; None: all numbered ones that are there.
        checkpoint: file name of the weights in each fold of `nnunet`; None: `checkpoint_final.pth`.
        timm: name of a network of timm; it needs `weights`.
        onnx: an ONNX file. It is a black box unless `onnx_gradients`.
        output: which output is read, if the model returns a dict, a tuple or a list: a name, a place from 0, or
            several joined by dots.
        onnx_gradients: make the ONNX file a torch module, so that gradients flow.
        endpoint: an HTTP endpoint that takes an image and returns scores: a black box.
        outputs: what the model returns: logits, or probabilities of a `softmax` or a `sigmoid`, which become logits.
        boxes: what the boxes of a detector are, if they are not corners in fractions.
        texts: of the classes, for a model that compares images with texts.
        inputs: what the model is given besides images, as `palpate.models.inputs` reads it.

    Paths are relative to the folder of the plan.

    Raises:
        InputError: nothing is given, or things that exclude each other.
    """

    factory: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    weights: str | None = None
    weights_entry: str | None = None
    torchscript: str | None = None
    exported: str | None = None
    bundle: str | None = None
    huggingface: str | None = None
    nnunet: str | None = None
    folds: tuple[int | str, ...] | None = None
    checkpoint: str | None = None
    timm: str | None = None
    onnx: str | None = None
    output: str | int | None = None
    onnx_gradients: bool = False
    endpoint: Endpoint | None = None
    outputs: Outputs = "logits"
    boxes: BoxForm | None = None
    texts: tuple[str | tuple[str, ...], ...] = ()
    inputs: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, text in contradictions(self):
            raise InputError(f"model{f'.{name}' if name else ''}: {text}")

    @property
    def weights_file(self) -> str | None:
        """The file of `weights`, if they are in one."""
        return None if self.weights == IN_FACTORY else self.weights

    def digest(self, root: Path) -> str:
        """SHA-256 over the source's fields and the bytes of the files it names, so over the model's code.

        Code that a factory imports from elsewhere does not count, nor does the model behind an endpoint.

        Raises:
            InputError: a file cannot be read, or an argument is not a plain value.
        """
        said = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "endpoint"}
        said["arguments"], said["inputs"] = dict(self.arguments), dict(self.inputs)
        said["endpoint"] = self.endpoint and self.endpoint.identity()
        try:
            named = json.dumps({n: v for n, v in said.items() if v or (n == "output" and v == 0)}, sort_keys=True)
        except TypeError as error:
            raise InputError(
                f"model.arguments: {error}. Give numbers, texts, truth values, lists or tables."
            ) from error
        digest = hashlib.sha256(named.encode())
        for path in self.files(root):
            try:
                with open(path, "rb") as handle:
                    digest.update(hashlib.file_digest(handle, "sha256").digest())
            except OSError as error:
                raise InputError(f"model: {path} cannot be read: {error.strerror}. Correct its path.") from error
        return digest.hexdigest()

    def files(self, root: Path) -> tuple[Path, ...]:
        """The files that decide what the model computes, code first; none for a factory in a package.

        Raises:
            InputError: a folder or an ONNX file is not of the kind that the plan says.
        """
        code = factory_file(self.factory, root) if self.factory else None
        data = (self.weights_file, self.torchscript, self.exported)
        found = [*([code] if code else []), *(root / name for name in data if name is not None)]
        if self.bundle is not None:
            found += bundle_files(root / self.bundle)
        if self.huggingface is not None:
            found += huggingface_files(root / self.huggingface, texts=bool(self.texts))
        if self.nnunet is not None:
            found += read_trained(root / self.nnunet, self.folds, self.checkpoint).files
        if self.onnx is not None:
            found += onnx_files(root / self.onnx)
        return tuple(found)


def factory_file(factory: str, root: Path) -> Path | None:
    """The file of a factory `file.py:function`, or None if it is in a module."""
    place = factory.rpartition(":")[0]
    return root / place if place.endswith(".py") or "/" in place else None


def contradictions(said: Any) -> Iterator[tuple[str, str]]:
    """Fields of a source that exclude each other or are missing: field (empty for the whole) and sentence.

    Args:
        said: a `ModelSource`, or an object with the same fields.
    """
    given = [name for name in ORIGINS if getattr(said, name) is not None]
    if not given and said.weights is None:
        yield "", f"nothing says where the model is. Give one of {', '.join(ORIGINS)}."
    for extra in given[1:]:
        yield extra, f"{given[0]} is given already, and they exclude each other. Keep one of them."
    taking = bool({"factory", "timm"} & set(given))
    if said.arguments and not taking:
        yield "arguments", "only a factory or a network of timm takes them. Remove them, or name one."
    if said.weights is not None and given and not taking:
        yield "weights", f"{given[0]} brings its own weights. Remove one of the two."
    if said.timm is not None and said.weights is None:
        yield "timm", 'without weights the network is not trained. Give weights = "weights.safetensors".'
    if said.weights == IN_FACTORY and said.factory is None:
        yield "weights", f'"{IN_FACTORY}" is for a factory, and none is named. Name the file of the weights.'
    if said.weights_entry is not None and said.weights in (None, IN_FACTORY):
        yield "weights_entry", "it belongs to a file of weights, and none is named. Remove it, or give weights."
    yield from _nnunet_contradictions(said)
    if said.onnx_gradients and said.onnx is None:
        yield "onnx_gradients", "it belongs to an ONNX file, and none is named. Remove it, or give onnx."
    yield from ((f"inputs.{name}", text) for name, text in faults(said.inputs))
    if said.texts and given[:1] != ["huggingface"]:
        yield "texts", "they belong to a CLIP or SigLIP model of huggingface. Remove them, or name its folder."
    if said.inputs and given[:1] in (["endpoint"], ["onnx"]):
        what = "a service" if given[0] == "endpoint" else "an ONNX file"
        yield "inputs", f"{what} is given the image alone. Remove it, or name the model by factory or torchscript."
    if said.output is not None and given[:1] == ["endpoint"]:
        yield "output", "model.endpoint.scores already says where the scores of a service are. Remove it."
    if said.output is not None and given[:1] == ["huggingface"]:
        yield "output", "the logits of such a model are read automatically. Remove it."


def _nnunet_contradictions(said: Any) -> Iterator[tuple[str, str]]:
    if said.nnunet is None:
        for name in ("folds", "checkpoint", "mirror", "step_size"):
            if getattr(said, name, None) is not None:
                yield name, "it belongs to a trained folder of nnU-Net, and none is named. Remove it, or give nnunet."
        return
    folds = () if said.folds is None else said.folds
    if said.folds is not None and (not folds or len(set(folds)) < len(folds)):
        yield "folds", "name each fold once, such as [0, 1]; leave it out for all that are there."
    if wrong := [fold for fold in folds if fold != "all" and (not isinstance(fold, int) or fold < 0)]:
        yield "folds", f'{wrong[0]!r} is not a fold. Give numbers from 0, or "all".'
    if said.checkpoint is not None and Path(said.checkpoint).name != said.checkpoint:
        yield "checkpoint", f"'{said.checkpoint}' must be a file name, such as \"checkpoint_best.pth\"."
    for name in ("output", "boxes"):
        if getattr(said, name) is not None:
            yield name, "the nnU-Net folder already describes what its network returns. Remove it."
    if said.outputs != "logits":
        yield "outputs", "an nnU-Net always returns logits. Remove it."
