"""A run, opened for a look: its records, what is kept of its images, and its traces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from palpate.errors import StorageError
from palpate.report.model.description import Description, read_description
from palpate.report.model.description_artefacts import ArtefactPicture
from palpate.report.model.shown import SliceDescription
from palpate.storage.artefacts import FOUND
from palpate.storage.frames import Frame
from palpate.storage.runs import RunFolder
from palpate.view.kept import Kept, Pictured, kept
from palpate.view.originals import Originals, originals
from palpate.view.pixels import Pixels


@dataclass(frozen=True, eq=False)
class Opened:
    """A run as it was when it was opened.

    Attributes:
        run: its folder.
        description: `run.json`.
        frame: all records.
        artefacts: all rows of artefacts.
        certificates: all rows of certificates.
        traces: all rows of traces; empty if one cannot be read.
        originals: the images as stored.
        pixels: reads images.
        places: of each record, the file and the pictures of its attacked image.
        pictures: of rows of artefacts, the picture that shows it.
        names: whether names of files may be shown.
    """

    run: RunFolder
    description: Description
    frame: Frame
    artefacts: Frame
    certificates: Frame
    traces: Frame
    originals: Originals
    pixels: Pixels
    places: list[tuple[str | None, Pictured | None]]
    pictures: dict[int, ArtefactPicture]
    names: bool

    @property
    def traced(self) -> Any:
        """Of each record, whether its attack was traced on its image."""
        known = set(zip(self.traces["item"], self.traces["row"].tolist(), strict=True))
        pairs = zip(self.frame["item"], self.frame["row"].tolist(), strict=True)
        return np.array([pair in known for pair in pairs], dtype=bool)

    @cached_property
    def outlined(self) -> dict[int, list[SliceDescription]]:
        """Of images with pictures, the planes on which it is known what the model found in the image as stored."""
        found: dict[int, dict[int, SliceDescription]] = {}
        for row, (_, one) in zip(self.frame["row"].tolist(), self.places, strict=True):
            for plane in one.slices if one is not None else []:
                found.setdefault(row, {}).setdefault(plane.index, plane)
        return {row: list(planes.values()) for row, planes in found.items()}

    @property
    def few(self) -> str:
        """How many attacked images are kept, and how to get more; empty if all are."""
        changed = [one for one, size in zip(self.places, self.frame["linf"].tolist(), strict=True) if size > 0]
        every, kept = len(changed), sum(one != (None, None) for one in changed)
        if kept == every:
            return ""
        return (
            f"The run kept {kept:,} of {every:,} attacked images, whole or as pictures. To see all, write "
            '[export] images = "all" into the plan and repeat the run with another --out.'
        )

    @property
    def unit(self) -> str:
        """The unit of the values; empty if it is not known."""
        return self.description.data.unit


def opened(path: Path, *, names: bool = False, root: Path | None = None) -> Opened:
    """Open a run folder; nothing is written into it.

    Args:
        path: the run folder, also of a run that is not finished.
        names: whether names of files, which may identify patients, may be shown.
        root: folder that the paths of the plan start from; by default it is searched for.

    Raises:
        StorageError: there is no run here, or a part of it cannot be read.
    """
    run = RunFolder(path)
    description, frame, artefacts = read_description(run), run.frame(), run.artefact_frame()
    certificates = run.certificate_frame()
    listed = (frame, artefacts, certificates)
    names_of = {row: name for one in listed for row, name in zip(one["row"].tolist(), one["image"], strict=True)}
    table = originals(run, names_of, root)
    found = Kept() if not len(frame["row"]) else kept(run, description)
    return Opened(
        run,
        description,
        frame,
        artefacts,
        certificates,
        _traces(run),
        table,
        Pixels(run, table.table, description.data.bounds, description.files),
        found.places(frame),
        _pictures(description, artefacts),
        names,
    )


def _traces(run: RunFolder) -> Frame:
    try:
        return run.traces()
    except StorageError:
        # The report says what is wrong with it; the records can still be looked at.
        return {"item": np.empty(0, dtype=object), "row": np.empty(0, dtype=np.int64)}


def _pictures(description: Description, frame: Frame) -> dict[int, ArtefactPicture]:
    shown = {(one.item, one.row): one for one in (description.artefacts.pictures if description.artefacts else [])}
    found = {}
    for place in np.flatnonzero(frame["kind"] == FOUND).tolist():
        if (one := shown.get((frame["item"][place], int(frame["row"][place])))) is not None:
            found[place] = one
    return found
