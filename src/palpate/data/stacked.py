"""Images whose channels are in separate files, such as the sequences of one MR examination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from palpate.data.cases import Case
from palpate.data.formats.forms import Array
from palpate.data.formats.registry import header_of, read_scan
from palpate.data.formats.scan import Header
from palpate.data.formats.volumes import is_volume, read_volume_header, same_grid
from palpate.data.source import Folder
from palpate.errors import InputError


@dataclass(frozen=True)
class Stacked(Folder):
    """Files under a folder, one or several per image; a case's name is the path of its first one.

    Attributes:
        channels: paths of the channels, in order, of each case that has several files.
    """

    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False, repr=False)

    def paths(self, case: Case) -> tuple[Path, ...]:
        """The files of one case, in the order of the channels."""
        return tuple(self.root / name for name in self.channels.get(case.path, (case.path,)))

    def read(self, case: Case) -> Array:
        """Values of all channels (C, *spatial)."""
        if case.path not in self.channels:
            return super().read(case)
        self.header(case)
        return np.concatenate([read_scan(path, self.nan).values for path in self.paths(case)])

    def header(self, case: Case) -> Header:
        """What the files say about the image; the map to values is left out if it differs between them.

        Raises:
            InputError: a file cannot be read, or has another size, type, position or spacing than the first.
        """
        if case.path not in self.channels:
            return super().header(case)
        first, *others = self.paths(case)
        header = header_of(first)
        headers = [header, *map(header_of, others)]
        for path, other in zip(others, headers[1:], strict=True):
            _check_grid(first, header, path, other)
        whole = replace(header, shape=(sum(one.shape[0] for one in headers), *header.shape[1:]))
        if any((one.lattice, one.slope, one.intercept) != (header.lattice, header.slope, header.intercept)
               for one in headers):  # fmt: skip
            whole = replace(whole, dtype=header.form.dtype, lattice=None, slope=1.0, intercept=0.0)
        return replace(whole, lossless=all(one.lossless for one in headers))

    def content(self, case: Case) -> bytes:
        """The files as they are, each with its length."""
        if case.path not in self.channels:
            return super().content(case)
        parts = [super(Stacked, self).content(replace(case, file=name)) for name in self.channels[case.path]]
        return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def _check_grid(first: Path, header: Header, path: Path, other: Header) -> None:
    if (other.shape[1:], other.form.dtype) != (header.shape[1:], header.form.dtype):
        raise InputError(
            f"{path} is {other.form.describe()}, and {first}, another channel of the same image, "
            f"{header.form.describe()}. Resample the channels to one grid, and store them with one type."
        )
    if is_volume(first) and is_volume(path):
        alike = same_grid(read_volume_header(first), read_volume_header(path))
    else:
        alike = None in (header.spacing, other.spacing) or np.allclose(header.spacing, other.spacing, rtol=0.01)  # type: ignore[arg-type]
    if not alike:
        raise InputError(
            f"{path} has another position in space than {first}, another channel of the same image. "
            "Resample the channels to one grid, or correct the header."
        )
