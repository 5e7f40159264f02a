"""Which images two runs decide differently: without an attack, and in the worst case at each budget."""

from __future__ import annotations

import numpy as np

from palpate.metrics.differences import difference
from palpate.metrics.intervals import Origin, Share
from palpate.metrics.panel import Bools
from palpate.report.compute.compare.listing import ANY, Listed, Place
from palpate.report.compute.reading import RunReading
from palpate.report.model.schema_compare import Switch, SwitchedImage
from palpate.report.model.typed import visible

Figures = dict[Place, Listed]


class Switches:
    """Two runs on the same images.

    Args:
        first: the reading of the first run, over the shared images.
        second: that of the later run.
        rows: positions of the images in the tables of both runs.
        names: whether to give the names of images, which may identify patients.
    """

    def __init__(self, first: RunReading, second: RunReading, rows: tuple[tuple[int, ...], ...], *, names: bool):
        self.first, self.second, self.rows, self.names = first, second, rows, names

    def of(self, one: Figures, two: Figures) -> list[Switch]:
        """Every switch that both runs can show."""
        places = [Place("result", "clean accuracy")]
        places += [
            place
            for place in one
            if place.section == "result" and place.figure == "robust accuracy" and place.under == ANY
        ]
        return [self._switch(place, one[place], two[place]) for place in places if place in one and place in two]

    def _switch(self, place: Place, one: Listed, two: Listed) -> Switch:
        before, after = _share(one), _share(two)
        among = before.among & after.among
        was, now = before.hits & among, after.hits & among
        assert one.figure.origin is not None
        test = difference(
            Origin(Share(was, among), one.figure.origin.resampling),
            Origin(Share(now, among), one.figure.origin.resampling),
        )
        return Switch(
            figure="clean accuracy" if place.eps is None else "robust accuracy",
            eps=place.eps,
            both=int((was & now).sum()),
            neither=int((among & ~was & ~now).sum()),
            gained=self._images(now & ~was),
            lost=self._images(was & ~now),
            p=1.0 if np.isnan(test.p) else test.p,
        )

    def _images(self, mask: Bools) -> list[SwitchedImage]:
        one, two = self.first.panel.images, self.second.panel.images
        return [
            SwitchedImage(
                row=self.rows[0][one.row[place]],
                second_row=self.rows[1][one.row[place]],
                image=visible(str(one.name[place])) if self.names else None,
                label=int(one.label[place]),
                first_score=float(one.score[place]),
                second_score=float(two.score[place]),
            )
            for place in np.flatnonzero(mask).tolist()
        ]


def _share(listed: Listed) -> Share:
    origin = listed.figure.origin
    assert origin is not None and isinstance(origin.of, Share)
    return origin.of
