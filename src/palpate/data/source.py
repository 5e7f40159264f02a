"""Where the pixels of cases lie: files under a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from palpate.data.cases import Case
from palpate.data.forms import Array, Form
from palpate.data.images import read_form, read_image
from palpate.data.volumes import is_volume, read_volume, read_volume_header
from palpate.errors import InputError


class Source(Protocol):
    """Where the pixels of the cases lie."""

    def read(self, case: Case) -> Array:
        """Pixels (C, *spatial) in stored values, free to be written to."""

    def form(self, case: Case) -> Form:
        """Shape and stored type, without reading the pixels."""

    def content(self, case: Case) -> bytes:
        """Bytes that change whenever the pixels do."""


@dataclass(frozen=True)
class Folder:
    """Image files, and volumes (`.nii`, `.nii.gz`), under a folder; a case's name is its path from there."""

    root: Path

    def read(self, case: Case) -> Array:
        """Pixels (C, H, W) in stored values; of a volume (1, D0, D1, D2) float32."""
        path = self.root / case.name
        return read_volume(path).array if is_volume(path) else read_image(path)

    def form(self, case: Case) -> Form:
        """Shape and stored type from the file's header."""
        path = self.root / case.name
        return Form((1, *read_volume_header(path).shape), "float32") if is_volume(path) else read_form(path)

    def content(self, case: Case) -> bytes:
        """The file as it is: cheaper than its pixels, and equal files have equal pixels."""
        try:
            return (self.root / case.name).read_bytes()
        except OSError as error:
            raise InputError(f"{self.root / case.name} cannot be read: {error.strerror}. Put the file back.") from error
