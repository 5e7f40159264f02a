"""Detection over all images: average precision as in COCO, recall and false positives, and the FROC curve.

Each is a statistic over image weights, so that patients can be resampled: boxes are matched once, image by image, and
a resample only weights the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from palpate.metrics.panel import Bools, Floats, Ints
from palpate.metrics.statistics import Statistic
from palpate.storage.lists import Lists

COCO = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""IoU 0.5 to 0.95."""
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per image at which a FROC curve is read (LUNA16)."""
_LEVELS = np.linspace(0, 1, 101)
"""Recall levels of COCO's interpolated precision."""
_BLOCK = 4_000_000
"""Weights of detections that are held at once."""


@dataclass(frozen=True, eq=False)
class Matches:
    """All detections of all images, highest confidence first, each matched with the boxes of its image.

    Attributes:
        image: (D,) image of each detection.
        label: (D,) its class.
        confidence: (D,) from 0 to 1.
        hit: (T, D) whether it finds an annotated box, per overlap.
        annotated: (N, K) annotated boxes of each image and class; 0 where the image does not count.
        among: (N,) images that count.
        overlaps: the T overlaps, ascending.
    """

    image: Ints
    label: Ints
    confidence: Floats
    hit: Bools
    annotated: Ints
    among: Bools
    overlaps: tuple[float, ...]

    @classmethod
    def of(cls, truth: Lists, found: Lists, among: Bools, classes: int, overlaps: tuple[float, ...] = COCO) -> Matches:
        """Match the boxes of records.

        In the order of confidence, each detection takes the free box of its class that it overlaps most, if their IoU
        is at least the overlap.

        Args:
            truth: (N,) class, x1, y1, x2, y2 of each annotated box, in turn, per image.
            found: (N,) class, confidence, x1, y1, x2, y2 of each detection, in turn.
            among: (N,) images that count: those that have a record.
            classes: K.
            overlaps: IoU from which a detection finds a box.
        """
        annotated = np.zeros((len(truth), classes), dtype=np.int64)
        image, rows, hit = [], [], []
        for index in np.flatnonzero(among):
            boxes = np.asarray(truth[index], dtype=np.float64).reshape(-1, 5)
            proposed = np.asarray(found[index], dtype=np.float64).reshape(-1, 6)
            proposed = proposed[np.argsort(-proposed[:, 1], kind="stable")]
            annotated[index] = np.bincount(boxes[:, 0].astype(np.int64), minlength=classes)
            image.append(np.full(len(proposed), index, dtype=np.int64))
            rows.append(proposed[:, :2])
            hit.append(_hits(boxes, proposed, overlaps))
        every = np.concatenate([np.zeros((0, 2)), *rows])
        order = np.argsort(-every[:, 1], kind="stable")
        return cls(
            np.concatenate([np.zeros(0, dtype=np.int64), *image])[order],
            every[order, 0].astype(np.int64),
            every[order, 1],
            np.concatenate([np.zeros((len(overlaps), 0), dtype=bool), *hit], axis=1)[:, order],
            annotated,
            among,
            overlaps,
        )

    def average_precision(self, overlaps: tuple[float, ...] = COCO, label: int | None = None) -> Statistic:
        """Mean average precision over overlaps and classes, as in COCO; NaN if nothing is annotated.

        For each class and overlap: the precision at 101 levels of recall, at each the best one at that recall or
        higher, averaged. Classes without an annotated box are left out.

        Args:
            overlaps: some of those that were matched: `(0.5,)`, or `COCO`.
            label: one class only.
        """
        classes = range(self.annotated.shape[1]) if label is None else (label,)
        rows = [self.overlaps.index(overlap) for overlap in overlaps]

        def statistic(weights: Floats) -> Floats:
            parts = [self._precisions(weights, one, rows) for one in classes]
            values = np.stack([part.mean(axis=0) for part in parts])
            defined = ~np.isnan(values)
            with np.errstate(invalid="ignore"):
                return np.asarray(np.where(defined, values, 0).sum(axis=0) / defined.sum(axis=0))

        return statistic

    def recall(self, confidence: float, overlap: float = 0.5, label: int | None = None) -> Statistic:
        """Share of the annotated boxes (lesions) that are found with more than `confidence`; NaN without boxes."""
        hits = self.found_of_images(confidence, overlap, label)
        boxes = self._boxes(label)
        return lambda weights: _ratio(weights @ hits, weights @ boxes)

    def false_positives(self, confidence: float, overlap: float = 0.5, label: int | None = None) -> Statistic:
        """Detections per image with more than `confidence` that find no annotated box, duplicates included."""
        wrong = self.wrong_of_images(confidence, overlap, label)
        return lambda weights: _ratio(weights @ wrong, weights @ self.among.astype(np.float64))

    def froc(self, overlap: float = 0.5, label: int | None = None) -> tuple[Floats, Floats]:
        """The free-response ROC curve: false positives per image, rising, and the recall at each; it starts at 0, 0.

        One point for each number of false positives, at the lowest threshold with no more of them. Empty if
        nothing is annotated.
        """
        alarms, found = self._free_response(np.ones((1, len(self.among))), overlap, label)
        if np.isnan(found).any() or not self.among.any():
            return np.zeros(0), np.zeros(0)
        last = np.append(np.diff(alarms[0]) > 0, True)
        return alarms[0][last], found[0][last]

    def froc_score(self, overlap: float = 0.5, label: int | None = None) -> Statistic:
        """Mean recall at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per image, between points by a straight line."""

        def statistic(weights: Floats) -> Floats:
            values = []
            for block in _blocks(weights, len(self.image)):
                curves = zip(*self._free_response(block, overlap, label), strict=True)
                values += [float(np.interp(RATES, alarms, found).mean()) for alarms, found in curves]
            return np.asarray(values)

        return statistic

    def found_of_images(self, confidence: float, overlap: float, label: int | None = None) -> Floats:
        """(N,) Annotated boxes of each image that are found with more than `confidence`."""
        return self._per_image(self._of(label) & self._row(overlap) & (self.confidence > confidence))

    def wrong_of_images(self, confidence: float, overlap: float, label: int | None = None) -> Floats:
        """(N,) Detections of each image with more than `confidence` that find no annotated box."""
        return self._per_image(self._of(label) & ~self._row(overlap) & (self.confidence > confidence))

    def balance_of_images(self, overlaps: tuple[float, ...], label: int | None = None) -> Floats:
        """(N,) Confidence of the detections that find a box minus that of the others, the mean over the overlaps.

        Average precision and FROC rank the detections of all images together, so no single image has such a figure;
        an image with a low balance lowers both.
        """
        rows = [self.overlaps.index(overlap) for overlap in overlaps]
        sign = 2 * self.hit[rows].mean(axis=0) - 1
        of = self._of(label)
        return np.asarray(np.bincount(self.image[of], (self.confidence * sign)[of], len(self.among)), dtype=np.float64)

    def _precisions(self, weights: Floats, label: int, rows: list[int]) -> Floats:
        """Average precision (overlaps, B) of one class."""
        of = np.flatnonzero(self.label == label)
        total = weights @ self._boxes(label)
        values = []
        for block in _blocks(weights, len(of)):
            share = block[:, self.image[of]]
            seen = np.cumsum(share, axis=1)
            values.append(
                np.stack([_interpolated(share, seen, self.hit[row, of], block @ self._boxes(label)) for row in rows])
            )
        joined = np.concatenate([np.zeros((len(rows), 0)), *values], axis=1)
        return np.where(total > 0, joined, np.nan)

    def _free_response(self, weights: Floats, overlap: float, label: int | None) -> tuple[Floats, Floats]:
        """False positives per image and recall (B, 1 + thresholds) as the threshold falls."""
        of = np.flatnonzero(self._of(label))
        share = weights[:, self.image[of]]
        hit = self._row(overlap)[of]
        # Detections of equal confidence pass a threshold together.
        last = np.append(np.diff(self.confidence[of]) != 0, True)[: len(of)]
        start = np.zeros((len(weights), 1))
        right = np.concatenate([start, np.cumsum(share * hit, axis=1)[:, last]], axis=1)
        wrong = np.concatenate([start, np.cumsum(share * ~hit, axis=1)[:, last]], axis=1)
        images, boxes = weights @ self.among.astype(np.float64), weights @ self._boxes(label)
        return _ratio(wrong, images[:, None]), _ratio(right, boxes[:, None])

    def _of(self, label: int | None) -> Bools:
        return np.ones(len(self.label), dtype=bool) if label is None else np.equal(self.label, label)

    def _row(self, overlap: float) -> Bools:
        row: Bools = self.hit[self.overlaps.index(overlap)]
        return row

    def _boxes(self, label: int | None) -> Floats:
        counts = self.annotated.sum(axis=1) if label is None else self.annotated[:, label]
        return counts.astype(np.float64)

    def _per_image(self, which: Bools) -> Floats:
        return np.bincount(self.image[which], minlength=len(self.among)).astype(np.float64)

    @cached_property
    def boxes(self) -> int:
        """Annotated boxes in all images that count."""
        return int(self.annotated.sum())


