"""The page as one folder, to send on: the same files, written once, with a bounded number of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from palpate.errors import InputError
from palpate.storage.writing import not_written
from palpate.units import counted
from palpate.view.opened import Opened
from palpate.view.site import ASSETS, Site, script

SLICES = 24
"""Most slices of a volume in a folder, evenly spaced."""
TRACED = 0.25
"""Largest part of the limit that maps of traces take."""
_KINDS = ("before", "after", "change")


@dataclass
class Written:
    """What was written.

    Attributes:
        pictures: names of the pictures.
        records: records, rows of artefacts and certificates that have all their pictures, by table.
        left: whether some have none because of the limit.
        said: how much of the run is in it, in a sentence or two.
    """

    pictures: set[str] = field(default_factory=set)
    records: dict[str, list[int]] = field(default_factory=lambda: {"attacks": [], "artefacts": [], "certificates": []})
    left: bool = False
    said: str = ""


def write_folder(opened: Opened, folder: Path, limit: int) -> Written:
    """Write the page of a run as a folder.

    Args:
        opened: the run.
        folder: a folder that does not exist yet, or is empty.
        limit: most pictures.

    Raises:
        InputError: the folder holds something.
        StorageError: the disk is full or does not accept a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--out {folder} exists already and is not an empty folder. Choose another one.")
    site, written = Site(opened), Written()
    _traces(site, folder, int(limit * TRACED), written)
    _pictures(site, folder, limit, written)
    for row in dict.fromkeys(opened.certificates["row"].tolist()):
        _write(site, folder, f"data/certificate-{row}.js")
    written.said = _said(opened, written, limit)
    whole = replace(site, said=(written.said,), limited=written.records)
    for name in ("data/run.js", *ASSETS):
        _write(whole, folder, name)
    return written


def _said(opened: Opened, written: Written, limit: int) -> str:
    every = len(opened.places) + len(opened.artefacts["row"])
    have = len(written.records["attacks"]) + len(written.records["artefacts"])
    said = f"A copy with {counted(len(written.pictures), 'picture')}: {have:,} of {every:,} records have theirs. "
    more = f"More did not fit into its limit of {limit:,} pictures (--limit). " if written.left else ""
    return f"{said}{more}The figures of all records are in it."


def _traces(site: Site, folder: Path, limit: int, written: Written) -> None:
    """The steps of every traced record, and the maps of the first ones."""
    for place in np.flatnonzero(site.opened.traced).tolist():
        told = site.trace(place)
        wanted = {one["picture"] for one in told["maps"]}
        if len(written.pictures | wanted) > limit:
            told |= {"maps": [], "why": "The maps of this trace are not in this folder."}
            written.left, wanted = True, set()
        for name in sorted(wanted - written.pictures):
            _write(site, folder, name)
        written.pictures |= wanted
        _put(folder / f"data/trace-{place}.js", script(f"trace-{place}", told))


def _pictures(site: Site, folder: Path, limit: int, written: Written) -> None:
    opened = site.opened
    tables = {
        "attacks": ("record", site.record),
        "artefacts": ("artefact", site.artefact),
        "certificates": ("certified", site.certified),
    }
    certified = (("certificates", place) for place in range(len(site.certificates.places)))
    for table, place in (*(("artefacts", place) for place in sorted(opened.pictures)), *_turns(opened), *certified):
        kind, shown = tables[table]
        details = _thinned(shown(place))
        wanted = {f"{details[one]}{index}.png" for one in _KINDS if details[one] for index in details["slices"]}
        if len(written.pictures | wanted) > limit:
            written.left = True
            continue
        for name in sorted(wanted - written.pictures):
            _write(site, folder, name)
        if details["truth"]:
            frame = {"attacks": opened.frame, "artefacts": opened.artefacts}.get(table, site.certificates.frame)
            row = int(frame["row"][place])
            for index in details["slices"]:
                _write(site, folder, f"data/truth-{row}-{index}.js")
        written.pictures |= wanted
        written.records[table].append(place)
        _put(folder / f"data/{kind}-{place}.js", script(f"{kind}-{place}", details))


def _turns(opened: Opened) -> Iterator[tuple[str, int]]:
    """Records whose attacked image is kept, all images in turn, beaten ones first; then one record of each other."""
    turns: dict[int, int] = {}
    rows, success = opened.frame["row"].tolist(), opened.frame["success"].tolist()
    kept = [place for place, one in enumerate(opened.places) if one != (None, None)]
    order = []
    for place in sorted(kept, key=lambda place: (not success[place], place)):
        turns[rows[place]] = turns.get(rows[place], -1) + 1
        order.append((turns[rows[place]], rows[place], place))
    yield from (("attacks", place) for _, _, place in sorted(order))
    others = {row: place for place, row in reversed(list(enumerate(rows))) if row not in turns}
    yield from (("attacks", place) for _, place in sorted(others.items()))


def _thinned(details: dict[str, Any]) -> dict[str, Any]:
    slices = details["slices"]
    if len(slices) <= SLICES:
        return details
    chosen = [slices[int(place)] for place in np.linspace(0, len(slices) - 1, SLICES).round()]
    why = [*details["why"], f"This folder holds {SLICES} of {len(slices)} slices."]
    start = min(chosen, key=lambda one: abs(one - details["start"]))
    return {**details, "slices": chosen, "start": start, "why": why}


def _write(site: Site, folder: Path, name: str) -> None:
    if (data := site.find(name)) is not None:
        _put(folder / name, data)


def _put(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise not_written(path, error) from error
