"""Whether adversarial images survive post-processing: saved and read again, compressed, smoothed.

A success that is gone after the image was saved is not an adversarial image in practice: it exists only in floating
point. An image that the attack did not beat has nothing that could survive, and counts as not beaten after it too.
Post-processing may also reach the goal alone, without any attack; that share is given with each figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palpate.metrics.findings import HealthFinding
from palpate.metrics.intervals import Share
from palpate.metrics.panel import Bools, Floats, Outcome
from palpate.metrics.robustness import within_budget

SAVED = "saved"
"""The post-processing step that writes an image in the format of its original and reads it again."""
COLLAPSE = 0.5
"""Where less than this share of the successes is left after saving, they do not exist in files."""
FEW = 5
"""A share of fewer successes than this has no meaning."""
ROUNDED = "Set threat.lattice = true to search on the lattice; a lossy format needs attack.robust_to as well."
LOSSY = 'The format is lossy: include its compression in the attack, such as attack.robust_to = ["jpeg90"].'


@dataclass(frozen=True, eq=False)
class SurvivalShares:
    """One attack at one budget after one post-processing step, over the eligible images where it was measured."""

    before: Share
    """The goal was reached before the step."""
    after: Share
    """The goal was reached before, and is still reached after it: the margin is 0 or less."""
    survived: Share
    """Of the images on which it was reached before, those on which it is still reached."""
    alone: Share
    """Of the images on which it was reached before, those whose clean image the step alone makes reach it."""


def survival(outcome: Outcome, budget: int, handling: int) -> SurvivalShares:
    """What is left of an attack after a post-processing step.

    Args:
        outcome: the attack.
        budget: index into `outcome.eps`.
        handling: index into the post-processing steps of the run.

    Returns:
        Shares of no images if the run has no such step.
    """
    if handling >= outcome.handled.shape[2]:
        return _unmeasured(outcome.eligible.size)
    margins = outcome.handled[budget, :, handling]
    among = outcome.recorded[budget] & outcome.eligible
    clean = (
        outcome.clean_handled[:, handling]
        if handling < outcome.clean_handled.shape[1]
        else np.full(margins.size, np.nan)
    )
    return shares(outcome.success[budget], among, margins, clean)


def shares(success: Bools, eligible: Bools, handled: Floats, clean_handled: Floats) -> SurvivalShares:
    """The shares from plain arrays.

    Args:
        success: (N,) the goal was reached before the step.
        eligible: (N,) images that count.
        handled: (N,) margin of the adversarial image after it; 0 or less: reached; NaN: not measured. A success that
            was not measured does not count.
        clean_handled: (N,) margin of the clean image after it.
    """
    won, known = eligible & success, ~np.isnan(handled)
    # Where no success was measured, the images that withstood say nothing about the step.
    among = eligible & (known | ~success) if not won.any() or (won & known).any() else np.zeros_like(eligible)
    after = success & np.less_equal(handled, 0)
    return SurvivalShares(
        before=Share(success, among),
        after=Share(after, among),
        survived=Share(after, among & success),
        alone=Share(np.less_equal(clean_handled, 0), among & success & ~np.isnan(clean_handled)),
    )


def together(outcomes: Sequence[Outcome], eps: float, handling: int, images: int) -> SurvivalShares:
    """All attacks of one goal together: some adversarial image within the budget reaches the goal after the step.

    Attacks without this budget and images whose change is larger than it do not count.

    Args:
        outcomes: attacks of one goal.
        eps: the budget in values.
        handling: index into the post-processing steps of the run.
        images: N.
    """
    none = np.zeros(images, dtype=bool)
    before, after, alone = none.copy(), none.copy(), none.copy()
    among, known = none.copy(), none.copy()
    for outcome in outcomes:
        for budget in np.flatnonzero(outcome.eps == eps):
            one, kept = survival(outcome, int(budget), handling), within_budget(outcome)[budget]
            among |= one.after.among
            before |= one.before.hits & one.before.among & kept
            after |= one.after.hits & one.after.among & kept
            known |= one.alone.among
            alone |= one.alone.hits & one.alone.among
    return SurvivalShares(Share(before, among), Share(after, among), Share(after, among & before), Share(alone, known))


def saved_difference(outcome: Outcome, budget: int) -> float:
    """Largest difference between an adversarial image and what was read back; NaN where none was saved."""
    known = outcome.saved_linf[budget][outcome.recorded[budget]]
    known = known[~np.isnan(known)]
    return float(known.max()) if known.size else float("nan")


def saved_success(
    outcomes: Sequence[Outcome], handlings: Sequence[str], unit: str = "", *, lattice: bool = False
) -> HealthFinding:
    """Successes are still there after the images were saved in their own format and read again.

    Args:
        outcomes: all attacks.
        handlings: names of the post-processing steps, in the order of the records.
        unit: that of the values.
        lattice: whether attacks searched only among values that the files can store.
    """
    name = "Success in files"
    if SAVED not in handlings:
        return HealthFinding(
            "note",
            name,
            "No adversarial image was saved and read again, so it is not known whether these perturbations exist in "
            "files. Set survival.saved = true.",
        )
    place = list(handlings).index(SAVED)
    cells = [
        (outcome, budget, survival(outcome, budget, place).survived)
        for outcome in outcomes
        for budget in range(outcome.eps.size)
    ]
    successes, left = sum(one.total for *_, one in cells), sum(one.count for *_, one in cells)
    if not successes:
        return HealthFinding("note", name, "No adversarial image that reached its goal was saved and read again.")
    gone = [cell for cell in cells if cell[2].total >= FEW and cell[2].value < COLLAPSE]
    if not gone:
        return HealthFinding(
            "pass", name, f"Of {successes} successes, {left} are still there after saving and reading again."
        )
    which = "Most of these" if left else "These"
    outcome, budget, worst = min(gone, key=lambda cell: (cell[2].value, -cell[2].total))
    return HealthFinding(
        "warning",
        name,
        f"{which} perturbations do not exist in files: of the {worst.total} images that '{outcome.attack}' beat at eps "
        f"{outcome.eps[budget]:g}{f' {unit}' if unit else ''}, {worst.count} stay beaten after they were saved in "
        f"the format of the originals and read again"
        f"{_elsewhere(len(gone) - 1)}. {LOSSY if lattice else ROUNDED}",
    )


def _elsewhere(others: int) -> str:
    return f" (fewer than half in {others} more pairs of attack and budget)" if others else ""


def _unmeasured(images: int) -> SurvivalShares:
    empty: Bools = np.zeros(images, dtype=bool)
    return SurvivalShares(*(Share(empty, empty) for _ in range(4)))
