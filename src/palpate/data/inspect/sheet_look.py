"""Inspect a CSV of masks or boxes: its column of images, and those of splits, patients, sites and scanners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from palpate.data.inspect.columns import (
    GROUP_NAMES,
    SCANNER_NAMES,
    SITE_NAMES,
    file_column,
    is_split,
    named,
    sorted_splits,
    spread,
)
from palpate.data.inspect.seen import Seen, look_at
from palpate.data.inspect.table_faults import why_no_images
from palpate.data.listing import locate
from palpate.data.sheets import read_csv

__all__ = ["SheetLook"]


class SheetLook:
    """A CSV that was read: its header and lines, and the columns of splits and patients."""

    def __init__(self, path: Path, *, numbers: Collection[str] = (), repeated: bool = False) -> None:
        """Read the CSV; `repeated` allows several lines for an image, and the columns `numbers` are not images.

        Raises:
            InputError: it is damaged, or no column of it names images.
        """
        self.path = path
        _, self.header, self.lines = read_csv(path)
        # A cell `1` finds an image 1.png too.
        named_images = [column for column in self.header if column not in numbers]
        found = file_column(path, named_images, self.lines, repeated=repeated)
        if found is None:
            raise why_no_images(path, self.header, self.lines)
        self.file, self.images = found
        values = {column: Counter(line.cells[column] for line in self.lines) for column in self.header}
        self.split = next((column for column, held in values.items() if is_split(held)), None)
        filled = [column for column, held in values.items() if "" not in held and len(held) > 1 and column != self.file]
        self.group = named(GROUP_NAMES, [column for column in filled if column != self.split])
        self.splits = sorted_splits(values[self.split]) if self.split else ()
        self.site, self.scanner = (
            named(names, [column for column in named_images if column != self.file])
            for names in (SITE_NAMES, SCANNER_NAMES)
        )
        self.values = values

    def look(self) -> Seen:
        """The headers of a few of its images; raises UnreadError if one cannot be read."""
        few = spread(self.lines)
        return look_at([self.images / name for line in few if (name := locate(self.images, line.cells[self.file]))])
