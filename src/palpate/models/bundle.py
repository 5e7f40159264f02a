"""MONAI bundle folders: the network of the inference configuration, without running code from the folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from palpate.errors import InputError
from palpate.models.bundles.expressions import POSITIONAL, CodeError, plain_value
from palpate.models.bundles.reading import config_file, entry_at, has_config, plain_entries, read_config, references
from palpate.models.bundles.targets import maker_of, named_arguments, safe_arguments, why_not
from palpate.models.detectors.monai import MonaiRetinaNet
from palpate.models.stored.archives import ALLOW

_WEIGHTS = ("model.pt", "model.safetensors", "model.pth")
_NETWORKS = ("network_def", "network", "net")
_DETECTOR = "detector"
"""The entry of a `RetinaNetDetector`: its anchors are part of what the network means."""
_PADDINGS = ("reflect", "replicate", "circular")
_MISSING = re.compile(r"(?<=No module named ')\w+|\w+(?= is not installed)")
_PLAIN_KEYS = ("_target_", "_desc_", POSITIONAL)


def is_bundle(folder: Path) -> bool:
    """Whether a folder looks like a bundle."""
    return has_config(folder)


def bundle_files(folder: Path) -> tuple[Path, ...]:
    """The files of a bundle that decide what its network computes.

    Raises:
        InputError: the folder is not a bundle.
    """
    models = [folder / "models" / name for name in (*_WEIGHTS, "model.ts")]
    return (config_file(folder), *(path for path in models if path.is_file()))


def network_of(folder: Path, *, allow_code: bool = False) -> nn.Module | None:
    """The network that a bundle's inference configuration defines, without its weights.

    Only that entry, and the entries that it refers to by "@", are used. Such a configuration can run any code: by
    `$` expressions and by naming any function as `_target_`. Here a target must be a class of networks of MONAI or of
    torch.nn, and an expression a plain value (`palpate.models.bundles.expressions`); nothing is downloaded, because
    `pretrained` is always turned off. A `RetinaNetDetector` in 2D is read with its anchors.

    Args:
        folder: the bundle.
        allow_code: allow what MONAI allows. The configuration can then run any code on this machine.

    Returns:
        The network; None if the configuration needs code that is not allowed and the bundle has TorchScript.

    Raises:
        InputError: there is no such entry, it cannot be built, or it needs code and that is not allowed.
    """
    path = config_file(folder)
    config = read_config(path)
    name = _entry_of(config)
    if name is None:
        if (folder / "models" / "model.ts").is_file():
            return None
        raise InputError(f"model.bundle: {path} has no network_def. Give a bundle whose inference defines its network.")
    if not allow_code:
        try:
            config = _closure(config, name, path)
        except InputError:
            if (folder / "models" / "model.ts").is_file():
                return None
            raise
    return _built(config, name, path, folder, allow_code)


def _entry_of(config: Mapping[str, Any]) -> str | None:
    """The entry of the network, or of the detector around it."""
    detector = config.get(_DETECTOR)
    if isinstance(detector, Mapping) and str(detector.get("_target_")).endswith("RetinaNetDetector"):
        return _DETECTOR
    known = [name for name in _NETWORKS if name in config]
    tables = [name for name in known if isinstance(config[name], Mapping) and config[name]]
    # vista3d writes its network as an expression.
    return next(iter([*tables, *(name for name in known if str(config[name]).startswith("$"))]), None)


def weighted(network: nn.Module) -> nn.Module:
    """The part of a bundle's network whose weights `models/model.pt` holds."""
    inner = network.detector.network if isinstance(network, MonaiRetinaNet) else network
    assert isinstance(inner, nn.Module)
    return inner


def weights_of(folder: Path) -> Path:
    """The file of a bundle's weights; raises InputError if there is none."""
    found = next((folder / "models" / name for name in _WEIGHTS if (folder / "models" / name).is_file()), None)
    if found is None:
        raise InputError(f"model.bundle: {folder / 'models'} has none of {', '.join(_WEIGHTS)}. Download the weights.")
    return found


# -- the configuration ---------------------------------------------------------------------------------------------


