"""Annotations of some images as the trees of tensors that tasks use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from palpate.annotations import Boxes, Masks
from palpate.data.annotations.annotation import Annotation, Labels
from palpate.data.formats.scan import Header
from palpate.data.table import Table
from palpate.errors import InputError

Spacing = tuple[float, ...] | None
"""mm of a pixel along each spatial axis; None where it is not known."""
CLASSES = ("binary", "multiclass", "ordinal")
"""Kinds of task whose images have one class each, and no annotation besides it."""


def survey(
    table: Table, headers: Sequence[Header], kind: str, names: int, given: Spacing = None
) -> tuple[tuple[int, ...], list[Spacing]]:
    """Images in which each class, structure or finding occurs, and the spacing of each image.

    The spacing is the annotation's or the file's; if both lack it, the plan's.

    Every annotation is read once, so that one that cannot be read stops an audit before hours are spent.

    Raises:
        InputError: an annotation cannot be read, or the given spacing does not fit an image.
    """
    ours = [spacing_of(header, given, case.name) for header, case in zip(headers, table, strict=True)]
    if kind in CLASSES:
        return table.counts(), ours
    counts, spacings = np.zeros(names, dtype=np.int64), list[Spacing]()
    for row in range(len(table)):
        one = table.annotation(row)
        spacings.append(one.spacing or ours[row])
        counts[sorted(_present(one, names))] += 1
    return tuple(counts.tolist()), spacings


def spacing_of(header: Header, given: Spacing, name: str) -> Spacing:
    """The spacing that a file has, or that the plan gives; raises InputError if they contradict each other."""
    if given is None:
        return header.spacing
    if len(given) != len(header.shape) - 1:
        raise InputError(
            f"data.spacing: {list(given)} has {len(given)} numbers, and {name} has {len(header.shape) - 1} axes. "
            "Give one number per axis."
        )
    if header.spacing is not None and not np.allclose(given, header.spacing, rtol=0.01):
        raise InputError(f"data.spacing: {list(given)} is given, and {name} stores {list(header.spacing)}. Remove it.")
    return header.spacing or given


def shared(spacings: Sequence[Spacing]) -> Spacing:
    """The spacing of all images; empty if they differ, None if one is not known."""
    different = set(spacings)
    if None in different:
        return None
    return different.pop() if len(different) == 1 else ()


def _present(one: Annotation, names: int) -> set[int]:
    """Classes, structures or findings of one image."""
    if one.findings is not None:
        return set(np.flatnonzero(one.findings == 1).tolist())
    if one.labels is None:
        return set(_classes(one).tolist())
    if one.overlapping:
        return {part for part in range(names) if bool((one.labels[part] == 1).any())}
    return {int(value) - 1 for value in np.unique(one.labels) if 1 <= value <= names}


def _classes(one: Annotation) -> Labels:
    assert one.classes is not None
    return one.classes


def _labels(one: Annotation) -> Labels:
    assert one.labels is not None
    return one.labels


def masks(annotations: Sequence[Annotation], spacings: Sequence[Spacing] | None) -> Masks:
    """Masks (B, [S,] *spatial) of images of one shape, with their spacing if it is known for all audited images."""
    labels = torch.from_numpy(np.stack([_labels(one) for one in annotations]))
    return Masks(labels, None if spacings is None else torch.tensor(spacings, dtype=torch.float64))


def boxes(annotations: Sequence[Annotation]) -> Boxes:
    """Boxes (B, M, 4), padded to the largest number of one image, at least one."""
    most = max(1, *(len(_classes(one)) for one in annotations))
    places = torch.zeros(len(annotations), most, 4)
    labels = torch.full((len(annotations), most), -1)
    for row, one in enumerate(annotations):
        count = len(_classes(one))
        places[row, :count] = torch.from_numpy(np.asarray(one.boxes, dtype=np.float32)).reshape(count, 4)
        labels[row, :count] = torch.from_numpy(_classes(one))
    return Boxes(places, labels)


def findings(annotations: Sequence[Annotation]) -> Tensor:
    """Findings (B, K): 1, 0 or -1 for unknown."""
    return torch.from_numpy(np.stack([one.findings for one in annotations if one.findings is not None]))
