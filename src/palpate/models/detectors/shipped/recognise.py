"""Recognise the form of a detector's answers: by names and shapes, then by values, then by the annotated boxes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from palpate.annotations import Boxes
from palpate.errors import InputError
from palpate.models.detectors.forms import BoxForm, in_pixels, to_corners, twin
from palpate.models.detectors.geometry import fit, pairwise_iou
from palpate.models.detectors.shipped.form import Form, Found, Layout, Raw, Said, ScoreKind
from palpate.models.detectors.shipped.layouts import arrange

NOTHING = Said()
"""Everything is recognised."""
BEYOND = 1.5
"""A coordinate above this is not a fraction of an image, even if a box extends over its edge."""
_SURE = 50
"""Boxes of highest score of each image that are compared with the annotated ones."""
_BETTER = 0.15
"""Another form than the usual one is read if the annotated boxes agree with it by so much more mean IoU."""
_SAME = 0.5
"""IoU from which a box and an annotated box are the same object."""
_USUAL: dict[Layout, BoxForm] = {
    "decided boxes": "pixels",
    "rows": "pixels",
    "numbered rows": "pixels",
    "class scores": "pixels",
    "raw head": "pixel centres",
    "raw head with objectness": "pixel centres",
}
_FRACTIONS: tuple[BoxForm, ...] = ("fractions", "centres", "sizes", "yx fractions")


class Recognised(NamedTuple):
    """A form, and how sure it is.

    Attributes:
        form: as it is read from now on.
        boxes: how many boxes the tried images have.
        images: how many images were tried.
        agreement: mean over the annotated boxes of the largest IoU with one of them; None without any.
    """

    form: Form
    boxes: int
    images: int
    agreement: float | None


class _Sure(NamedTuple):
    """The surest boxes of one image: (N, 4) as returned, and the numbers of their classes (N,)."""

    boxes: Tensor
    labels: Tensor


def recognised(returned: Any, size: tuple[int, int], truth: Boxes, classes: int, said: Said = NOTHING) -> Recognised:
    """The form of what a detector returned for some images.

    Coordinates are pixels if most of the surest boxes exceed 1.5. Of corners, centres and sizes the usual one of the
    layout is taken, unless the annotated boxes agree far better with another. Classes are numbered from 1 if a label is
    K, from 0 if a label is 0, and otherwise as the annotated boxes agree.

    Args:
        returned: the model's answer for B images.
        size: height and width of its input.
        truth: the annotated boxes of these images.
        classes: K.
        said: what the user says; it is not guessed.

    Raises:
        InputError: no form is recognised, or what was said contradicts the values.
    """
    answer = arrange(returned, len(truth.labels), classes, objectness=said.objectness)
    scores = said.scores or _scores(answer.parts)
    sure = _surest(answer.parts, classes)
    boxes = _boxes(answer.layout, sure, size, truth, said.boxes)
    corners = [one._replace(boxes=to_corners(one.boxes, boxes, *size)) for one in sure]
    first = 0
    if not isinstance(answer.parts, Raw):
        first = _first(answer.layout, corners, truth, classes, said.first_class)
    form = Form(answer.layout, boxes, scores, first, answer.columns)
    return Recognised(form, sum(len(one.boxes) for one in sure), len(sure), _agreement(corners, truth))


def _agreement(sure: list[_Sure], truth: Boxes) -> float | None:
    return fit([one.boxes for one in sure], truth)


def _scores(parts: tuple[Found, ...] | Raw) -> ScoreKind:
    if isinstance(parts, Raw):
        values = (
            parts.scores.flatten()
            if parts.objectness is None
            else torch.cat([parts.scores.flatten(), parts.objectness.flatten()])
        )
    else:
        values = torch.cat([one.scores for one in parts])
    slack = 1e-4
    inside = not len(values) or bool(((values >= -slack) & (values <= 1 + slack)).all())
    return "probabilities" if inside else "logits"


def _surest(parts: tuple[Found, ...] | Raw, classes: int) -> list[_Sure]:
    if isinstance(parts, Raw):
        scores = parts.scores.detach()[..., :classes]
        if parts.objectness is not None:
            scores = scores * parts.objectness.detach()[..., None]
        most, labels = scores.max(-1)
        rows = [Found(*row) for row in zip(parts.boxes.detach(), most, labels, strict=True)]
    else:
        rows = [Found(*(part.detach() for part in one)) for one in parts]
    sure = []
    for one in rows:
        places = one.scores.topk(min(_SURE, len(one.scores))).indices
        finite = places[one.boxes[places].isfinite().all(-1)]
        sure.append(_Sure(one.boxes[finite].float(), one.labels[finite]))
    return sure


def _boxes(layout: Layout, sure: list[_Sure], size: tuple[int, int], truth: Boxes, said: BoxForm | None) -> BoxForm:
    boxes = torch.cat([one.boxes for one in sure])
    usual = _USUAL[layout]
    pixels = in_pixels(usual)
    if len(boxes):
        reach = boxes.abs().amax(1)
        pixels = float((reach > BEYOND).float().mean()) > 0.5
        if said is not None and pixels and not in_pixels(said):
            raise InputError(
                f'model.boxes: the boxes reach {float(boxes.max()):.4g}, so they are pixels, and it says "{said}". '
                f'Write boxes = "{twin(said)}".'
            )
        if said is not None and not pixels and in_pixels(said):
            raise InputError(
                f"model.boxes: the boxes reach only {float(boxes.max()):.3g}, so they are fractions, and it says "
                f'"{said}". Write boxes = "{twin(said)}".'
            )
    if said is not None:
        return said
    usual = usual if pixels == in_pixels(usual) else twin(usual)
    fits: dict[BoxForm, float] = {}
    for plain in _FRACTIONS:
        form = twin(plain) if pixels else plain
        corners = [one._replace(boxes=to_corners(one.boxes, form, *size)) for one in sure]
        fits[form] = _agreement(corners, truth) or 0.0
    best = max(fits, key=lambda form: fits[form])
    if fits[best] > fits[usual] + _BETTER:
        return best
    return usual


def _first(layout: Layout, sure: list[_Sure], truth: Boxes, classes: int, said: int | None) -> int:
    labels = torch.cat([one.labels for one in sure])
    least, most = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    first = said
    if first is None:
        first = 0 if not len(labels) or least == 0 else 1 if most >= classes else _likelier(sure, truth)
    if len(labels) and (least < first or most - first >= classes):
        fix = "Name every class in task.classes, in the model's order."
        if said is not None and least >= 1 - said and most - (1 - said) < classes:
            fix = f"Write model.first_class = {1 - said}."
        raise InputError(
            f"model: its labels are {least} to {most}, and task.classes names {classes}, numbered from {first}. {fix}"
        )
    return first


def _likelier(sure: list[_Sure], truth: Boxes) -> int:
    """0 or 1: the number of the first class under which more boxes have the class of the annotated box they are."""
    votes = [0, 0]
    for one, wanted, labels in zip(sure, truth.boxes, truth.labels, strict=True):
        real = labels >= 0
        if not bool(real.any()) or not len(one.boxes):
            continue
        best, place = pairwise_iou(one.boxes.clamp(0, 1), wanted[real].to(one.boxes)).max(1)
        same, named = best >= _SAME, labels[real][place].to(one.labels)
        votes[0] += int((same & (one.labels == named)).sum())
        votes[1] += int((same & (one.labels - 1 == named)).sum())
    return int(votes[1] > votes[0])
