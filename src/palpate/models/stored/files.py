"""What a model file is, by its bytes: nothing is unpickled, imported or run.

A torch file is a zip (or an older format) around a pickle, and a pickle can run code when it is loaded. Here only
the names that a pickle would import are read from its opcodes. That is a description for the user; `weights_only`
decides what may be loaded, never this.
"""

from __future__ import annotations

import json
import pickletools
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from palpate.errors import InputError

Kind = Literal["safetensors", "weights", "pickle", "torchscript", "exported", "unknown"]

_MAX_HEADER = 100_000_000
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_HARMLESS = ("torch._utils _rebuild_tensor", "torch._utils _rebuild_parameter", "collections OrderedDict", "torch Size")


@dataclass(frozen=True)
class ModelFile:
    """A file with a model or a part of one.

    Attributes:
        path: the file.
        kind: `weights` is a torch file with tensors only, `pickle` one that would import the names in `imports`.
        imports: what a pickle would import in addition to tensors, as `module name`.
    """

    path: Path
    kind: Kind
    imports: tuple[str, ...] = ()


def identify(path: Path) -> ModelFile:
    """What a file is, by its content.

    Raises:
        InputError: the file does not exist or cannot be read.
    """
    try:
        with open(path, "rb") as handle:
            head = handle.read(16)
            if head.startswith(b"PK"):
                return _identify_zip(path)
            if _is_safetensors(path, head, handle):
                return ModelFile(path, "safetensors")
            if head.startswith(b"\x80"):
                handle.seek(0)
                return _by_imports(path, _imports(handle, skipped=3 if head.startswith(_OLD_TORCH) else 0))
    except FileNotFoundError as error:
        raise InputError(f"model: {path} does not exist. {_neighbours(path)}") from error
    except OSError as error:
        raise InputError(f"model: {path} cannot be read: {error.strerror}. Give a readable file.") from error
    return ModelFile(path, "unknown")


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}."
    others = sorted(other.name for other in path.parent.iterdir() if other.suffix == path.suffix)[:5]
    return f"Its folder contains {', '.join(others)}." if others else "Correct its path."


def _is_safetensors(path: Path, head: bytes, handle: IO[bytes]) -> bool:
    length = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{" or not 2 <= length <= min(_MAX_HEADER, path.stat().st_size - 8):
        return False
    handle.seek(8)
    try:
        return isinstance(json.loads(handle.read(length)), dict)
    except (ValueError, RecursionError):  # nested a thousand times; no library writes this
        return False


def _identify_zip(path: Path) -> ModelFile:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            # All members are in one folder of any name; only files of the first exporters have none.
            inner = {name.partition("/")[2] for name in members} | set(members)
            if "archive_format" in inner or "serialized_exported_program.json" in inner:
                return ModelFile(path, "exported")
            if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
                return ModelFile(path, "torchscript")
            data = next((name for name in members if name.partition("/")[2] == "data.pkl"), None)
            if data is None:
                return ModelFile(path, "unknown")
            with archive.open(data) as handle:
                return _by_imports(path, _imports(handle))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError):
        return ModelFile(path, "unknown")  # damaged, encrypted, or packed in a way that torch does not use


def _by_imports(path: Path, imports: set[str]) -> ModelFile:
    others = tuple(sorted(name for name in imports if not _is_harmless(name)))
    return ModelFile(path, "pickle" if others else "weights", others)


def _is_harmless(name: str) -> bool:
    module, _, item = name.partition(" ")
    return name.startswith(_HARMLESS) or (module in ("torch", "torch.storage") and item.endswith("Storage"))


def _imports(handle: IO[bytes], skipped: int = 0) -> set[str]:
    """Names that a pickle would import; the older torch format has `skipped` pickles of no interest before it."""
    found: set[str] = set()
    texts: list[str] = []
    try:
        for part in range(skipped + 1):
            for opcode, argument, _ in pickletools.genops(handle):
                if part < skipped:
                    continue
                if opcode.name in ("GLOBAL", "INST"):
                    found.add(str(argument))
                elif opcode.name == "STACK_GLOBAL":
                    found.add(" ".join(texts[-2:]))
                elif isinstance(argument, str):
                    texts.append(argument)
    except Exception:  # a damaged pickle may fail anywhere; its loader reports that, and this only describes
        found.add("a damaged pickle")
    return found
