"""The page and everything that it asks for, by name. A server gives the files on request; a folder holds them all.

Data are scripts that call `receive`, so that the page needs no request that a browser refuses to a file on the disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from importlib.resources import files
from threading import Lock
from typing import Any

import numpy as np

from palpate.errors import InputError
from palpate.report.model.wording import Wording
from palpate.storage.frames import Frame
from palpate.view import artefacts, certificates, records, traces
from palpate.view.cache import Cache
from palpate.view.certificates import Certified
from palpate.view.changes import artefact_change, artefact_scale, record_change
from palpate.view.columns import Column
from palpate.view.details import artefact, certificate, record
from palpate.view.kept import words
from palpate.view.opened import Opened
from palpate.view.pixels import Grid
from palpate.view.records import Rows
from palpate.view.shades import COPY, SYNTHETIC, difference, grey

PAGE = "index.html"
SCRIPTS = (
    "data.js", "state.js", "table.js", "filters.js", "stage.js", "facts.js", "chart.js", "trace.js", "certificate.js",
    "keys.js", "main.js",
)  # fmt: skip
ASSETS = (PAGE, "view.css", "icon.svg", *SCRIPTS)
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "png": "image/png", "svg": "image/svg+xml"}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"
"""No other place, no script inside a page, no style inside an element."""
_NAME = re.compile(r"(data|pictures)/([a-z-]+?)((?:-\d{1,9}){0,2})\.(js|png)")
_CACHED = 1 << 27


def asset(name: str) -> bytes:
    """A file of the page itself."""
    return files("palpate.view").joinpath("assets", name).read_bytes()


def script(name: str, data: Any) -> bytes:
    """Data as a script. It is never inside a page, but it has no letters that could end one either."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"palpate.receive({json.dumps(name)},{text});\n".encode()


