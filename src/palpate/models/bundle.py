"""MONAI bundle folders: the network of the inference configuration, without running code from the folder."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from palpate.errors import InputError
from palpate.models.stored.archives import ALLOW

_CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
_WEIGHTS = ("model.pt", "model.safetensors", "model.pth")
_NETWORKS = ("network_def", "network", "net")
_HOMES = ("monai.networks.nets", "monai.networks.blocks", "monai.networks.layers", "torch.nn")
_PLAIN_KEYS = ("_target_", "_desc_")
_LARGEST = 10_000_000


def is_bundle(folder: Path) -> bool:
    """Whether a folder looks like a bundle."""
    return any((folder / "configs" / name).is_file() for name in _CONFIGS)


def bundle_files(folder: Path) -> tuple[Path, ...]:
    """The files of a bundle that decide what its network computes.

    Raises:
        InputError: the folder is not a bundle.
    """
    models = [folder / "models" / name for name in (*_WEIGHTS, "model.ts")]
    return (_config_file(folder), *(path for path in models if path.is_file()))


def network_of(folder: Path, *, allow_code: bool = False) -> nn.Module | None:
    """The network that a bundle's inference configuration defines, without its weights.

    Only that entry, and the entries that it refers to by "@", are used. Such a configuration can run any code: by
    `$` expressions and by naming any function as `_target_`. Here a target must be a class of networks of MONAI or of
    torch.nn, and there are no expressions; nothing is downloaded, because `pretrained` is always turned off.

    Args:
        folder: the bundle.
        allow_code: allow what MONAI allows. The configuration can then run any code on this machine.

    Returns:
        The network; None if the configuration needs code that is not allowed and the bundle has TorchScript.

    Raises:
        InputError: there is no such entry, it cannot be built, or it needs code and that is not allowed.
    """
    path = _config_file(folder)
    config = _read(path)
    name = next((name for name in _NETWORKS if isinstance(config.get(name), Mapping)), None)
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


def weights_of(folder: Path) -> Path:
    """The file of a bundle's weights; raises InputError if there is none."""
    found = next((folder / "models" / name for name in _WEIGHTS if (folder / "models" / name).is_file()), None)
    if found is None:
        raise InputError(f"model.bundle: {folder / 'models'} has none of {', '.join(_WEIGHTS)}. Download the weights.")
    return found


# -- the configuration ---------------------------------------------------------------------------------------------


def _config_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"model.bundle: {folder} is not a folder. Give the folder that contains configs/ and models/.")
    found = next((folder / "configs" / name for name in _CONFIGS if (folder / "configs" / name).is_file()), None)
    if found is None:
        raise InputError(f"model.bundle: {folder} has no configs/inference.json or .yaml. Is it a MONAI bundle?")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"model.bundle: {path} is larger than {_LARGEST} bytes. Give a configuration.")
        text = path.read_text("utf-8")
        held = json.loads(text) if path.suffix == ".json" else _yaml(path, text)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        what = " ".join(str(error).split())[:200]
        raise InputError(f"model.bundle: {path} is not {path.suffix[1:].upper()}: {what}.") from error
    except OSError as error:
        raise InputError(f"model.bundle: {path} cannot be read: {error.strerror}.") from error
    if not isinstance(held, dict):
        raise InputError(f"model.bundle: {path} contains {type(held).__name__}, and a configuration is a table.")
    return held


def _yaml(path: Path, text: str) -> object:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(f"model.bundle: {path} needs a package. Install it: pip install pyyaml.") from error
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            # A few lines of aliases of aliases can expand to more than any memory.
            raise InputError(f"model.bundle: {path} uses YAML aliases (*name). Write the values out, or use JSON.")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


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
        kept[key] = _checked(config[key], key, path)
        waiting += _references(kept[key])
    return kept


def _checked(value: Any, place: str, path: Path) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return _checked_part(value, place, path)
        return {key: _checked(entry, f"{place}.{key}", path) for key, entry in value.items()}
    if isinstance(value, list):
        return [_checked(entry, f"{place}[{index}]", path) for index, entry in enumerate(value)]
    if isinstance(value, str) and value.startswith(("$", "%")):
        raise _needs_code(path, place, f'"{value[:60]}" is {"an expression" if value[0] == "$" else "a macro"}')
    return value


