"""MetaImage headers: `.mha`, and `.mhd` next to a file of numbers. A list of `key = value` lines; no code is run."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from palpate.data.formats.forms import Array, require_size
from palpate.data.formats.volumes import Axes, axes_of, require_voxels
from palpate.errors import InputError

LONGEST_HEADER = 2**16
"""Number of bytes within which the header must end."""

TYPES = {
    "MET_CHAR": "int8",
    "MET_UCHAR": "uint8",
    "MET_SHORT": "int16",
    "MET_USHORT": "uint16",
    "MET_INT": "int32",
    "MET_UINT": "uint32",
    "MET_LONG": "int32",
    "MET_ULONG": "uint32",
    "MET_LONG_LONG": "int64",
    "MET_ULONG_LONG": "uint64",
    "MET_FLOAT": "float32",
    "MET_DOUBLE": "float64",
}
_LAST = "ElementDataFile"
_LINE = re.compile(r"\s*([A-Za-z]\w*)\s*=\s*(.*?)\s*")


@dataclass(frozen=True)
class MetaHeader:
    """What a header says.

    Attributes:
        path: the file.
        fields: its lines.
        axes: which axes are space, and which one has the channels.
        channels: how many numbers one voxel has, next to each other.
        dtype: type and order of bytes of the numbers.
        data: the file with the numbers.
        offset: where they begin in it; None: they are its last bytes.
        packed: whether they are compressed by zlib.
    """

    path: Path
    fields: Mapping[str, str]
    axes: Axes
    channels: int
    dtype: np.dtype[np.generic]
    data: Path
    offset: int | None
    packed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *spatial)."""
        spatial = self.axes.spatial[::-1] if self.planar else self.axes.spatial
        return (max(self.channels, self.axes.channels), *spatial)

    @property
    def planar(self) -> bool:
        """Whether it is a plane, which is stored as width by height."""
        return len(self.axes.space) == 2

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Size of a voxel in mm along each spatial axis; None if the header does not say."""
        sizes = numbers_in(self, "ElementSpacing") or numbers_in(self, "ElementSize")
        if not sizes:
            return None
        kept = tuple(abs(sizes[axis]) for axis in self.axes.space if axis < len(sizes))
        if len(kept) != len(self.axes.space) or not all(0 < size < math.inf for size in kept):
            raise InputError(
                f"{self.path}: ElementSpacing is {sizes}. Write the size of a voxel in mm along each axis."
            )
        return kept[::-1] if self.planar else kept

    def arranged(self, flat: Array) -> Array:
        """Numbers in the order of the file as (C, *spatial)."""
        parts = flat.reshape(-1, self.channels).T
        whole = np.concatenate([self.axes.arranged(part.reshape(self.axes.sizes, order="F")) for part in parts])
        return whole.swapaxes(1, 2) if self.planar else whole

    def restored(self, stored: Array) -> Array:
        """The inverse of `arranged`."""
        numbers = stored.swapaxes(1, 2) if self.planar else stored
        parts = [numbers] if self.channels == 1 else [part[None] for part in numbers]
        return np.stack([self.axes.restored(part).ravel(order="F") for part in parts], axis=1).ravel()


def is_meta(head: bytes) -> bool:
    """Whether the first bytes of a file begin a MetaImage header."""
    first = head.lstrip()[:64]
    keys = (b"ObjectType", b"NDims", b"Comment", b"ObjectSubType", b"TransformType", b"Name")
    return any(first.startswith(key) for key in keys) and b"NDims" in head and b"=" in first


def meta_header(path: Path) -> MetaHeader:
    """What the header of a file says.

    Raises:
        InputError: it is damaged or not plausible, or its numbers are in several files or outside of its folder.
    """
    fields, end = _fields(path)
    sizes = _whole(path, fields, "DimSize")
    if len(sizes) != next(iter(_whole(path, fields, "NDims")), 0) or not 2 <= len(sizes) <= 4:
        raise InputError(
            f"{path} has the axes {' x '.join(map(str, sizes))}, and palpate reads two to four. Save each volume alone."
        )
    channels = next(iter(_whole(path, fields, "ElementNumberOfChannels", "1")), 1)
    axes = axes_of(path, sizes)
    _require_size(path, axes, channels)
    data, offset = _place(path, fields, end)
    packed = _flag(path, fields, "CompressedData")
    return MetaHeader(path, fields, axes, channels, _dtype(path, fields), data, offset, packed)


def meta_numbers(header: MetaHeader) -> Array:
    """The numbers of a file in their order, unpacked only to the size in the header.

    Raises:
        InputError: the file holds more or fewer numbers.
    """
    count = math.prod(header.axes.sizes) * header.channels
    size = count * header.dtype.itemsize
    with open(header.data, "rb") as handle:
        if header.offset is None:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - size))
        else:
            handle.seek(header.offset)
        content = _unpacked(header, handle.read(), size) if header.packed else handle.read(size + 1)
    if len(content) != size:
        held = "more" if len(content) > size else f"{len(content):,}"
        raise InputError(
            f"{header.data} holds {held} bytes of numbers, and the header of {header.path.name} promises {size:,}. "
            "Copy both again from their source."
        )
    return np.frombuffer(content, header.dtype)


def numbers_in(header: MetaHeader, key: str) -> list[float]:
    """The numbers of a line; empty if it is missing or has something else."""
    try:
        return [float(word) for word in header.fields.get(key, "").split()]
    except ValueError:
        return []


def _unpacked(header: MetaHeader, packed: bytes, size: int) -> bytes:
    engine = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    content = engine.decompress(packed, size + 1)
    if len(content) <= size and not engine.eof:
        raise InputError(f"{header.data} is truncated: its compressed numbers have no end. Copy it again.")
    return content


def _fields(path: Path) -> tuple[dict[str, str], int]:
    with open(path, "rb") as handle:
        head = handle.read(LONGEST_HEADER)
    fields: dict[str, str] = {}
    place = 0
    while place < len(head):
        end = head.find(b"\n", place)
        end = len(head) if end < 0 else end
        match = _LINE.fullmatch(head[place:end].decode("latin-1"))
        place = end + 1
        if match is None:
            raise InputError(f"{path}: a line of its header is not 'key = value'. Copy it again from its source.")
        fields[match[1]] = match[2]
        if match[1] == _LAST:
            return fields, place
    raise InputError(f"{path} has no line {_LAST} in its first {LONGEST_HEADER:,} bytes. Copy it again.")


def _whole(path: Path, fields: Mapping[str, str], key: str, default: str = "") -> tuple[int, ...]:
    words = fields.get(key, default).split()
    if not words or not all(re.fullmatch(r"[0-9]{1,10}", word) for word in words):
        raise InputError(
            f"{path}: {key} is '{fields.get(key, '')[:60]}' and must be whole numbers. Correct its header."
        )
    return tuple(int(word) for word in words)


def _require_size(path: Path, axes: Axes, channels: int) -> None:
    if channels < 1 or (channels > 1 and axes.channels > 1):
        raise InputError(
            f"{path} has {channels} numbers per voxel and {' x '.join(map(str, axes.sizes))} voxels. "
            "Save each volume alone."
        )
    require_voxels(path, (*axes.sizes, channels))
    if len(axes.space) == 2:
        require_size(path, *axes.spatial[::-1])


def _flag(path: Path, fields: Mapping[str, str], key: str) -> bool:
    written = fields.get(key, "False").lower()
    if written not in ("true", "false", "1", "0"):
        raise InputError(f"{path}: {key} is '{written[:20]}' and must be True or False. Correct its header.")
    return written in ("true", "1")


def _dtype(path: Path, fields: Mapping[str, str]) -> np.dtype[np.generic]:
    if not _flag(path, {"BinaryData": "True", **fields}, "BinaryData"):
        raise InputError(f"{path} stores its numbers as text. Save it with BinaryData = True.")
    written = fields.get("ElementType", "")
    if written not in TYPES:
        raise InputError(f"{path} stores numbers of type '{written[:40]}'. Save it as one of {', '.join(TYPES)}.")
    key = "BinaryDataByteOrderMSB" if "BinaryDataByteOrderMSB" in fields else "ElementByteOrderMSB"
    return np.dtype(TYPES[written]).newbyteorder(">" if _flag(path, fields, key) else "<")


def _place(path: Path, fields: Mapping[str, str], end: int) -> tuple[Path, int | None]:
    """The file of the numbers, and where they begin in it."""
    named = fields[_LAST]
    if named.upper() == "LOCAL":
        return path, end
    if named.upper().startswith("LIST") or "%" in named:
        raise InputError(f"{path} names one file per slice ({_LAST} = {named[:20]}). Save it as one .mha file.")
    if not named or "/" in named or "\\" in named or named in (".", ".."):
        raise InputError(
            f"{path} names a file in another folder ({_LAST}). Put it next to {path.name} and correct the name."
        )
    data = path.parent / named
    if not data.is_file():
        raise InputError(f"{path} names {named} for its numbers, which does not exist. Put that file next to it.")
    skipped = fields.get("HeaderSize", "0")
    if not re.fullmatch(r"-1|[0-9]{1,10}", skipped):
        raise InputError(f"{path}: HeaderSize is '{skipped[:20]}' and must be -1 or a number of bytes. Correct it.")
    return data, None if skipped == "-1" else int(skipped)
