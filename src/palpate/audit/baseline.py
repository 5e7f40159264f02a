"""One pass over all clean images before any attack: every image can be attacked, and which attack has which to win."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from palpate.audit.items import Item
from palpate.audit.subject import Subject
from palpate.errors import InputError
from palpate.tensors import Tree, finite


def attackable(subject: Subject, items: Sequence[Item], batch: int) -> dict[str, list[int]]:
    """The rows that each attack can still win, by the attack's identity.

    Raises:
        InputError: an image leaves the bounds or holds NaN or infinity, or the model's output for it does, or its
            annotation is not what the task reads; its file is named.
    """
    low, high = subject.victim.bounds
    open_rows: dict[str, list[int]] = {item.identity: [] for item in items}
    with subject.victim:
        for rows in subject.batches(range(len(subject.table)), batch):
            images, targets = subject.images(rows), subject.targets(rows)
            flat = images.flatten(1)
            # Comparisons with NaN are false.
            _refuse(
                subject,
                rows,
                ((flat >= low) & (flat <= high)).all(1),
                f"it holds values outside the bounds {low:g} to {high:g}, or NaN. Correct model.bounds, or the image.",
            )
            outputs = subject.victim.judge(images)
            _refuse(
                subject,
                rows,
                finite(outputs),
                "the model's output for it is NaN or infinite. Check the preprocessing and the weights, or take the "
                "image out.",
            )
            for item in items:
                _validate(subject, rows, item, outputs, targets)
                wins = item.task.eligible(targets) & (item.task.margin(outputs, targets) > 0)
                open_rows[item.identity] += [row for row, win in zip(rows, wins.tolist(), strict=True) if win]
    return open_rows


def _validate(subject: Subject, rows: Sequence[int], item: Item, outputs: Tree, targets: Tree) -> None:
    try:
        item.task.validate(outputs, targets)
    except InputError as error:
        names = subject.table[rows[0]].name + ("" if len(rows) == 1 else f" to {subject.table[rows[-1]].name}")
        raise InputError(f"{names}: {error}") from error


def _refuse(subject: Subject, rows: Sequence[int], good: Tensor, text: str) -> None:
    bad = (~good).nonzero().flatten().tolist()
    if bad:
        raise InputError(f"{subject.table[rows[bad[0]]].name}: {text}")
