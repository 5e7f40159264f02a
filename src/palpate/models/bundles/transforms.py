"""The transforms that a bundle applies to an image before its network, in order, as plain values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palpate.errors import InputError
from palpate.models.bundles.expressions import CodeError
from palpate.models.bundles.reading import config_file, entry_at, plain_entries, read_config

__all__ = ["BundleTransform", "bundle_transforms", "deployed_transforms"]

READING = (
    *("LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "CastToType", "ToTensor"),
    *("ToDevice", "Identity"),
)
"""What palpate does itself: it reads files, as float32 with channels first."""
_LIST = re.compile(r"\$?\s*@\w+(?:\s*\+\s*@\w+)*\s*")


@dataclass(frozen=True)
class BundleTransform:
    """One transform.

    Attributes:
        name: of its class in MONAI, as written.
        kind: the same without the ending of dictionary transforms, such as `ScaleIntensityRange`.
        home: the module that is written before it, or empty.
        arguments: plain values; `keys` is left out.
        keys: what it is applied to; empty for array transforms.
        code: names of arguments that need code, which are left out.
    """

    name: str
    kind: str
    home: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    code: tuple[str, ...] = ()


def bundle_transforms(folder: Path) -> tuple[BundleTransform, ...]:
    """The transforms of the entry `preprocessing` without those that read files; none if there is no such entry.

    Raises:
        InputError: the folder is no bundle, or its list of transforms is code.
    """
    path = config_file(folder)
    config = read_config(path)
    try:
        written = list(_written(config, config.get("preprocessing")))
    except CodeError as error:
        raise InputError(f"model.bundle: {path}: preprocessing is not a plain list of transforms ({error}).") from error
    read = [_read(config, entry) for entry in written]
    return tuple(one for one in read if one is not None and one.kind not in READING)


def deployed_transforms(folder: Path) -> list[Any]:
    """The same transforms as objects of MONAI, made from plain values: what `preprocess.monai` applies.

    Raises:
        InputError: one is not MONAI's, needs code, or cannot be made.
    """
    import monai.transforms
    from monai.transforms.transform import Transform

    made = []
    for one in bundle_transforms(folder):
        where = f"preprocess.monai: {one.name} of {folder}"
        kind = getattr(monai.transforms, one.name, None)
        if not (isinstance(kind, type) and issubclass(kind, Transform)) or not f"{one.home}.".startswith(
            (".", "monai.")
        ):
            raise InputError(f"{where} is not a transform of MONAI. Write the steps in model.preprocess.")
        if one.code:
            raise InputError(f"{where} needs code for {', '.join(one.code)}. Write the steps in model.preprocess.")
        given = {**one.arguments, **({"keys": "image"} if one.keys else {})}
        try:
            made.append(kind(**given))
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            raise InputError(f"{where} cannot be made ({type(error).__name__}: {said}). Correct its entry.") from error
    return made


def _written(config: Mapping[str, Any], value: Any) -> Iterator[Mapping[str, Any]]:
    """The entries of a list, of a Compose, or of lists that are joined by "+"."""
    if isinstance(value, str) and _LIST.fullmatch(value):
        for name in re.findall(r"@(\w+)", value):
            yield from _written(config, entry_at(config, name))
    elif isinstance(value, list):
        for entry in value:
            yield from _written(config, entry)
    elif isinstance(value, Mapping) and str(value.get("_target_")).rpartition(".")[2] == "Compose":
        yield from _written(config, value.get("transforms", []))
    elif isinstance(value, Mapping) and isinstance(value.get("_target_"), str):
        yield value
    elif value is not None:
        raise CodeError(f"it holds {str(value)[:60]!r}")


def _read(config: Mapping[str, Any], entry: Mapping[str, Any]) -> BundleTransform | None:
    """A transform; None if it is turned off."""
    arguments, code = {}, []
    for key, value in entry.items():
        try:
            arguments[key] = plain_entries(config, value)
        except CodeError:
            code.append(key)
    if arguments.pop("_disabled_", False) in (True, "true", "True"):
        return None
    home, _, name = arguments.pop("_target_").rpartition(".")
    keys = arguments.pop("keys", None)
    named = tuple(keys) if isinstance(keys, list) else () if keys is None else (str(keys),)
    kept = {key: _single(value) for key, value in arguments.items() if not key.startswith("_") and key != "meta_keys"}
    kind = re.sub(r"(?<=[a-z])(d|D|Dict)$", "", name) if named or "keys" in code else name
    return BundleTransform(name, kind, home, kept, named, tuple(code))


def _single(value: Any) -> Any:
    """A value for one key: dictionary transforms may list one for each key."""
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str) else value
