"""The zip around a model, read once and strictly: torch gets what was checked, and nothing else.

Two readers of zips may read a file differently: members of one name, names that differ in case, members that overlap.
So the members are read here, checked, and packed again for torch.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from palpate.errors import InputError

ALLOW = "If you trust the file, allow it: palpate audit --allow-pickle"
"""How a user allows a model file to do more than compute."""

_LARGEST_PACKED = 256 * 1024 * 1024
"""Most bytes of compressed members after unpacking: torch compresses only text."""


def members_of(path: Path, field: str) -> dict[str, bytes]:
    """The members of a model's zip by name, in their order, without their common folder.

    Args:
        path: the file.
        field: the field of the plan, for messages: `model.exported`.

    Raises:
        InputError: it is damaged, or has members that torch does not write.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check(path, field, entries)
            names = _plain([entry.filename for entry in entries])
            return {name: archive.read(entry) for name, entry in zip(names, entries, strict=True)}
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"{field}: {path} is damaged. Copy or save it again.") from error
    except OSError as error:
        raise InputError(f"{field}: {path} cannot be read: {error.strerror}. Give a readable file.") from error


def packed(members: Mapping[str, bytes], folder: str = "archive") -> io.BytesIO:
    """A zip of members, uncompressed, in one folder; with an empty name in no folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(f"{folder}/{name}" if folder else name, data)
    buffer.seek(0)
    return buffer


def _check(path: Path, field: str, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    folded = [name.casefold() for name in names]
    odd = [name for name in names if "\\" in name or not name.isprintable() or _leaves(name)]
    twice = [name for name in names if folded.count(name.casefold()) > 1] if len(set(folded)) < len(folded) else []
    if odd or twice:
        what = f"the name {odd[0][:60]!r}" if odd else f"two members of the name {twice[0][:60]!r}"
        raise InputError(f"{field}: {path} contains {what}, which torch never writes. Save the model again.")
    unpacked = sum(entry.file_size for entry in entries if entry.compress_type != zipfile.ZIP_STORED)
    stored = sum(entry.file_size for entry in entries if entry.compress_type == zipfile.ZIP_STORED)
    if unpacked > _LARGEST_PACKED or stored > path.stat().st_size:
        raise InputError(f"{field}: {path} unpacks to far more bytes than files of torch do. Save it again.")


def _leaves(name: str) -> bool:
    return name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/"))


def _plain(names: list[str]) -> list[str]:
    """Without the common folder, if there is one."""
    folders = {name.partition("/")[0] if "/" in name else "" for name in names}
    if len(folders) == 1 and "" not in folders:
        return [name.partition("/")[2] for name in names]
    return names
