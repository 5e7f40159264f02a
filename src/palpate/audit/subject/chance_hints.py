"""Why a classifier may not be better than guessing: what its answers show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_FITS = 0.8
"""Another order of the classes is named if at least this share of images is right in it."""


def hint(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], names: Sequence[str]) -> str:
    """One sentence with the likely reason; empty if the answers show none.

    Args:
        predicted: decisions (N,).
        labels: true classes (N,).
        names: the classes in the plan's order.
    """
    answers = np.unique(predicted)
    if len(answers) == 1:
        return f"It answers '{names[int(answers[0])]}' for every image."
    order = _other_order(predicted, labels, len(names))
    if order is None:
        return ""
    right = int((predicted == np.argsort(order)[labels]).sum())
    listed = ", ".join(f'"{names[label]}"' for label in order)
    return (
        f"Its answers fit another order of the classes, in which {right} of {len(labels)} would be right: if the model "
        f"was trained with this order, write classes = [{listed}] in [task]."
    )


def _other_order(
    predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64] | None:
    """The class that each output seems to mean, if nearly all answers agree on it."""
    table = np.zeros((count, count), dtype=np.int64)  # answer, label
    np.add.at(table, (predicted, labels), 1)
    order = table.argmax(1)
    if len(np.unique(order)) != count or (order == np.arange(count)).all():
        return None
    return order if table[np.arange(count), order].sum() >= _FITS * len(labels) else None
