"""Adversarial images as files: written in the original format, and read back with the ordinary reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from palpate.audit.subject.subject import Subject
from palpate.data.formats.forms import Array
from palpate.data.formats.orientation import UPRIGHT, turned, turned_back
from palpate.data.formats.raster import Original, Plain, Raster
from palpate.data.formats.registry import FORMATS, format_of, header_of, read_scan
from palpate.data.formats.scan import Header, Note
from palpate.errors import InputError
from palpate.storage.writing import fleeting, storing
from palpate.units import amounts

if TYPE_CHECKING:
    from palpate.audit.plan.items import Item

_PICTURES: dict[str, Raster] = {one.name: one for one in FORMATS if isinstance(one, Raster)}
"""Formats whose copies are made in memory, by the name in the header of an image."""


def storable(header: Header, image: Tensor) -> Array:
    """The stored numbers nearest to the values of one image or several, clipped to what the file can store."""
    values = image.detach().cpu().numpy().astype(np.float64)
    return header.stored(values if header.bounds is None else values.clip(*header.bounds))


def as_stored(subject: Subject, rows: Sequence[int], images: Tensor) -> Tensor:
    """Images (B, C, *spatial) rounded to stored numbers: post-processing in a hospital begins with a file."""
    low, high = subject.victim.bounds
    held = []
    headers = [subject.headers[row] for row in rows]
    # Files of one kind, as nearly always in a batch, are rounded together.
    for _, alike in groupby(range(len(rows)), key=lambda place: _map(headers[place])):
        places = list(alike)
        header, values = headers[places[0]], images[places[0] : places[-1] + 1]
        if header.lattice is not None:
            values = torch.from_numpy(header.values(storable(header, values)))
        held.append(values.to(images).clamp(low, high))
    return torch.cat(held)


def _map(header: Header) -> tuple[object, ...]:
    """What decides the stored numbers of values."""
    return header.dtype, header.lattice, header.slope, header.intercept, len(header.shape)


def note_of(subject: Subject, item: Item, row: int, eps: float, *, identifiers: bool = False) -> Note:
    """The note in a copy; equal for equal attacks on equal images, so that runs repeat byte for byte."""
    words = f"{item.attack.threat.norm} {amounts(eps, subject.scale)[0]}"
    identity = f"{item.identity} {eps!r} {subject.table.fingerprint([row])}"
    return Note(item.entry.name, words, identity, identifiers)


def write_altered(subject: Subject, row: int, image: Tensor, stem: Path, note: Note) -> Path:
    """Write one image as a copy of its row's file; the format decides the ending.

    Returns:
        The file; a folder if the original is a series, or if its channels are in separate files.

    Raises:
        InputError: the row has no separate file, or its format cannot hold the image.
        StorageError: the disk is full or does not accept the file.
    """
    sources = subject.table.paths(row)
    if not sources:
        raise InputError(f"{subject.table[row].name}: images of an archive have no separate file to write.")
    if len(sources) == 1:
        if (turn := subject.table.turn(row)) != UPRIGHT:
            image = torch.from_numpy(turned_back(image.cpu().numpy(), turn))
        return _write_copy(sources[0], image, stem, note)
    first = 0
    for number, source in enumerate(sources):
        channels = header_of(source).shape[0]
        _write_copy(source, image[first : first + channels], stem / f"{number:04d}", note)
        first += channels
    return stem


def _write_copy(source: Path, image: Tensor, stem: Path, note: Note) -> Path:
    suffix = ".nii.gz" if source.name.lower().endswith(".nii.gz") else source.suffix.lower()
    suffix = ".mha" if suffix == ".mhd" else suffix  # a copy is one file
    kind = format_of(source)
    if isinstance(kind, Plain):
        suffix = kind.suffix
    target = stem.with_name(stem.name + (suffix if kind.suffix and suffix else kind.suffix))
    target.parent.mkdir(parents=True, exist_ok=True)
    kind.write(source, storable(kind.header(source), image), target, note)
    return target


@dataclass
class Saver:
    """Saves images and reads them again.

    Pictures are written and read in memory, by the code that writes and reads their files; all other formats in a
    temporary folder.

    Attributes:
        subject: the images' files and formats.
        root: where that folder is made: in the run folder, because images, like records, must not leave it.
        refused: why images could not be saved, and how many.
    """

    subject: Subject
    root: Path
    refused: dict[str, int] = field(default_factory=dict)
    _originals: dict[int, Original | None] = field(default_factory=dict)

    def read(self, rows: Sequence[int], images: Tensor, notes: Sequence[Note]) -> Tensor:
        """Clean images (B, C, *spatial) after saving and reading; NaN if one cannot be saved.

        Pictures without loss are not written again: they have just been read from such files.
        """
        if all(self._as_read(row) for row in rows):
            return as_stored(self.subject, rows, images)
        return self.saved(rows, images, notes)

    def _as_read(self, row: int) -> bool:
        kind = _PICTURES.get(self.subject.headers[row].format)
        return kind is not None and kind.lossless and len(self.subject.table.paths(row)) == 1

    def saved(self, rows: Sequence[int], images: Tensor, notes: Sequence[Note]) -> Tensor:
        """Images (B, C, *spatial) after saving and reading; NaN if one cannot be saved."""
        # Clean and altered images of the same rows come one after the other, and share what their files say.
        self._originals = {row: known for row, known in self._originals.items() if row in rows}
        with storing(self.root):
            temporary = TemporaryDirectory(dir=self.root, prefix=".saving-", suffix=".tmp")
        with fleeting(), temporary as folder:
            read = [
                self._one(row, image, note, Path(folder)) for row, image, note in zip(rows, images, notes, strict=True)
            ]
        return torch.stack(read).to(images)

    def _one(self, row: int, image: Tensor, note: Note, folder: Path) -> Tensor:
        subject, header = self.subject, self.subject.headers[row]
        try:
            sources = subject.table.paths(row)
            if not sources:
                back = header.values(storable(header, image))
            elif (original := self._original(row, sources)) is not None:
                back = self._in_memory(row, image, note, original)
            else:
                written = write_altered(subject, row, image, folder / str(row), note)
                parts = sorted(written.iterdir()) if len(sources) > 1 else [written]
                back = np.concatenate([read_scan(part).values for part in parts])
                back = turned(back, subject.table.turn(row))
        except InputError as error:
            self.refused[str(error)] = self.refused.get(str(error), 0) + 1
            return torch.full_like(image, torch.nan)
        low, high = subject.victim.bounds
        return torch.from_numpy(back.astype(np.float32)).clamp(low, high)

    def _original(self, row: int, sources: Sequence[Path]) -> Original | None:
        """The file of a row, if it is a picture; None for all other formats, and for several files."""
        if row not in self._originals:
            kind = _PICTURES.get(self.subject.headers[row].format) if len(sources) == 1 else None
            self._originals[row] = kind.original(sources[0]) if kind is not None else None
        return self._originals[row]

    def _in_memory(self, row: int, image: Tensor, note: Note, original: Original) -> Array:
        turn = self.subject.table.turn(row)
        stored = storable(original.header, image)
        return turned(original.read_back(original.copy(turned_back(stored, turn), note)), turn)
