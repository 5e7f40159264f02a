"""The labelled or annotated images of an audit: a value that can be filtered, sampled and identified."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from palpate.data.ahead import ahead
from palpate.data.annotations.annotation import Annotation, Annotations
from palpate.data.annotations.mask_files import region_mask
from palpate.data.cases import Case
from palpate.data.formats.forms import Array, Form
from palpate.data.formats.scan import Header
from palpate.data.patients import by_patient
from palpate.data.places import Places
from palpate.data.remote import Remote
from palpate.data.source import Folder, Source
from palpate.errors import InputError
from palpate.seeds import derive

_STREAMS = 8
"""Images that are copied from behind a URL at once; twice as many are begun, which is less than what always stays."""


@dataclass(frozen=True)
class Rows:
    """Cases with their classes, and where their pixels are. Rows count from 0; images are read one by one, on demand.

    Attributes:
        cases: the images, in order; each with its class, or with class -1 if `annotations` say what it shows.
        classes: names of the classes, structures or findings, in the order of the model's outputs.
        source: reads the pixels.
        annotations: reads masks, boxes or findings; None if each image has one class.
        notes: what was left out of the data and why, one sentence each; not part of the identity.
    """

    cases: tuple[Case, ...]
    classes: tuple[str, ...]
    source: Source
    annotations: Annotations | None = None
    _digests: dict[Case, bytes] = field(default_factory=dict, init=True, repr=False, compare=False)
    _headers: dict[str, Header] = field(default_factory=dict, init=True, repr=False, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def __getitem__(self, row: int) -> Case:
        return self.cases[row]

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """True classes (N,); -1 for an image without a class."""
        return np.array([case.label for case in self.cases], dtype=np.int64)

    def counts(self) -> tuple[int, ...]:
        """Images of each class; all 0 if images have no class."""
        labels = self.labels
        return tuple(np.bincount(labels[labels >= 0], minlength=len(self.classes)).tolist())

    def annotation(self, row: int) -> Annotation:
        """Masks, boxes or findings of one row, read and checked each time; all None in a table of classes.

        Raises:
            InputError: a file cannot be read, or does not fit its image.
        """
        if self.annotations is None:
            return Annotation()
        with self._reading(row) as case:
            return self.annotations.read(case)

    def shape_of(self, row: int) -> tuple[int, ...]:
        """Shape (C, *spatial) of one row, from its header; raises InputError if it cannot be read."""
        with self._reading(row) as case:
            return self.source.form(case).shape

    def image(self, row: int) -> Array:
        """Pixels (C, H, W) of one row in stored values; of a volume (1, D0, D1, D2) float32.

        Raises:
            InputError: the image cannot be read; see `palpate.data.formats.images.read_image`.
        """
        with self._reading(row) as case:
            return self.source.read(case)

    def header(self, row: int) -> Header:
        """What the file of one row says about its image, read once; raises InputError if it cannot be read."""
        case = self.cases[row]
        if case.name not in self._headers:
            with self._reading(row):
                self._headers[case.name] = self.source.header(case)
        return self._headers[case.name]

    def scanner(self, row: int) -> str:
        """Manufacturer and model, from the table or the file; empty if neither says."""
        return self.cases[row].scanner or self.header(row).scanner

    def scanned(self) -> Self:
        """The rows with the scanner of each image in its case, from its file if the table does not say it.

        Raises:
            InputError: a file cannot be read.
        """
        if self.remote is None:
            cases = (replace(case, scanner=self.scanner(row)) for row, case in enumerate(self.cases))
            return replace(self, cases=tuple(cases))
        found = []
        for row in ahead(self.hold, range(len(self)), together=1, threads=_STREAMS):
            # Hashed now, while the copy is here, under the identity that it will have.
            with self._reading(row):
                found.append(case := replace(self.cases[row], scanner=self.scanner(row)))
                self._digests[case] = self._hashed(case)
        return replace(self, cases=tuple(found))

    def spacing(self, row: int) -> tuple[float, ...] | None:
        """Size of a pixel in mm along each spatial axis, from the plan or the file; None if neither says.

        Raises:
            InputError: the image or its annotation cannot be read.
        """
        return self.annotation(row).spacing or self.header(row).spacing

    def region(self, row: int) -> npt.NDArray[np.bool_] | None:
        """Where one image may change (*spatial), by the mask that the table names for it; None if it names none.

        Raises:
            InputError: the mask cannot be read, or does not fit its image.
        """
        if not isinstance(self.source, Folder):
            return None
        with self._reading(row) as case:
            return region_mask(self.source.root, case)

    def view(self, row: int, number: int) -> Array:
        """Pixels of a further image of one row, read as the image itself is; raises InputError if it cannot be read."""
        with self._reading(row) as case:
            return self.source.read(_seen(case, case.views[number]))

    def view_header(self, row: int, number: int) -> Header:
        """What the file of a further image says about it; raises InputError if it cannot be read."""
        with self._reading(row) as case:
            return self.source.header(_seen(case, case.views[number]))

    def paths(self, row: int) -> tuple[Path, ...]:
        """The file, the series folder, or the files of the channels of one row; none if images have no files."""
        return self.source.paths(self._here(row)) if isinstance(self.source, Folder) else ()

    def files(self, row: int) -> tuple[Path, ...]:
        """Everything from which one row is read: image, masks, region; behind a URL, where its copies would be."""
        return self._files(self.cases[row])

    def hold(self, row: int) -> int:
        """Let the files of a row that are behind a URL be copied to this disk now. Returns the row.

        Raises:
            InputError: one does not exist, cannot be read, or has changed since it was hashed.
        """
        self._here(row)
        return row

    def _here(self, row: int) -> Case:
        """The case of a row whose files are about to be read: the one place where those behind a URL are copied."""
        case, remote = self.cases[row], self.remote
        # Of a header that names a file of numbers, that file is known only when the header is here.
        if remote is not None and any([remote.hold(self._files(case)), remote.hold(self._files(case))]):
            known = self._digests.get(case)
            if known is not None and self._hashed(case) != known:
                raise InputError(f"{remote.url}/{case.path} has changed since the audit began. Put the file back.")
        return case

    @contextmanager
    def _reading(self, row: int) -> Iterator[Case]:
        """The case of a row whose files are here, and stay; errors name them by their URL."""
        case, remote = self.cases[row], self.remote
        if remote is None:
            yield case
            return
        try:
            with remote.reading(self._files(case)):
                self._here(row)
                with remote.reading(self._files(case)):
                    yield case
        except InputError as error:
            raise InputError(str(error).replace(f"{remote.folder}/", f"{remote.url}/")) from error

    @property
    def remote(self) -> Remote | None:
        """Where the files are, if they are behind a URL."""
        return self.source.remote if isinstance(self.source, Folder) else None

    def _files(self, case: Case) -> tuple[Path, ...]:
        drawn = () if self.annotations is None else self.annotations.files(case)
        region = (self.source.root / case.region,) if case.region and isinstance(self.source, Folder) else ()
        views = (path for view in case.views for path in self.source.files(_seen(case, view)))
        return (*self.source.files(case), *drawn, *region, *views)

    def turned(self) -> Self:
        """The rows, with images turned by their files' orientation; masks and boxes are drawn on these."""
        return replace(self, cases=tuple(replace(case, upright=True) for case in self.cases))

    def turn(self, row: int) -> int:
        """The orientation that turned one row, which writing must reverse; 1 if it was not turned."""
        return self.header(row).orientation if self.cases[row].upright and len(self.paths(row)) == 1 else 1

    def placed(self, places: Places) -> Self:
        """The rows, after a check that all files are in allowed folders, with names without folders of this machine.

        Raises:
            InputError: a file leads elsewhere, or two images would have one name.
        """
        if self.remote is not None:  # the plan itself names the URL that all files start from
            return self
        places.require("data", dict.fromkeys(file for row in range(len(self)) for file in self.files(row)))
        if not isinstance(self.source, Folder):
            return self
        return replace(self, cases=places.named(self.cases, self.source.root))

    def with_nan(self, value: float) -> Self:
        """The rows, with a value in place of NaN in their images.

        Raises:
            InputError: the images are in an archive.
        """
        if not isinstance(self.source, Folder):
            raise InputError("data.nan: it replaces NaN in files, and these images are in an archive. Remove it.")
        return replace(self, source=replace(self.source, nan=value), _digests={})

    def by_patient(self) -> Self:
        """The table with images of one patient as a group, read from their DICOM files; no identifier is kept.

        Raises:
            InputError: the images are not DICOM.
        """
        if not isinstance(self.source, Folder):
            raise InputError("data.group: images of an archive are not DICOM. Remove it.")
        return replace(self, cases=by_patient(map(self._here, range(len(self))), self.source))

    def form(self) -> Form:
        """The shape and stored type that all images share, from their headers.

        Raises:
            InputError: two images differ, or one cannot be read.
        """
        if not self.cases:
            raise InputError("data: the table has no images. Give at least one.")
        first = self.source.form(self._here(0))
        for row, case in enumerate(self.cases[1:], start=1):
            other = self.source.form(self._here(row))
            if other != first:
                raise InputError(
                    f"data: {self.cases[0].name} is {first.describe()}, and {case.name} is {other.describe()}; images "
                    "of one audit need one shape and bit depth. Resize or convert them, or list only equal ones."
                )
        return first

    def shape(self) -> tuple[int, ...]:
        """The shape (C, *spatial) that all images share; raises as `form`."""
        return self.form().shape

    def take(self, rows: Sequence[int]) -> Self:
        """The table of these rows, in this order."""
        return replace(self, cases=tuple(self.cases[row] for row in rows))

    def limit(self, count: int, seed: int = 0) -> Self:
        """At most `count` images, every class in proportion, in the table's order; the same for the same seed.

        The image of rank r (from 0, ranks drawn by seed and name) among the n of its class has the key r / n; those
        with the smallest keys stay (Adams' apportionment). So no class is lost if `count` is at least the number of
        classes, and a smaller limit is part of a larger one. Annotated images without a class are drawn at random.

        Raises:
            InputError: the count is below 1.
        """
        if count < 1:
            raise InputError(f"data.limit: {count} leaves no image. Give at least 1.")
        drawn = sorted(range(len(self)), key=lambda row: (derive(seed, "limit", self.cases[row].name), row))
        totals, ranks = Counter(case.label for case in self.cases), Counter[int]()
        keys: list[tuple[float, int, int]] = []
        for order, row in enumerate(drawn):
            label = self.cases[row].label
            keys.append((ranks[label] / totals[label], order, row))
            ranks[label] += 1
        return self.take(sorted(row for _, _, row in sorted(keys)[:count]))

    def fingerprint(self, rows: Sequence[int] | None = None) -> str:
        """SHA-256 over names, labels, groups, images and annotations of these rows (all by default): their identity.

        Each image is hashed once for the table and all tables made from it; several at once, in threads.

        Raises:
            InputError: an image cannot be read.
        """
        asked = range(len(self)) if rows is None else rows
        new = {self.cases[row]: row for row in asked if self.cases[row] not in self._digests}
        for case, made in zip(new, ahead(self._digest, new.values()), strict=True):
            self._digests[case] = made
        digest = hashlib.sha256()
        for row in asked:
            digest.update(self._digests[self.cases[row]])
        return digest.hexdigest()

    def _digest(self, row: int) -> bytes:
        with self._reading(row) as case:
            return self._hashed(case)

    def _hashed(self, case: Case) -> bytes:
        parts: list[object] = [case.name, case.label, case.group]
        if case.upright:
            parts += ["upright"]
        if case.site or case.scanner or case.region:  # identities from before these columns stay as they are
            parts += [case.site, case.scanner, case.region]
        if case.cells or case.views:
            parts += ["inputs", [*case.cells], [*case.views]]
        named = json.dumps(parts).encode()
        digest = hashlib.sha256(len(named).to_bytes(8, "big") + named)
        image = self.source.content(case)
        digest.update(image)
        if self.annotations is not None:  # tables of classes keep the identity that finished runs have recorded
            digest.update(len(image).to_bytes(8, "big") + self.annotations.content(case))
        if case.region and isinstance(self.source, Folder):
            digest.update(self.source.content(replace(case, file=case.region)))
        for view in case.views:
            digest.update(hashlib.sha256(self.source.content(_seen(case, view))).digest())
        return digest.digest()


def _seen(case: Case, view: str) -> Case:
    """A further image of a case, as a case of its own."""
    return replace(case, file=view, views=())
