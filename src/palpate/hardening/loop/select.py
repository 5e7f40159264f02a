"""What follows from the scores of an epoch: whether it is the best, and whether the training goes on from it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from palpate.audit.plan.sections.harden import HardenSection
from palpate.hardening.contracts import EpochRow
from palpate.hardening.loop.collapse import collapsed, stretch, told
from palpate.hardening.loop.schedules import SLOW_START
from palpate.hardening.loop.state import State
from palpate.units import counted

SLOWER = 0.25
"""A rollback leaves this share of the learning rate."""
STOP_AFTER = 2
"""The second rollback ends the training."""
FAIL_AFTER = 3
"""The third NaN ends it."""
_IN_A_ROW = 2
_NEAR_NOTHING = 0.02
_LEARNT = 0.98
_EXACT = 1e-9


class Decision(NamedTuple):
    """What follows from an epoch.

    Attributes:
        best: it is the best until now.
        action: `go on`; `slower`: back to the best epoch, at a lower rate; `switch`: back to it, with the fallback;
            `stop`.
        event: why, in sentences; empty if nothing happened.
    """

    best: bool
    action: Literal["go on", "slower", "switch", "stop"] = "go on"
    event: str = ""


def floor(rows: list[EpochRow], lose_at_most: float) -> float:
    """The clean score below which no epoch is chosen: that of the model before, minus what may be lost."""
    return rows[0].clean - lose_at_most - _EXACT


def is_best(rows: list[EpochRow], best: int, row: EpochRow, lose_at_most: float) -> bool:
    """Whether an epoch is better than the best one: a higher robust score, and a clean score not below the floor."""
    return row.clean >= floor(rows, lose_at_most) and row.robust > rows[best].robust


def decide(state: State, row: EpochRow, settings: HardenSection, eps: float, fallback: str) -> Decision:
    """What follows from an epoch, in this order: overfitting, nothing learnt, the clean floor, patience.

    `state.rows` are the epochs before it. `state.below` and `state.learnt` are brought up to date.

    Args:
        state: where the training is.
        row: the epoch just examined.
        settings: `[harden]` of the plan.
        eps: the full budget in stored values.
        fallback: name of the recipe that follows after catastrophic overfitting.
    """
    last = row.epoch == settings.epochs
    low = row.clean < floor(state.rows, settings.lose_at_most)
    state.below = state.below + 1 if low else 0
    reference = collapsed(stretch(state.rows, state.since, state.begun), row)
    if reference is not None:
        if not state.fallen_back:
            way = _last_words(state) if last else f"Rolled back to {called(state.best)}; the recipe is {fallback}."
            return Decision(False, "switch", f"{told(reference, row)}. {way}")
        return _back(state, told(reference, row), last=last)
    if nothing := _nothing_learnt(state, row, settings, eps, low):
        return Decision(False, "stop", nothing)
    if state.below == _IN_A_ROW:
        allowed = state.rows[0].clean - settings.lose_at_most
        return _back(
            state,
            f"Epoch {row.epoch}: the clean score, {row.clean:.3f}, is below the floor of {allowed:.3f} for the second "
            "time in a row",
            last=last,
        )
    best = is_best(state.rows, state.best, row, settings.lose_at_most)
    if not best and _out_of_patience(state, row, settings, eps):
        return Decision(
            False,
            "stop",
            f"Stopped after epoch {row.epoch}: no better robust score in {counted(settings.patience, 'epoch')}.",
        )
    return Decision(best)


def called(epoch: int) -> str:
    """An epoch in words; 0 is the model before training."""
    return f"epoch {epoch}" if epoch else "the model before training"


def _back(state: State, why: str, *, last: bool) -> Decision:
    if state.rollbacks + 1 >= STOP_AFTER:
        return Decision(
            False, "stop", f"{why}. It is the second rollback, so the training stops; {called(state.best)} is the best."
        )
    way = f"Rolled back to {called(state.best)}; the learning rate is a quarter of before."
    return Decision(False, "slower", f"{why}. {_last_words(state) if last else way}")


def _last_words(state: State) -> str:
    return f"This was the last epoch; {called(state.best)} is the best."


def _nothing_learnt(state: State, row: EpochRow, settings: HardenSection, eps: float, low: bool) -> str:
    """Why nothing can be learnt at this budget; empty if something was, or it is too early to say.

    Asked from the first epoch at the full budget on that ends after the slow start of the rate. A loss that still falls
    from epoch to epoch is learning, however high it is.
    """
    sums = state.sums
    if state.learnt or row.eps < eps or row.epoch < SLOW_START * settings.epochs or not sums.compared:
        return ""
    before = [earlier.loss for earlier in state.rows if earlier.epoch and earlier.eps >= eps]
    if before and row.loss < _LEARNT * before[-1]:
        return ""
    answers, constant = sums.answers / sums.compared, sums.constant / sums.compared
    if answers < _LEARNT * constant or not (low or row.robust <= _NEAR_NOTHING):
        state.learnt = True
        return ""
    return (
        f"Stopped after epoch {row.epoch}: nothing can be learned at eps = {eps:g}. The training loss of attacked "
        f"images, {answers:.3f}, is not below that of a constant answer, {constant:.3f}; the robust score is "
        f"{row.robust:.3f}, the clean one {row.clean:.3f}. Take a smaller harden.eps, such as {eps / 4:g}, or "
        'eps_schedule = "ramp" with more epochs.'
    )


def _out_of_patience(state: State, row: EpochRow, settings: HardenSection, eps: float) -> bool:
    """Whether so many epochs at the full budget have passed without a better one."""
    growing = [earlier.epoch for earlier in state.rows if earlier.eps < eps]
    return 0 < settings.patience <= row.epoch - max(state.best, *growing)
