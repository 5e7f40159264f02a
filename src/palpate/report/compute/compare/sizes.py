"""The score of small and of large structures, and the boxes found where they are small and where they are large.

Records hold no annotated size of a mask. It is the size that the first run found without an attack; where that run
found nothing, its error is the annotated size. The images with the structure are halved at the median.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from palpate.metrics.panel import Bools, Floats
from palpate.report.compute.box_series import Detector
from palpate.report.compute.reading import RunReading
from palpate.report.compute.series import measured
from palpate.report.compute.states import States
from palpate.report.model.schema import Series

_FEWEST = 4
"""Images with a structure, below which halves say nothing."""
_SIZES = ("volume", "area")


def size_series(reading: RunReading, sizes_from: RunReading) -> list[Series]:
    """Series of small and of large structures; `part` is `small lesion` and so on.

    Args:
        reading: a run, over the shared images.
        sizes_from: the run that gives the sizes, so that all runs have the same halves.
    """
    task = reading.description.task
    if not reading.panel.outcomes and not reading.panel.images.count:
        return []
    if task.kind == "segmentation":
        return list(_masks(reading, sizes_from))
    return list(_boxes(reading)) if task.kind == "detection" else []


def _masks(reading: RunReading, sizes_from: RunReading) -> Iterator[Series]:
    task = reading.description.task
    for index, measure in enumerate(task.measures):
        if measure.name != task.score or not measure.part:
            continue
        size = _found_size(sizes_from, measure.part)
        if size is None:
            continue
        there = np.isfinite(sizes_from.panel.images.measures[:, index])
        for name, half in _halves(size, there):
            among = _only(reading, half)
            states = _states(among, half)
            made = measured(among, states, index, measure, "mean")
            yield made.model_copy(update={"part": f"{name} {measure.part}"})


def _found_size(reading: RunReading, part: str) -> Floats | None:
    """(N,) Size of a structure, as found without an attack."""
    places = {(one.name, one.part): place for place, one in enumerate(reading.description.task.measures)}
    for name in _SIZES:
        found, error = places.get((name, part)), places.get((f"{name}_error", part))
        if found is not None:
            values = reading.panel.images.measures
            missed = values[:, found] if error is None else values[:, error]
            return np.where(values[:, found] > 0, values[:, found], missed)
    return None


def _boxes(reading: RunReading) -> Iterator[Series]:
    images = reading.panel.images
    size = np.full(images.count, np.nan)
    for row, flat in enumerate(images.truth):
        boxes = np.asarray(flat, dtype=np.float64).reshape(-1, 5)
        if len(boxes):
            size[row] = ((boxes[:, 3] - boxes[:, 1]) * (boxes[:, 4] - boxes[:, 2])).mean()
    for name, half in _halves(size, np.isfinite(size)):
        among = _only(reading, half)
        detector = Detector(among, _states(among, half))
        yield detector.series("recall", f"images with {name} boxes", "share", "higher", detector.recall(None))


def _halves(size: Floats, there: Bools) -> Iterator[tuple[str, Bools]]:
    if int(there.sum()) < _FEWEST:
        return
    small = there & np.less_equal(size, np.median(size[there]))
    if small[there].all():
        return
    yield "small", small
    yield "large", there & ~small


def _only(reading: RunReading, among: Bools) -> RunReading:
    """The run as if only some images had records; the others keep their place, so that draws are the same."""
    outcomes = tuple(replace(one, recorded=one.recorded & among) for one in reading.panel.outcomes)
    return replace(reading, panel=replace(reading.panel, outcomes=outcomes))


def _states(reading: RunReading, among: Bools) -> States:
    states = States(reading)
    states.clean = replace(states.clean, recorded=states.clean.recorded & among)
    return states