def _checked_part(part: Mapping[str, Any], place: str, path: Path) -> dict[str, Any]:
    other = [key for key in part if key.startswith("_") and key.endswith("_") and key not in _PLAIN_KEYS]
    if other:
        raise _needs_code(path, place, f"{other[0]} changes how it is made")
    target = part["_target_"]
    kind, full = _network_class(target) if isinstance(target, str) else (None, "")
    if kind is None:
        raise _needs_code(path, place, f'"{target}" is not a network class of MONAI or torch.nn')
    arguments = {key: _checked(value, f"{place}.{key}", path) for key, value in part.items() if key not in _PLAIN_KEYS}
    for key in {*arguments, *inspect.signature(kind).parameters}:
        if key.startswith("pretrained"):
            # Never a download, for any default: the bundle's own weights replace them all.
            arguments[key] = False if key == "pretrained" else None
    return {"_target_": full, **arguments}


def _network_class(target: str) -> tuple[type[nn.Module] | None, str]:
    home, _, name = target.rpartition(".")
    homes = (home,) if home else _HOMES
    for place in homes:
        if not any(place == known or place.startswith(f"{known}.") for known in ("monai.networks", "torch.nn")):
            continue
        try:
            found = getattr(importlib.import_module(place), name, None)
        except ImportError:
            continue
        if isinstance(found, type) and issubclass(found, nn.Module):
            return found, f"{place}.{name}"
    return None, target


def _needs_code(path: Path, place: str, what: str) -> InputError:
    return InputError(
        f"model.bundle: {path}: {place}: {what}, so that loading the bundle could run any code. Write plain values "
        f"there, or export the model (models/model.ts). {ALLOW}."
    )


def _references(value: Any) -> Iterator[str]:
    """Top-level names of the "@" references in a value."""
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from _references(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _references(entry)
    elif isinstance(value, str) and value.startswith("@"):
        yield value[1:].replace("#", "::").split("::")[0]


def _built(config: dict[str, Any], name: str, path: Path, folder: Path, allow_code: bool) -> nn.Module:
    from monai.bundle.config_parser import ConfigParser

    if allow_code:
        # The names that MONAI's own loader provides.
        config = {**config, "bundle_root": str(folder)}
    try:
        made = ConfigParser(config, globals=None if allow_code else False).get_parsed_content(name)
    except Exception as error:  # a wrong argument, a missing entry, or anything that the configuration's code does
        root = error.__cause__ or error
        what = " ".join(str(root).split())[:300]
        raise InputError(
            f"model.bundle: {path}: {name} cannot be built ({type(root).__name__}: {what}). Was it written for another "
            "release of MONAI?"
        ) from error
    if not isinstance(made, nn.Module):
        raise InputError(f"model.bundle: {path}: {name} is {type(made).__name__}, not a network.")
    return made


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
    """

    channels: int | None = None
    size: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    classes: tuple[str, ...] = ()
    window: tuple[int, ...] | None = None
    overlap: float | None = None
    mode: str | None = None


def bundle_facts(folder: Path) -> BundleFacts:
    """What a bundle's metadata and inference configuration say, read as plain values; other values are left out.

    Raises:
        InputError: the folder is not a bundle.
    """
    config = _read(_config_file(folder))
    file = folder / "configs" / "metadata.json"
    described = _read(file) if file.is_file() else {}
    formats = _table(_table(described, "network_data_format"), "inputs")
    image = _table(formats, "image") or next((value for value in formats.values() if isinstance(value, Mapping)), {})
    outputs = _table(_table(described, "network_data_format"), "outputs")
    predicted = _table(outputs, "pred") or next((value for value in outputs.values() if isinstance(value, Mapping)), {})
    names = _table(predicted, "channel_def")
    inferer = _table(config, "inferer")
    if "SlidingWindow" not in str(inferer.get("_target_")):
        inferer = {}
    overlap, mode = inferer.get("overlap"), inferer.get("mode")
    return BundleFacts(
        channels=image["num_channels"] if isinstance(image.get("num_channels"), int) else None,
        size=_whole(image.get("spatial_shape")),
        values=_pair(image.get("value_range")),
        classes=tuple(str(names[key]) for key in sorted(names, key=_order)),
        window=_whole(inferer.get("roi_size")),
        overlap=float(overlap) if isinstance(overlap, (int, float)) else 0.25 if inferer else None,
        mode=(mode if isinstance(mode, str) else "constant") if inferer else None,
    )


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
