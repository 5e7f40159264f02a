"""The versions and the machine of an audit, for provenance: not part of identities, without a user or a host."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from palpate.errors import InputError

_PACKAGES = ("palpate", "torch", "monai", "numpy", "pillow", "tifffile", "pyarrow", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that figures depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def machine(device: torch.device) -> dict[str, Any]:
    """The kind of machine, the device and the threads."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "system": platform.platform(terse=True),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "processor": name,
    }


def device_of(wanted: str) -> torch.device:
    """The device that a plan names; `auto` takes a GPU if there is one.

    Raises:
        InputError: the plan names a GPU, and there is none.
    """
    present = torch.cuda.is_available()
    if wanted == "cuda" and not present:
        raise InputError('run.device: torch sees no GPU here. Use device = "auto" or "cpu".')
    return torch.device("cuda" if present and wanted != "cpu" else "cpu")


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Let cuDNN choose only algorithms that repeat their results bit for bit; its settings are restored afterwards."""
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    with cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=bool(cudnn.allow_tf32)):
        yield
