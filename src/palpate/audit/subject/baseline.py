"""One pass over all clean images before any attack: every image is checked, and each attack gets its list of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from palpate.audit.plan.items import Item
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import Subject
from palpate.contracts import Task
from palpate.errors import InputError
from palpate.models.faults import refusal
from palpate.tasks.output_checks import require_batch_axis
from palpate.tensors import Tree, finite
from palpate.units import distinct
from palpate.usercode import ModelError


def attackable(subject: Subject, items: Sequence[Item], room: Room) -> dict[str, list[int]]:
    """The rows that each attack can win, by the identity of the attack.

    Raises:
        InputError: an image is outside the bounds, it or the model's output for it holds NaN or infinity, or its
            annotation does not fit the task; the file is named.
    """
    with subject.victim:
        return rows_to_win(subject, items, room, range(len(subject.table)))


def rows_to_win(subject: Subject, items: Sequence[Item], room: Room, rows: Sequence[int]) -> dict[str, list[int]]:
    """As `attackable`, for some rows. Call it inside `with victim:`."""
    open_rows: dict[str, list[int]] = {item.identity: [] for item in items}
    tasks = [item.task for item in items]
    for batch, (outputs, targets) in all_answered(subject, rows, room, tasks):
        for item in items:
            wins = item.task.eligible(targets) & (item.task.margin(outputs, targets) > 0)
            open_rows[item.identity] += [row for row, win in zip(batch, wins.tolist(), strict=True) if win]
    return open_rows


def all_answered(
    subject: Subject, rows: Sequence[int], room: Room, tasks: Sequence[Task]
) -> Iterator[tuple[tuple[int, ...], tuple[Tree, Tree]]]:
    """`answered` for any rows: at each call as many images of one shape as fit into memory."""
    for batch in subject.batches(rows, room.wanted):
        yield from room.each(batch, lambda part: answered(subject, part, *tasks))


def answered(subject: Subject, rows: Sequence[int], *tasks: Task) -> tuple[Tree, Tree]:
    """The model's outputs for some images of one shape, and their annotations. Call it inside `with victim:`.

    Raises:
        InputError: an image is outside the bounds or holds NaN or infinity, the model fails on it or its output holds
            NaN or infinity, or the outputs or annotations do not fit these tasks; the file is named.
    """
    low, high = subject.victim.bounds
    images, targets = subject.images(rows), subject.targets(rows)
    flat = images.flatten(1)
    # Comparisons with NaN are false.
    inside = ((flat >= low) & (flat <= high)).all(1)
    if not bool(inside.all()):
        first = flat[int((~inside).nonzero()[0])]
        ends = distinct(low, high, float(first.min()), float(first.max()))
        held = f"values from {ends[2]} to {ends[3]}, outside the bounds {ends[0]} to {ends[1]}"
        _refuse(subject, rows, inside, f"it holds {held}. Correct model.bounds, or the image.")
    try:
        outputs = subject.victim.judge(images)
    except ModelError as error:
        raise InputError(f"{_names(subject, rows)}: {refusal(error.cause, images.shape)}") from error
    require_batch_axis(outputs, len(rows))
    _refuse(
        subject,
        rows,
        finite(outputs),
        "the model's output for it is NaN or infinite. Check the preprocessing and the weights, or remove the image.",
    )
    for task in tasks:
        try:
            task.validate(outputs, targets)
        except InputError as error:
            raise InputError(f"{_names(subject, rows)}: {error}") from error
    return outputs, targets


def _names(subject: Subject, rows: Sequence[int]) -> str:
    return subject.table[rows[0]].name + ("" if len(rows) == 1 else f" to {subject.table[rows[-1]].name}")


def _refuse(subject: Subject, rows: Sequence[int], good: Tensor, text: str) -> None:
    bad = (~good).nonzero().flatten().tolist()
    if bad:
        raise InputError(f"{subject.table[rows[bad[0]]].name}: {text}")
