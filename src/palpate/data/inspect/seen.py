"""What a few of many images are, by their headers: for a first plan after the inspection of a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from palpate.data.formats.forms import Form
from palpate.data.formats.orientation import UPRIGHT
from palpate.data.formats.registry import format_of, header_of
from palpate.data.formats.scan import Header
from palpate.errors import InputError

_MOST_SERIES = 8


class UnreadError(InputError):
    """An image set was recognised and cannot be read: its reason is shown, and no worse guess is made instead."""


class OtherKindError(UnreadError):
    """A file or folder is not of the kind that a reader expects: shown only if there is no other message."""


def broken(refused: Sequence[UnreadError]) -> list[UnreadError]:
    """The refusals of image sets that were recognised, each text once."""
    texts = {str(error): error for error in refused if not isinstance(error, OtherKindError)}
    return list(texts.values())


def reasons(refused: Sequence[UnreadError], most: int = 6) -> list[str]:
    """Why nothing could be read: for image sets that were recognised, or otherwise for everything that was checked."""
    texts = list(dict.fromkeys(str(error) for error in broken(refused) or refused))
    more = len(texts) - most
    return [*texts[:most], *([f"{more} more were checked."] if more > 0 else [])]


@contextmanager
def reading() -> Iterator[None]:
    """Turn an error on the files of a recognised image set into an `UnreadError`."""
    try:
        yield
    except InputError as error:
        raise UnreadError(str(error)) from error


@dataclass(frozen=True)
class Seen:
    """A few images that were inspected.

    Attributes:
        first: the first of them, a file or the folder of a series.
        header: its header.
        equal: whether all have its shape and type.
        channels: numbers of channels and how many images have them, fewest channels first.
        paths: all of them.
        alike: whether all have its unit and the value of its stored step.
        dicom: whether all are DICOM, which identifies patients.
        turned: how many of them have a tag that turns them when they are shown (EXIF).
    """

    first: Path
    header: Header
    equal: bool
    alike: bool
    dicom: bool
    channels: tuple[tuple[int, int], ...] = ()
    paths: tuple[Path, ...] = ()
    turned: int = 0

    @property
    def form(self) -> Form:
        """Shape and type of the first image."""
        return self.header.form

    def reach(self, *, every: bool = False) -> tuple[float, float]:
        """Lowest and highest finite value of the first image, or of all; their pixels are read.

        Raises:
            InputError: pixels cannot be read, or none of them is finite.
        """
        reaches = [_reach(path) for path in (self.paths if every else (self.first,))]
        return min(low for low, _ in reaches), max(high for _, high in reaches)

    def holding_nan(self) -> int:
        """How many of the inspected images have NaN; raises InputError if pixels cannot be read."""
        floating = [path for path in self.paths if header_of(path).lattice is None]
        return sum(bool(np.isnan(format_of(path).read(path).stored).any()) for path in floating)


def _reach(path: Path) -> tuple[float, float]:
    values = format_of(path).read(path).values
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise InputError(f"{path}: it has no finite value. Take it out.")
    return float(finite.min()), float(finite.max())


def look_at(paths: Sequence[Path]) -> Seen:
    """The headers of some images; raises UnreadError if one cannot be read."""
    if paths[0].is_dir():  # a series has a header for each of its slices
        paths = paths[:: -(-len(paths) // _MOST_SERIES)]
    with reading():
        headers = [header_of(path) for path in paths]
    first = headers[0]
    return Seen(
        paths[0],
        first,
        equal=len({header.form for header in headers}) == 1,
        alike=len({(header.unit, header.step) for header in headers}) == 1,
        dicom=all(header.format.startswith("DICOM") for header in headers),
        channels=tuple(sorted(Counter(header.form.shape[0] for header in headers).items())),
        paths=tuple(paths),
        turned=sum(header.orientation != UPRIGHT for header in headers),
    )