def _interpolated(share: Floats, seen: Floats, hit: Bools, total: Floats) -> Floats:
    """Average precision (B,) from the weight of each detection, its running sum, and the hits.

    Precision rises only at hits, so the best precision at a recall or above it is that of a hit.
    """
    at = np.flatnonzero(hit)
    right = np.cumsum(share[:, at], axis=1)
    precision = _ratio(right, seen[:, at], nothing=0.0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
    recall = _ratio(right, total[:, None], nothing=0.0)
    return np.asarray(np.take_along_axis(best, _reached(recall), axis=1).mean(axis=1))


def _reached(recall: Floats) -> Ints:
    """The first hit at which each level of recall is reached (B, levels); the last, empty one if it is never reached.

    A hit that reaches j levels comes before the levels from j on, so a running sum of such hits gives all places.
    """
    rows, ends = len(recall), len(_LEVELS) + 1
    levels = np.searchsorted(_LEVELS, recall, side="right") + ends * np.arange(rows)[:, None]
    before = np.bincount(levels.ravel(), minlength=rows * ends).reshape(rows, ends)
    return np.cumsum(before[:, :-1], axis=1)


def _hits(boxes: Floats, proposed: Floats, overlaps: tuple[float, ...]) -> Bools:
    """Which detections of an image, in order, find a box (T, D)."""
    hit = np.zeros((len(overlaps), len(proposed)), dtype=bool)
    if not len(boxes):
        return hit
    overlapping = _iou(proposed[:, 2:], boxes[:, 1:]) * (proposed[:, :1] == boxes[:, 0])
    least = np.asarray(overlaps)[:, None]
    free = np.ones((len(overlaps), len(boxes)), dtype=bool)
    for rank in np.flatnonzero(overlapping.max(axis=1) >= overlaps[0]):
        fits = np.where(free & (overlapping[rank] >= least), overlapping[rank], -1.0)
        best = fits.argmax(axis=1)
        taken = np.flatnonzero(fits.max(axis=1) >= 0)
        hit[taken, rank] = True
        free[taken, best[taken]] = False
    return hit


def _iou(first: Floats, second: Floats) -> Floats:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    sizes = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (first, second)]
    return np.asarray(shared / np.maximum(sizes[0][:, None] + sizes[1][None] - shared, 1e-12))


def _ratio(top: Floats, bottom: Floats, nothing: float = np.nan) -> Floats:
    """Top / bottom; `nothing` where the bottom is 0."""
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    return np.asarray(np.divide(top, bottom, out=np.full(shape, nothing), where=bottom > 0))


def _blocks(weights: Floats, width: int) -> list[Floats]:
    size = max(1, _BLOCK // max(1, width))
    return [weights[start : start + size] for start in range(0, len(weights), size)]