@dataclass(eq=False)
class Site:
    """All files of one run's page.

    Attributes:
        opened: the run.
        said: further sentences at the top of the page.
        limited: records whose pictures are there, by kind; None: all.
    """

    opened: Opened
    said: tuple[str, ...] = ()
    limited: dict[str, list[int]] | None = None
    _cache: Cache[bytes] = field(default_factory=lambda: Cache(_CACHED, len), repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def find(self, name: str) -> bytes | None:
        """The contents of a file; None if there is none of this name."""
        if name in ASSETS:
            return asset(name)
        found = _NAME.fullmatch(name)
        if found is None or (found[1] == "data") != (found[4] == "js"):
            return None
        count, make = self._makers().get(f"{found[1]}/{found[2]}", (-1, None))
        numbers = [int(one) for one in found[3].split("-")[1:]]
        if make is None or count != len(numbers):
            return None

        def made() -> bytes:
            # One after the other: several volumes in memory at once would be too many.
            with self._lock:
                return make(*numbers)

        try:
            return self._cache.get(name, made)
        except (InputError, OSError, IndexError):
            return None

    def _makers(self) -> dict[str, tuple[int, Callable[..., bytes]]]:
        """What makes a file, by its folder and kind: how many numbers its name has, and a function of these."""
        return {
            "data/run": (0, lambda: script("run", self.index())),
            "data/record": (1, lambda n: script(f"record-{n}", self.record(n))),
            "data/artefact": (1, lambda n: script(f"artefact-{n}", self.artefact(n))),
            "data/trace": (1, lambda n: script(f"trace-{n}", self.trace(n))),
            "data/certified": (1, lambda n: script(f"certified-{n}", self.certified(n))),
            "data/certificate": (1, lambda row: script(f"certificate-{row}", self.certificate(row))),
            "data/truth": (2, lambda row, index: script(f"truth-{row}-{index}", self._truth(row, index))),
            "pictures/clean": (2, self._clean),
            "pictures/before": (2, lambda n, index: self._pictured(n, index, "clean")),
            "pictures/attacked": (2, lambda n, index: self._attacked(_checked(n, self.opened.frame), index)),
            "pictures/change": (2, lambda n, index: self._change(_checked(n, self.opened.frame), index)),
            "pictures/artefact-before": (2, lambda n, index: self._artefact(n, index, "before")),
            "pictures/artefact-after": (2, lambda n, index: self._artefact(n, index, "after")),
            "pictures/artefact-change": (2, self._artefact_change),
            **{
                f"pictures/trace-{kind}": (2, partial(traces.picture, self.opened, kind))
                for kind in (traces.IMAGE, traces.CHANGE, traces.STARTS, traces.IMAGES)
            },
        }

    def record(self, place: int) -> dict[str, Any]:
        """What is shown of a record of an attack."""
        return asdict(record(self.opened, _checked(place, self.opened.frame)))

    def artefact(self, place: int) -> dict[str, Any]:
        """What is shown of a row of an artefact."""
        return asdict(artefact(self.opened, _checked(place, self.opened.artefacts)))

    def trace(self, place: int) -> dict[str, Any]:
        """The steps of the attack of a record on its image, and its maps."""
        return traces.steps(self.opened, _checked(place, self.opened.frame))

    def certified(self, place: int) -> dict[str, Any]:
        """What is shown of a certificate: the image as stored."""
        return asdict(certificate(self.opened, int(self.certificates.frame["row"][_below(place, self._count)])))

    def certificate(self, row: int) -> list[dict[str, Any]]:
        """All certificates of an image, by sigma and radius."""
        task = self.opened.description.task
        found = certificates.image(self.certificates, row, task.classes if task.classification else [])
        if not found:
            raise InputError("It has no certificate.")
        return found

    @cached_property
    def certificates(self) -> Certified:
        """The certificates, one for each image and sigma."""
        return Certified.of(self.opened.certificates)

    @property
    def _count(self) -> int:
        return len(self.certificates.places)

    def index(self) -> dict[str, Any]:
        """What the page needs at once: what was audited, and all records as columns."""
        one = self.opened
        found = one.description
        tables = {"attacks": self._table("attacks", one.frame, self._columns())}
        if len(one.artefacts["row"]):
            kept = [1 if place in one.pictures else 0 for place in range(len(one.artefacts["row"]))]
            words_of = np.array(["not kept", "pictures"], dtype=object)[kept]
            columns = artefacts.columns(one.artefacts, found, words_of, names=one.names)
            tables["artefacts"] = self._table("artefacts", one.artefacts, columns)
        if self._count:
            columns = certificates.columns(self.certificates, found, names=one.names)
            tables["certificates"] = self._table("certificates", self.certificates.frame, columns)
        return {
            "title": found.title,
            "status": found.status,
            "palpate": found.palpate,
            "unit": one.unit,
            "kind": found.task.kind,
            "score": Wording(found.task).score,
            "parts": [] if found.task.classification else list(found.task.classes),
            "partWord": {"segmentation": "structure", "multilabel": "finding", "detection": "class of box"}.get(
                found.task.kind, ""
            ),
            "names": one.names,
            "certified": sorted({int(row) for row in self.certificates.frame["row"].tolist()}),
            "said": [text for text in (*self.said, one.few, one.originals.why) if text],
            "tables": tables,
        }

    def _columns(self) -> Iterator[Column]:
        one = self.opened
        yield from records.columns(one.frame, one.description, words(one.places), one.traced, names=one.names)
        yield from certificates.by_image(self.certificates, Rows.of(one.frame), one.description)

    def _table(self, name: str, frame: Frame, columns: Iterable[Column]) -> dict[str, Any]:
        ready = None if self.limited is None else self.limited.get(name, [])
        return {
            "count": len(frame["row"]),
            "columns": [column.packed() for column in columns] if len(frame["row"]) else [],
            "ready": ready,
        }

    def _truth(self, row: int, index: int) -> list[dict[str, Any]]:
        return list(self.opened.pixels.outlines(row, index, len(self.opened.description.task.classes)))

    def _clean(self, row: int, index: int) -> bytes:
        values = self.opened.pixels.clean(row)
        grid = Grid.of(values.shape[1:], self._spacing(row))
        return grey(grid.plane(values, _below(index, grid.count)), self.opened.pixels.window(row, values), COPY)

    def _spacing(self, row: int) -> list[float]:
        places = np.flatnonzero(self.opened.frame["row"] == row)
        if not len(places):
            return list(self.opened.pixels.spacing(row))
        return list(self.opened.frame["spacing"][int(places[0])].tolist())

    def _attacked(self, place: int, index: int) -> bytes:
        row, (file, _) = int(self.opened.frame["row"][place]), self.opened.places[place]
        if file is None:
            return self._pictured(place, index, "adversarial")
        values = self.opened.pixels.attacked(row, file)
        try:
            clean = self.opened.pixels.clean(row)
        except InputError:
            clean = values
        grid = Grid.of(values.shape[1:], self._spacing(row))
        return grey(grid.plane(values, _below(index, grid.count)), self.opened.pixels.window(row, clean), SYNTHETIC)

    def _pictured(self, place: int, index: int, kind: str) -> bytes:
        _, pictured = self.opened.places[_checked(place, self.opened.frame)]
        for one in pictured.slices if pictured is not None else []:
            if one.index == index:
                return self.opened.pixels.picture(getattr(one, kind))
        raise InputError("The run did not keep it.")

    def _change(self, place: int, index: int) -> bytes:
        return difference(record_change(self.opened, place, index), float(self.opened.frame["linf"][place]))

    def _artefact_change(self, place: int, index: int) -> bytes:
        return difference(artefact_change(self.opened, place, index), artefact_scale(self.opened, place))

    def _artefact(self, place: int, index: int, kind: str) -> bytes:
        picture = self.opened.pictures.get(place)
        for one in picture.slices if picture is not None else []:
            if one.index == index:
                return self.opened.pixels.picture(getattr(one, kind))
        raise InputError("The run did not keep it.")


def _checked(place: int, frame: Frame) -> int:
    return _below(place, len(frame["row"]))


def _below(place: int, count: int) -> int:
    if not 0 <= place < count:
        raise IndexError(place)
    return place
