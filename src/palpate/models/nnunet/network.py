"""The networks of a trained nnU-Net folder: the class that its plan names, with the weights of each fold."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palpate.errors import InputError
from palpate.models.fit import fit
from palpate.models.nnunet.folder import Trained
from palpate.models.stored.states import read_checkpoint

PACKAGE = "dynamic_network_architectures"
INSTALL = "pip install --no-deps dynamic-network-architectures==0.4.4"
"""Without dependencies: U-Nets need none, and timm would bring a torchvision that may not fit the torch here."""
WEIGHTS = "network_weights"
"""Entry of a checkpoint with the weights."""
_CLASSES = ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet")
_BLOCKS = ("BasicBlockD", "BottleneckD")


class Folds(nn.Module):
    """The networks of some folds. nnU-Net averages their logits after each has seen the whole image."""

    def __init__(self, networks: list[nn.Module]):
        super().__init__()
        self.folds = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """The mean of the logits (B, K, *patch) of one window."""
        logits: Tensor = sum(network(images) for network in self.folds)
        return logits / len(self.folds)


@dataclass(frozen=True)
class Told:
    """What checkpoints say besides their weights.

    Attributes:
        configuration: which configuration of the plan was trained.
        mirrors: axes that may be mirrored.
    """

    configuration: str
    mirrors: tuple[int, ...]


def load_folds(trained: Trained, *, allow_pickle: bool = False) -> tuple[Folds, list[str]]:
    """The networks with their weights, and notes for the report.

    Raises:
        InputError: the package of the networks is missing, the plan names another class, or weights do not fit.
    """
    networks, notes = [], []
    told = None
    for path in trained.files[2:]:
        held = read_fold(path, allow_pickle=allow_pickle)
        told = told or _told(path, held)
        network = _built(trained, told.configuration)
        notes += fit(network, held[WEIGHTS], path)
        networks.append(network)
    return Folds(networks), list(dict.fromkeys(notes))


def told_by(trained: Trained, *, allow_pickle: bool = False) -> Told:
    """What the first fold's checkpoint says, as nnU-Net reads it."""
    path = trained.files[2]
    return _told(path, read_fold(path, allow_pickle=allow_pickle, mapped=True))


def read_fold(path: Path, *, allow_pickle: bool = False, mapped: bool = False) -> Mapping[str, Any]:
    """All that a fold's checkpoint holds; as `read_checkpoint`.

    Raises:
        InputError: it cannot be read, or is none of nnU-Net v2.
    """
    held = read_checkpoint(path, allow_pickle=allow_pickle, mapped=mapped)
    weights = held.get(WEIGHTS) if isinstance(held, Mapping) else None
    if not isinstance(held, Mapping) or not isinstance(weights, Mapping):
        raise InputError(f"model.nnunet: {path} has no '{WEIGHTS}'. Give a checkpoint of nnU-Net v2.")
    return held


def _told(path: Path, held: Mapping[str, Any]) -> Told:
    arguments = held.get("init_args")
    name = arguments.get("configuration") if isinstance(arguments, Mapping) else None
    mirrors = held.get("inference_allowed_mirroring_axes")
    if not isinstance(name, str):
        raise InputError(f"model.nnunet: {path} does not say which configuration was trained. Is it of nnU-Net v2?")
    if mirrors is not None and not all(isinstance(axis, int) and 0 <= axis <= 2 for axis in mirrors):
        raise InputError(f"model.nnunet: {path} mirrors along {mirrors!r}, which are not axes. Save it again.")
    return Told(name, tuple(mirrors or ()))


def _built(trained: Trained, configuration: str) -> nn.Module:
    """The network of a configuration with random weights."""
    path = trained.folder / "plans.json"
    name, arguments = _architecture(trained.configuration(configuration), path)
    kind = _network_class(name, path)
    try:
        with torch.random.fork_rng(devices=[]):
            return kind(
                input_channels=len(trained.channels),
                num_classes=trained.heads,
                **{**arguments, "deep_supervision": False},
            )
    except Exception as error:  # a network's own code may raise anything for wrong arguments
        what = " ".join(str(error).split())[:200]
        raise InputError(
            f"model.nnunet: {path}: {name} cannot be built ({type(error).__name__}: {what}). Was it planned for "
            f"another version of {PACKAGE}?"
        ) from error


def _architecture(configuration: Mapping[str, Any], path: Path) -> tuple[str, dict[str, Any]]:
    """Class and arguments of the network; plans of the first releases of v2 say them in other words."""
    held = configuration.get("architecture")
    if isinstance(held, Mapping):
        arguments = dict(held.get("arch_kwargs", {}))
        for key in held.get("_kw_requires_import", ()):
            arguments[key] = _part(arguments.get(key), key, path)
        return str(held.get("network_class_name")), arguments
    try:
        return _older(configuration)
    except KeyError as error:
        raise InputError(f"model.nnunet: {path} says nothing of its network ({error}). Plan it again.") from error


def _older(configuration: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    name, stages = str(configuration["UNet_class_name"]), configuration["n_conv_per_stage_encoder"]
    first, most = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
    flat = len(configuration["patch_size"]) == len(("height", "width"))
    return f"{PACKAGE}.architectures.unet.{name}", {
        "n_stages": len(stages),
        "features_per_stage": [min(first * 2**stage, most) for stage in range(len(stages))],
        "conv_op": nn.Conv2d if flat else nn.Conv3d,
        "kernel_sizes": configuration["conv_kernel_sizes"],
        "strides": configuration["pool_op_kernel_sizes"],
        "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage": stages,
        "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
        "conv_bias": True,
        "norm_op": nn.InstanceNorm2d if flat else nn.InstanceNorm3d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
    }


def _network_class(name: str, path: Path) -> type[nn.Module]:
    """A U-Net by its name: a plan must not name anything else that could run."""
    short = name.rpartition(".")[2]
    if not name.startswith(f"{PACKAGE}.") or short not in _CLASSES:
        raise InputError(
            f"model.nnunet: {path} names the network {name[:80]}, and palpate builds {', '.join(_CLASSES)} of "
            f"{PACKAGE}. Give another model, or its network by factory and weights."
        )
    kind: type[nn.Module] = getattr(_module("architectures.unet"), short)
    return kind


def _part(name: Any, key: str, path: Path) -> Any:
    """A layer of torch.nn, or a block of a residual U-Net, by its name."""
    if name is None:
        return None
    home, _, short = str(name).rpartition(".")
    if short in _BLOCKS and home.startswith(f"{PACKAGE}."):
        return getattr(_module("building_blocks.residual"), short)
    found = getattr(nn, short, None) if home == "torch.nn" or home.startswith("torch.nn.modules") else None
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise InputError(f"model.nnunet: {path} names {key} = {str(name)[:80]}, which is not a layer of torch.nn.")
    return found


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"{PACKAGE}.{name}")
    except ImportError as error:
        raise InputError(f"model.nnunet: its network needs a package ({error}). Install it: {INSTALL}") from error
