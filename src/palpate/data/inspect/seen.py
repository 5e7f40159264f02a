"""What a few of many images are, by their headers: for a first plan that is written from a look at a folder."""

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
    """An image set was recognised and cannot be read: its reason is shown, and no worse guess takes its place."""


class OtherKindError(UnreadError):
    """A file or folder is not of the kind that a reader looks for: shown only where nothing else is to be said."""


def broken(refused: Sequence[UnreadError]) -> list[UnreadError]:
    """The refusals of image sets that were recognised, each text once."""
    texts = {str(error): error for error in refused if not isinstance(error, OtherKindError)}
    return list(texts.values())


def reasons(refused: Sequence[UnreadError], most: int = 6) -> list[str]:
    """Why nothing could be read: of image sets that were recognised, or else of all that was looked at."""
    texts = list(dict.fromkeys(str(error) for error in broken(refused) or refused))
    more = len(texts) - most
    return [*texts[:most], *([f"{more} more were looked at."] if more > 0 else [])]


@contextmanager
def reading() -> Iterator[None]:
    """Turn what keeps files of a recognised image set from being read into an `UnreadError`."""
    try:
        yield
    except InputError as error:
        raise UnreadError(str(error)) from error


@dataclass(frozen=True)
class Seen:
    """A few images that were looked at.

    Attributes:
        first: the first of them, a file or the folder of a series.
        header: what it says of itself.
        equal: whether all have its shape and type.
        channels: how many of them have how many channels, fewest channels first.
        paths: all of them.
        alike: whether all have its unit and the value of its stored step.
        dicom: whether all are DICOM, which tells patients apart.
        turned: how many of them ask to be turned when they are shown (EXIF).
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
        """Lowest and highest finite value of the first image, or of every one, which are read for it.

        Raises:
            InputError: pixels cannot be read, or none of them is finite.
        """
        reaches = [_reach(path) for path in (self.paths if every else (self.first,))]
        return min(low for low, _ in reaches), max(high for _, high in reaches)

    def holding_nan(self) -> int:
        """How many of the images that were looked at hold NaN; raises InputError where pixels cannot be read."""
        floating = [path for path in self.paths if header_of(path).lattice is None]
        return sum(bool(np.isnan(format_of(path).read(path).stored).any()) for path in floating)


def _reach(path: Path) -> tuple[float, float]:
    values = format_of(path).read(path).values
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise InputError(f"{path}: it holds no finite value.")
    return float(finite.min()), float(finite.max())


def look_at(paths: Sequence[Path]) -> Seen:
    """The headers of some images; raises UnreadError where one cannot be read."""
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
