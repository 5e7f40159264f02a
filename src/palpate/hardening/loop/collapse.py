"""The signature of catastrophic overfitting: one step of the gradient fails where many steps win."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.hardening.contracts import EpochRow

FALL = 0.1
"""The multi-step score has to fall by more than this share of the images: three standard errors of a paired difference
on 200 images of which a tenth change."""
SHARE = 0.25
"""The single-step score may have fallen by at most this share of what the multi-step score lost."""


def collapsed(before: Sequence[EpochRow], now: EpochRow) -> EpochRow | None:
    """The epoch against which `now` shows catastrophic overfitting; None if it does not.

    A network trained on single-step attacks can learn to bend its gradient so that one step finds nothing, while many
    steps find everything (arXiv 2001.03994, 2007.02617). Against the epoch of `before` with the highest robust score:

        fall = robust_before - robust_now > 0.1   and   single_before - single_now <= fall / 4

    Where both fall alike, it is a bad epoch, but not this.

    Args:
        before: the epochs of this stretch of training, its start first (`stretch`).
        now: the epoch just examined; trained without attack (eps 0) it cannot show it.
    """
    if not before or now.eps <= 0:
        return None
    reference = max(before, key=lambda row: row.robust)
    fall = reference.robust - now.robust
    hidden = reference.single - now.single <= SHARE * fall
    return reference if fall > FALL and hidden else None


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
    before, after = f"{reference.single:.2f}", f"{now.single:.2f}"
    if before == after:
        single = f"stayed at {after}"
    else:
        single = f"{'rose' if now.single > reference.single else 'fell only'} from {before} to {after}"
    return (
        f"Epoch {now.epoch}: catastrophic overfitting: since epoch {reference.epoch} the score under one step "
        f"{single}, and that under the attack that chooses the epoch fell from {reference.robust:.2f} to "
        f"{now.robust:.2f}"
    )
