"""Which `_target_` of a bundle may be made: classes of networks, and the functions of MONAI that only make networks."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

__all__ = ["Maker", "maker_of", "named_arguments", "safe_arguments", "why_not"]

Maker = Callable[..., nn.Module]

_DETECTION = "monai.apps.detection"
_HOMES = (
    *("monai.networks.nets", "monai.networks.blocks", "monai.networks.layers", "torch.nn"),
    *(f"{_DETECTION}.networks.retinanet_network", f"{_DETECTION}.networks.retinanet_detector"),
    f"{_DETECTION}.utils.anchor_utils",
)
_ROOTS = ("monai.networks", "torch.nn", _DETECTION)
_FUNCTIONS = (
    *(f"monai.networks.nets.resnet{depth}" for depth in (10, 18, 34, 50, 101, 152, 200)),
    *(f"monai.networks.nets.resnet.resnet{depth}" for depth in (10, 18, 34, 50, 101, 152, 200)),
    *("monai.networks.nets.vista3d132", "monai.networks.nets.vista3d.vista3d132"),
    f"{_DETECTION}.networks.retinanet_network.resnet_fpn_feature_extractor",
)
_FILES = ("checkpoint", "weights")
"""Arguments of networks that name files or downloads; the bundle's own weights replace them."""
_WITHOUT_EFFECT = {("SwinUNETR", "img_size")}
"""Arguments of older releases of MONAI, which its own network no longer used."""


def maker_of(target: str) -> tuple[Maker | None, str]:
    """What makes a network, and its full name; None if it is anything else."""
    home, _, name = target.rpartition(".")
    for place in (home,) if home else _HOMES:
        if not any(place == root or place.startswith(f"{root}.") for root in _ROOTS):
            continue
        try:
            found: Any = getattr(importlib.import_module(place), name, None)
        except ImportError:
            continue
        full = f"{place}.{name}"
        if (isinstance(found, type) and issubclass(found, nn.Module)) or (callable(found) and full in _FUNCTIONS):
            return found, full
    return None, target


def why_not(target: object) -> str:
    """Why a target is not made, in a phrase."""
    package = str(target).partition(".")[0]
    if package == "scripts":
        return f'"{target}" is Python code of the bundle itself'
    other = "" if package in ("monai", "torch") or "." not in str(target) else f" but of the package {package}"
    return f'"{target}" is not a network class of MONAI or torch.nn{other}'


def named_arguments(maker: Maker, positional: list[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by their names; raises TypeError if the maker does not take them."""
    if not positional:
        return dict(given)
    bound = inspect.signature(maker).bind_partial(*positional, **given)
    more = [name for name, one in bound.signature.parameters.items() if one.kind is one.VAR_KEYWORD]
    named = {name: value for name, value in bound.arguments.items() if name not in more}
    return {**named, **{name: value for rest in more for name, value in bound.arguments.get(rest, {}).items()}}


def safe_arguments(maker: Maker, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with which a network opens no file and downloads nothing."""
    name = getattr(maker, "__name__", "")
    kept = {key: value for key, value in arguments.items() if (name, key) not in _WITHOUT_EFFECT}
    for key in {*kept, *inspect.signature(maker).parameters}:
        if key.startswith("pretrained"):
            # Never a download, for any default: the bundle's own weights replace them all.
            kept[key] = False if key == "pretrained" else None
        elif key in _FILES:
            kept[key] = None
    return kept
