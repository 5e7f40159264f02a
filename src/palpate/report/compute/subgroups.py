"""The images by site and by scanner: clean and worst-case figures with intervals, and the difference from the rest."""

from __future__ import annotations

from typing import Literal

import numpy as np

from palpate.metrics.intervals import Share, difference
from palpate.metrics.robustness import clean_attackable, worst_case
from palpate.metrics.subgroups import Subgroup, subgroups
from palpate.report.compute.reading import UNTARGETED, RunReading, figure_of
from palpate.report.model.schema_clinic import SubgroupRow, Subgroups
from palpate.report.model.typed import visible


def all_subgroups(reading: RunReading, eps: float | None) -> list[Subgroups]:
    """One table by site and one by scanner, each only if the images come from more than one.

    Args:
        reading: the run.
        eps: the budget of the verdict; without one there is no worst case to show.
    """
    images = reading.panel.images
    by: list[tuple[Literal["site", "scanner"], tuple[Subgroup, ...]]] = [
        ("site", subgroups(images.site)),
        ("scanner", subgroups(images.scanner)),
    ]
    return [
        Subgroups(by=name, eps=eps, rows=[_row(reading, one, eps) for one in groups]) for name, groups in by if groups
    ]


def _row(reading: RunReading, group: Subgroup, eps: float | None) -> SubgroupRow:
    images, mask = reading.panel.images, group.mask
    nothing = Share(np.zeros(images.count, dtype=bool), np.zeros(images.count, dtype=bool))
    share = nothing if eps is None else worst_case(images, reading.panel.of(UNTARGETED), eps)
    mine, others = share.within(mask), share.within(~mask)
    note = "No untargeted attack has finished on these images."
    return SubgroupRow(
        name=visible(group.name),
        images=int(mask.sum()),
        groups=int(np.unique(images.group[mask]).size),
        small=group.small,
        clean=reading.proportion(clean_attackable(images).within(mask), "No image with something to lose counts here."),
        robust=reading.proportion(mine, note),
        difference=figure_of(
            difference(reading.resampling.proportion(mine), reading.resampling.proportion(others), note)
        ),
    )
