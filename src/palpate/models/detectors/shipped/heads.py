"""A raw YOLO head: which axis has the places, and whether the fifth number is an objectness."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.models.detectors.shipped.form import Layout, Raw

_SURE = 0.5
"""Probability from which a place is taken for a box."""
_RARE = 0.2
"""Largest share of places with a sure fifth number that is evidence: trained heads find boxes at few places."""
_ABSENT = 0.25
"""Largest median of the other numbers at those places if the fifth one is a class: classes exclude each other."""


class Head(NamedTuple):
    """A raw head and its layout."""

    layout: Layout
    raw: Raw


class _Reading(NamedTuple):
    """One way to read a head.

    Attributes:
        objectness: whether the fifth number is one.
        axis: the axis of the numbers of a place.
    """

    objectness: bool
    axis: int

    @property
    def layout(self) -> Layout:
        return "raw head with objectness" if self.objectness else "raw head"

    @property
    def usual(self) -> bool:
        """YOLOv8 and later give (B, 4 + K, N); YOLOv5, v7 and YOLOX, which have an objectness, (B, N, 5 + K)."""
        return self.axis == (2 if self.objectness else 1)

    def of(self, held: Tensor) -> Tensor:
        return held if self.axis == 2 else held.transpose(1, 2)


def read_head(held: Tensor, classes: int, known: Layout | None = None, objectness: bool | None = None) -> Head | None:
    """A raw head (B, 4 + K, N) or (B, N, 5 + K), or the same turned; None if no reading has K classes.

    4 + K and 5 + K numbers differ by one class, so K alone does not tell an objectness from a class. A head in the
    usual form of its family is read at once. A turned one is read only if its values say the same: where the fifth
    number is sure, an objectness has a sure class beside it, and a class has not.

    Args:
        held: what the detector returned.
        classes: K.
        known: the layout, once it is recognised.
        objectness: what the user says.

    Raises:
        InputError: a head with one class more, or one less, is as likely.
    """
    every = [_Reading(*pair) for pair in ((False, 1), (True, 2), (False, 2), (True, 1))]
    fitting = [one for one in every if held.shape[one.axis] == 4 + classes + one.objectness]
    if known is not None:
        fitting = [one for one in fitting if one.layout == known] or fitting
    if objectness is not None:
        fitting = [one for one in fitting if one.objectness == objectness]
    if not fitting:
        return None
    reading, rows = fitting[0], fitting[0].of(held)
    sure = reading.usual or known is not None or objectness is not None or (classes == 1 and not reading.objectness)
    if not sure and _has_objectness(rows) is not reading.objectness:
        raise InputError(_open(held, classes, reading))
    first = 5 if reading.objectness else 4
    return Head(reading.layout, Raw(rows[..., :4], rows[..., first:], rows[..., 4] if reading.objectness else None))


def _has_objectness(rows: Tensor) -> bool | None:
    """Whether the fifth of the numbers (B, N, W) is an objectness, by their values; None if they do not say it."""
    values = rows.detach()[..., 4:]
    if bool(((values < 0) | (values > 1)).any()):
        values = values.sigmoid()
    first, others = values[..., 0], values[..., 1:].amax(-1)
    sure = first > _SURE
    if not bool(sure.any()) or float(sure.float().mean()) > _RARE:
        return None
    beside = float(torch.median(others[sure]))
    return True if beside > _SURE else False if beside < _ABSENT else None


def _open(held: Tensor, classes: int, reading: _Reading) -> str:
    shape, what = list(held.shape), "and its values do not say which"
    if reading.objectness:
        return (
            f"model: it returned a raw YOLO head of shape {shape}, which is {classes + 1} classes without objectness "
            f"(YOLOv8) or {classes} with objectness (turned), {what}. Name all {classes + 1} classes in "
            "task.classes, or write model.objectness = true."
        )
    return (
        f"model: it returned a raw YOLO head of shape {shape}, which is {classes - 1} classes with objectness (YOLOv5) "
        f"or {classes} without objectness (turned), {what}. Name the {classes - 1} classes in task.classes, or write "
        "model.objectness = false."
    )
