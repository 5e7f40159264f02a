"""Networks of timm with local weights; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from palpate.errors import InputError, nearest

_DOWNLOADS = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")


def build_timm(name: str, arguments: Mapping[str, object]) -> nn.Module:
    """The network of a name, with random weights; the global random state is as before.

    Args:
        name: as `timm.list_models()` has it: `resnet18`. Not a name in a hub.
        arguments: keyword arguments of `timm.create_model`, such as `num_classes` and `in_chans`.

    Raises:
        InputError: timm is missing, has no such network, or the arguments do not fit; or they request a download.
    """
    if asked := [key for key in _DOWNLOADS if arguments.get(key)]:
        raise InputError(f"model.arguments: {asked[0]} loads weights from elsewhere. Remove it, and give weights.")
    if ":" in name or "/" in name:
        raise InputError(f'model.timm: "{name}" is in a hub, and nothing is downloaded. Give a plain name and weights.')
    timm: Any = _timm()
    known = timm.list_models()
    if name.partition(".")[0] not in known:
        raise InputError(f'model.timm: timm has no network "{name}". {nearest(name, known) if known else ""}'.strip())
    settings = {key: value for key, value in arguments.items() if key not in _DOWNLOADS}
    try:
        with torch.random.fork_rng(devices=[]):
            made = timm.create_model(name, pretrained=False, **settings)
    except Exception as error:  # a network's own code may raise anything for wrong arguments
        what = " ".join(str(error).split())[:200]
        raise InputError(f"model.arguments: timm's {name} refuses them ({type(error).__name__}: {what}).") from error
    if not isinstance(made, nn.Module):
        raise InputError(f"model.timm: {name} is {type(made).__name__}, not a network.")
    return made


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise InputError(
            f"model.timm: these networks need a package ({error}). Install it: pip install 'palpate[timm]'."
        ) from error
    except (RuntimeError, AttributeError) as error:
        # A torchvision for another torch can fail in many ways at import.
        what = " ".join(str(error).split())[:150]
        raise InputError(
            f"model.timm: timm cannot be imported ({what}). Install a torchvision that fits this torch."
        ) from error
    return timm
