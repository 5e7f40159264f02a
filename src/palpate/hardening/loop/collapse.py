"""The signature of catastrophic overfitting: one step of the gradient fails where many steps win."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.hardening.contracts import EpochRow

FALL = 0.1
"""The multi-step score has to fall by more than this share of the images: three standard errors of a paired difference
on 200 images of which a tenth change."""
NOISE = 0.02
"""By so much the single-step score may be lower and still counts as not fallen."""


def collapsed(before: Sequence[EpochRow], now: EpochRow) -> EpochRow | None:
    """The epoch against which `now` shows catastrophic overfitting; None if it does not.

    A network trained on single-step attacks can learn to bend its gradient so that one step finds nothing, while many
    steps find everything (arXiv 2001.03994, 2007.02617). Against the epoch of `before` with the highest robust score:

        robust_now < robust_before - 0.1   and   single_now >= single_before - 0.02

    Where both fall, it is a bad epoch, but not this.

    Args:
        before: the epochs of this stretch of training, its start first (`stretch`).
        now: the epoch just examined; trained without attack (eps 0) it cannot show it.
    """
    if not before or now.eps <= 0:
        return None
    reference = max(before, key=lambda row: row.robust)
    fell = now.robust < reference.robust - FALL
    return reference if fell and now.single >= reference.single - NOISE else None


def stretch(rows: Sequence[EpochRow], since: int, begun: int) -> list[EpochRow]:
    """The epochs that a new one is compared with: the one whose weights the training started from, and those after it.

    Of epochs trained without an attack (eps 0) only the last counts, because its successor is the first that can
    overfit.

    Args:
        rows: all finished epochs, in order.
        since: the epoch whose weights this stretch started from: 0, or the one that was rolled back to.
        begun: the first epoch of this stretch.
    """
    own = [row for row in rows if row.epoch == since or row.epoch >= begun]
    unattacked = [place for place, row in enumerate(own) if row.eps <= 0]
    return own[unattacked[-1] :] if unattacked else own


def told(reference: EpochRow, now: EpochRow) -> str:
    """The signature in words, without a full stop."""
    change = "rose" if now.single > reference.single + NOISE else "stayed"
    single = (
        f"{change} at {now.single:.2f}"
        if change == "stayed"
        else f"rose from {reference.single:.2f} to {now.single:.2f}"
    )
    return (
        f"Epoch {now.epoch}: catastrophic overfitting: since epoch {reference.epoch} the score under one step "
        f"{single}, and that under the judge fell from {reference.robust:.2f} to {now.robust:.2f}"
    )
