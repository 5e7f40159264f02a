"""How boxes, scores and labels are arranged in what a detector returns; nothing is converted here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.models.detectors.shipped.form import Columns, Form, Found, Layout, Raw
from palpate.models.detectors.shipped.heads import read_head
from palpate.models.detectors.shipped.roles import Roles, roles_of
from palpate.tensors import shown

_ROW, _NUMBERED = 6, 7


class Arranged(NamedTuple):
    """What one pass returned, taken apart.

    Attributes:
        layout: how it was arranged.
        columns: order of the last two numbers of a row.
        parts: the decided boxes of each image, or the raw head of all.
    """

    layout: Layout
    columns: Columns
    parts: tuple[Found, ...] | Raw


def arrange(
    returned: Any, count: int, classes: int, known: Form | None = None, objectness: bool | None = None
) -> Arranged:
    """Take apart what a detector returned for `count` images.

    Args:
        returned: any of the forms of `Layout`, also inside tuples or lists of one part.
        count: number of images.
        classes: K, which tells heads apart.
        known: the form, once it is recognised; it decides where values alone would have to.
        objectness: what the user says of a raw head.

    Raises:
        InputError: no form is recognised, parts are missing, or forms are mixed.
    """
    held = _unwrapped(returned, count)
    if isinstance(held, Tensor):
        return _tensor(held, count, classes, known, objectness)
    if isinstance(held, (tuple, list)) and _by_image(held, count):
        return joined([arrange(part, 1, classes, known, objectness) for part in held])
    roles = roles_of(held)
    if roles is not None:
        return _of_roles(roles, count, classes)
    if isinstance(held, (tuple, list)) and held and isinstance(held[0], Tensor) and held[0].ndim == 3:
        # YOLO programs give the maps of their levels too, after the head.
        return _tensor(held[0], count, classes, known, objectness)
    raise InputError(_unread(returned))


def _unwrapped(returned: Any, count: int) -> Any:
    held = returned
    if isinstance(held, tuple) and len(held) == 2 and isinstance(held[0], Mapping) and isinstance(held[1], list):
        held = held[1]  # a compiled detector of torchvision gives its losses, which are empty, and its boxes
    while isinstance(held, (tuple, list)) and len(held) == 1 and not _by_image(held, count):
        held = held[0]
    if not isinstance(held, Mapping) or any("box" in str(name).lower() for name in held):
        return held
    tensors = [part for part in held.values() if isinstance(part, Tensor)]
    return tensors[0] if len(tensors) == 1 else held


def _by_image(held: Sequence[Any], count: int) -> bool:
    tables = [isinstance(part, Mapping) for part in held]
    if any(tables) and not all(tables):
        raise InputError(
            f"model: it returned {shown(held)}: some parts have names and others have not. Return one form for "
            "all images."
        )
    if len(held) != count:
        if any(tables):
            raise InputError(f"model: it returned boxes of {len(held)} images for {count}. Return one part per image.")
        return False
    rows = all(isinstance(part, Tensor) and part.ndim == 2 and part.shape[1] in (_ROW, _NUMBERED) for part in held)
    inner = all(isinstance(part, (tuple, list)) and not hasattr(part, "_fields") for part in held)
    return all(tables) or rows or inner


def joined(arranged: list[Arranged]) -> Arranged:
    """Answers for single images as one answer; raises InputError if their forms differ."""
    first = arranged[0]
    if any(one.layout != first.layout for one in arranged):
        raise InputError("model: its outputs have different forms for different images. Return one form for all.")
    if isinstance(first.parts, Raw):
        raws = [one.parts for one in arranged if isinstance(one.parts, Raw)]
        if len({raw.boxes.shape for raw in raws}) > 1:
            raise InputError(
                "model: its head returns a different number of boxes for each image. Return the same number for all."
            )
        boxes, scores = torch.cat([raw.boxes for raw in raws]), torch.cat([raw.scores for raw in raws])
        objectness = [raw.objectness for raw in raws if raw.objectness is not None]
        return first._replace(parts=Raw(boxes, scores, torch.cat(objectness) if objectness else None))
    found = tuple(part for one in arranged if not isinstance(one.parts, Raw) for part in one.parts)
    # Rows of zeros alone do not show their order; an image with boxes does.
    shows = next((one.columns for one in arranged if any(len(part.scores) for part in _founds(one))), first.columns)
    return Arranged(first.layout, shows, found)


def _founds(one: Arranged) -> tuple[Found, ...]:
    return () if isinstance(one.parts, Raw) else one.parts


def _of_roles(roles: Roles, count: int, classes: int) -> Arranged:
    boxes, scores, labels, numbers = roles
    if boxes.ndim == 2:
        if count != 1:
            raise InputError(
                f"model: its boxes for {count} images have shape {list(boxes.shape)}, without an axis for the images. "
                "Return a part per image, or pad them to one number."
            )
        boxes, scores = boxes[None], scores[None]
        labels = None if labels is None else labels[None]
    if len(boxes) != count:
        raise InputError(f"model: it returned boxes of {len(boxes)} images for {count}. Return one part per image.")
    if scores.ndim == 3 and (labels is None or scores.shape[2] > 1):
        if scores.shape[2] not in (classes, classes + 1):
            raise InputError(
                f"model: it gives {scores.shape[2]} scores per box, and task.classes names {classes}. Correct "
                "task.classes, or choose the model that fits."
            )
        return Arranged("class scores", "score, class", Raw(boxes, scores))
    if labels is None and classes > 1:
        raise InputError("model: its boxes have scores and no labels. Return the class of each box too.")
    scores = scores.reshape(boxes.shape[:2])
    labels = torch.zeros_like(scores) if labels is None else labels.reshape(boxes.shape[:2])
    many = [boxes.shape[1]] * count if numbers is None else [int(n) for n in numbers.flatten().tolist()]
    rows = zip(boxes, scores, labels, many, strict=True)
    return Arranged("decided boxes", "score, class", tuple(_found(b[:n], s[:n], c[:n]) for b, s, c, n in rows))


def _found(boxes: Tensor, scores: Tensor, labels: Tensor) -> Found:
    """The boxes of one image without its padding: rows of zeros, or labels below 0."""
    real = ((boxes != 0).any(-1) | (scores != 0)) & (labels >= 0)
    if not bool(real.all()):
        boxes, scores, labels = boxes[real], scores[real], labels[real]
    return Found(boxes, scores, labels.detach().round().long())


def _tensor(held: Tensor, count: int, classes: int, known: Form | None, objectness: bool | None) -> Arranged:
    if held.ndim == 2 and held.shape[1] == _NUMBERED:
        return _numbered(held, count, known)
    if held.ndim == 2 and held.shape[1] == _ROW and count == 1:
        held = held[None]
    if held.ndim != 3 or len(held) != count:
        raise InputError(_unread(held))
    columns = known.columns if known is not None else _columns(held[..., 4], held[..., 5]) if _six(held) else None
    if _six(held) and columns is not None and (known is None or known.layout == "rows"):
        score, label = (4, 5) if columns == "score, class" else (5, 4)
        return Arranged("rows", columns, tuple(_found(row[:, :4], row[:, score], row[:, label]) for row in held))
    head = read_head(held, classes, known.layout if known else None, objectness)
    if head is None:
        raise InputError(_unread(held, classes))
    return Arranged(head.layout, "score, class", head.raw)


def _six(held: Tensor) -> bool:
    return held.shape[2] == _ROW


def _numbered(held: Tensor, count: int, known: Form | None) -> Arranged:
    if known is not None:
        columns: Columns = known.columns
    else:
        columns = (_columns(held[:, 5], held[:, 6]) if len(held) else None) or "class, score"
    score, label = (5, 6) if columns == "score, class" else (6, 5)
    images = held[:, 0].detach().round().long()
    if len(held) and not bool(((images >= 0) & (images < count)).all()):
        raise InputError(
            f"model: the first of its seven numbers is the image of a box, and it reaches {int(images.max())} for "
            f"{count} images. Return rows of image, box, class and score."
        )
    rows = [held[images == place] for place in range(count)]
    return Arranged("numbered rows", columns, tuple(_found(row[:, 1:5], row[:, score], row[:, label]) for row in rows))


def _columns(first: Tensor, second: Tensor) -> Columns | None:
    """The order of the last two numbers of rows: classes are whole, scores are not. None: neither is whole."""
    whole = [bool((part == part.round()).all()) for part in (first.detach(), second.detach())]
    if whole[1]:
        return "score, class"
    return "class, score" if whole[0] else None


def _unread(returned: Any, classes: int | None = None) -> str:
    text = f"model: it returned {shown(returned)}, and palpate recognises no boxes in it."
    if classes is not None and isinstance(returned, Tensor):
        width = min(returned.shape[1:])
        return (
            f"{text} A YOLO head of that shape has {max(width - 4, 0)} classes ({max(width - 5, 0)} with objectness), "
            f"and task.classes names {classes}. Correct task.classes, or choose the model that fits."
        )
    return (
        f"{text} Detection reads boxes with scores and labels, rows of six numbers, a raw YOLO head, or "
        "palpate.annotations.Candidates: name the part in model.output, or wrap the model in a module that returns one."
    )
