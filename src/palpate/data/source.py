"""Where the pixels of cases are: files under a folder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from palpate.data.cases import Case
from palpate.data.formats.forms import Array, Form
from palpate.data.formats.metaimage import data_files
from palpate.data.formats.orientation import turned, turned_header
from palpate.data.formats.registry import header_of, read_scan
from palpate.data.formats.scan import Header
from palpate.data.remote import Remote
from palpate.errors import InputError


class Source(Protocol):
    """Where the pixels of the cases are."""

    def read(self, case: Case) -> Array:
        """Pixels (C, *spatial) in stored values; they may be changed."""

    def form(self, case: Case) -> Form:
        """Shape and stored type, without reading the pixels."""

    def header(self, case: Case) -> Header:
        """What the file says about the image, without reading the pixels."""

    def content(self, case: Case) -> bytes:
        """Bytes that change whenever the pixels do."""

    def files(self, case: Case) -> tuple[Path, ...]:
        """Everything on the disk from which the image is read."""


@dataclass(frozen=True)
class Folder:
    """Image files of every format, and folders of DICOM series; a case's name is its path from `root`.

    Attributes:
        root: the folder.
        nan: value that replaces NaN in the images; None: NaN is refused.
        remote: where the files really are, if `root` is the folder of copies, which `Rows` asks for.
    """

    root: Path
    nan: float | None = field(default=None, kw_only=True)
    remote: Remote | None = field(default=None, kw_only=True, compare=False, repr=False)

    def path(self, case: Case) -> Path:
        """The path of the file, or of the folder of the series."""
        return self.root / case.path

    def paths(self, case: Case) -> tuple[Path, ...]:
        """All files of the image."""
        return (self.path(case),)

    def files(self, case: Case) -> tuple[Path, ...]:
        """The paths, and the files of a series that are links: they may lead elsewhere."""
        return tuple(file for path in self.paths(case) for file in (path, *_links(path), *data_files(path)))

    def read(self, case: Case) -> Array:
        """Values: pixels (C, H, W); of a volume (1, D0, D1, D2) float32."""
        scan = read_scan(self.path(case), self.nan)
        return turned(scan.values, scan.header.orientation) if case.upright else scan.values

    def form(self, case: Case) -> Form:
        """Shape and type of the values from the file's header."""
        return self.header(case).form

    def header(self, case: Case) -> Header:
        """What the file says about the image."""
        header = header_of(self.path(case))
        return turned_header(header) if case.upright else header

    def content(self, case: Case) -> bytes:
        """The file as it is: cheaper than its pixels, and equal files have equal pixels.

        Of a series the sorted digests of its files, which do not depend on how the files are named.
        """
        path = self.path(case)
        # The value that replaces NaN changes the pixels; without it, the bytes are those of the file.
        replacement = b"" if self.nan is None else repr(self.nan).encode()
        try:
            if path.is_dir():
                files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
                return replacement + b"".join(sorted(hashlib.sha256(file.read_bytes()).digest() for file in files))
            return replacement + b"".join(file.read_bytes() for file in (path, *data_files(path)))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}. Put the file back.") from error


def _links(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:
        return [Path(entry.path) for entry in entries if entry.is_symlink()]