def _closure(config: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """The entry and those that it refers to, checked: plain values, and classes of networks."""
    kept: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        key = waiting.pop()
        if key in kept:
            continue
        if key not in config:
            raise InputError(f'model.bundle: {path}: "@{key}" refers to nothing. Correct the configuration.')
        kept[key] = _checked(config, config[key], key, path)
        waiting += references(kept[key])
    return kept


def _checked(config: Mapping[str, Any], value: Any, place: str, path: Path) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return _checked_part(config, value, place, path)
        return {key: _checked(config, entry, f"{place}.{key}", path) for key, entry in value.items()}
    if isinstance(value, list):
        return [_checked(config, entry, f"{place}[{index}]", path) for index, entry in enumerate(value)]
    if isinstance(value, str) and value.startswith("%"):
        raise _needs_code(path, place, f'"{value[:60]}" is a macro')
    if isinstance(value, str) and value.startswith("$"):
        try:
            found = plain_value(value[1:], lambda name: plain_entries(config, entry_at(config, name)))
        except CodeError as error:
            raise _needs_code(path, place, f'"{value[:60]}" is an expression') from error
        return _checked(config, found, place, path)
    return value


def _checked_part(config: Mapping[str, Any], part: Mapping[str, Any], place: str, path: Path) -> dict[str, Any]:
    other = [key for key in part if key.startswith("_") and key.endswith("_") and key not in _PLAIN_KEYS]
    if other:
        raise _needs_code(path, place, f"{other[0]} changes how it is made")
    target = part["_target_"]
    maker, full = maker_of(target) if isinstance(target, str) else (None, "")
    if maker is None:
        raise _needs_code(path, place, why_not(target))
    given = {key: value for key, value in part.items() if key not in _PLAIN_KEYS}
    try:
        named = named_arguments(maker, part.get(POSITIONAL, []), given)
    except TypeError as error:
        raise InputError(f"model.bundle: {path}: {place} cannot be built ({error}).") from error
    named = safe_arguments(maker, named)
    return {"_target_": full, **{k: _checked(config, value, f"{place}.{k}", path) for k, value in named.items()}}


def _needs_code(path: Path, place: str, what: str) -> InputError:
    return InputError(
        f"model.bundle: {path}: {place}: {what}, so that loading the bundle could run any code. Write plain values "
        f"there, or export the model (models/model.ts). {ALLOW}."
    )


def _built(config: dict[str, Any], name: str, path: Path, folder: Path, allow_code: bool) -> nn.Module:
    from monai.bundle.config_parser import ConfigParser

    if allow_code:
        # The names that MONAI's own loader provides.
        config = {**config, "bundle_root": str(folder)}
    try:
        made = ConfigParser(config, globals=None if allow_code else False).get_parsed_content(name)
    except Exception as error:  # a wrong argument, a missing entry, or anything that the configuration's code does
        raise _not_built(path, name, error) from error
    if not isinstance(made, nn.Module):
        raise InputError(f"model.bundle: {path}: {name} is {type(made).__name__}, not a network.")
    return MonaiRetinaNet(made) if name == _DETECTOR else made


def _not_built(path: Path, name: str, error: Exception) -> InputError:
    root = error.__cause__ or error
    what = " ".join(str(root).split())[:300]
    if package := _MISSING.search(what):
        return InputError(
            f"model.bundle: {path}: {name} needs the package {package[0]}, which is not installed. Install it, or "
            "export the model (models/model.ts)."
        )
    return InputError(
        f"model.bundle: {path}: {name} cannot be built ({type(root).__name__}: {what}). Was it written for another "
        "release of MONAI?"
    )


# -- what it says about its network --------------------------------------------------------------------------------


@dataclass(frozen=True)
class BundleFacts:
    """What a bundle says about its network, for people to compare with their plan; None if it says nothing.

    Attributes:
        channels: channels of the input.
        size: spatial size that the metadata name; entries that are not plain numbers are left out.
        values: lowest and highest value of the input.
        classes: names of the output's channels, in order.
        window: size of the sliding window of the inferer.
        overlap: its overlap.
        mode: how windows are blended.
        padding: how inputs that are smaller than the window are padded, if not with zeros.
        modality: of the input, as the metadata write it, such as `CT`; empty if they do not.
    """

    channels: int | None = None
    size: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    classes: tuple[str, ...] = ()
    window: tuple[int, ...] | None = None
    overlap: float | None = None
    mode: str | None = None
    padding: str | None = None
    modality: str = ""


def bundle_facts(folder: Path) -> BundleFacts:
    """What a bundle's metadata and inference configuration say, read as plain values; other values are left out.

    Raises:
        InputError: the folder is not a bundle.
    """
    config = read_config(config_file(folder))
    file = folder / "configs" / "metadata.json"
    described = read_config(file) if file.is_file() else {}
    formats = _table(_table(described, "network_data_format"), "inputs")
    image = _table(formats, "image") or next((value for value in formats.values() if isinstance(value, Mapping)), {})
    outputs = _table(_table(described, "network_data_format"), "outputs")
    predicted = _table(outputs, "pred") or next((value for value in outputs.values() if isinstance(value, Mapping)), {})
    names = _table(predicted, "channel_def")
    inferer = {key: _plainly(config, value) for key, value in _table(config, "inferer").items()}
    if not str(inferer.get("_target_")).endswith(("SlidingWindowInferer", "SlidingWindowInfererAdapt")):
        inferer = {}
    overlap, mode, padding = (inferer.get(key) for key in ("overlap", "mode", "padding_mode"))
    return BundleFacts(
        channels=image["num_channels"] if isinstance(image.get("num_channels"), int) else None,
        size=_whole(image.get("spatial_shape")),
        values=_pair(image.get("value_range")),
        classes=tuple(str(names[key]) for key in sorted(names, key=_order)),
        window=_whole(inferer.get("roi_size")),
        overlap=float(overlap) if isinstance(overlap, (int, float)) else 0.25 if inferer else None,
        mode=(mode if isinstance(mode, str) else "constant") if inferer else None,
        padding=padding if padding in _PADDINGS else None,
        modality=image["modality"] if isinstance(image.get("modality"), str) else "",
    )


def _plainly(config: Mapping[str, Any], value: Any) -> Any:
    """A value with its references read; None where it needs code."""
    try:
        return plain_entries(config, value)
    except CodeError:
        return None


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _whole(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, list) and value and all(isinstance(entry, int) and entry > 0 for entry in value):
        return tuple(value)
    return None


def _pair(value: Any) -> tuple[float, float] | None:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(entry, (int, float)) for entry in value):
        return float(value[0]), float(value[1])
    return None


def _order(key: str) -> tuple[bool, int, str]:
    return (True, int(key), "") if str(key).isdecimal() else (False, 0, str(key))
