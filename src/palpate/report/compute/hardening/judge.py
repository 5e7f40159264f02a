"""Decide from run folders whether a model may be called *hardened*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palpate.report.compute.compare.changes import adjusted, changes
from palpate.report.compute.compare.listing import ANY, CLEAN
from palpate.report.compute.compare.measured import Measured, comparable
from palpate.report.compute.compare.sentences import find
from palpate.report.compute.hardening import checks as check
from palpate.report.compute.hardening.given import Given, given
from palpate.report.compute.hardening.outcomes import Beating
from palpate.report.compute.hardening.price import price_of
from palpate.report.compute.hardening.verdict import Check, Verdict, concluded
from palpate.report.model.schema_compare import Change
from palpate.storage.runs import RunFolder


def judge(before: RunFolder, after: RunFolder, checks: Mapping[str, Any] | None = None) -> Verdict:
    """Whether the model of `after` may be called *hardened*, compared with that of `before`.

    The word needs every check: an established gain, the clean floor, a gain against many steps, gradients,
    no search without gradients and no images against the old model that find more than the white box, a fall at four
    times the budget, no more found by more starts, and a gain under another family of attacks. A check that was not
    measured prevents the word too.

        verdict = judge(RunFolder(Path("runs/before")), RunFolder(Path("runs/after")))
        verdict.word, verdict.sentence, [one.sentence for one in verdict.refused]

    Args:
        before: finished run folder of the model before hardening.
        after: finished run folder of the hardened model, by the same plan.
        checks: what the hardening measured itself, in the form of `checks.json`; by default that file of `after`.
            `eps` is the budget of the training; without it, it is that of `harden.json`, or of the verdict of `before`.

    Raises:
        InputError: the runs cannot be compared, or a field of `checks` is wrong.
        StorageError: a run cannot be read.
    """
    known = given(checks, after.path)
    found = comparable([before, after])
    first, second = found.runs
    (changed,) = adjusted([changes(first.figures, second.figures)])
    return judge_measured(first, second, changed, known, found.headline)


def judge_measured(
    before: Measured, after: Measured, changed: Sequence[Change], known: Given, headline: float | None
) -> Verdict:
    """The same for runs that were read and compared already.

    Args:
        before: the run before hardening.
        after: the run after it.
        changed: all figures of both, adjusted.
        known: what else was measured.
        headline: the budget that is judged if the hardening names none.
    """
    eps = _budget(after, known.eps, headline)
    price = price_of(changed, eps)
    floor = check.clean_floor(find(changed, "clean accuracy", CLEAN, None), known.floor)
    if eps is None:
        missing = Check("gain", "not measured", "No budget of the training is among the budgets of both runs.")
        return concluded((missing, floor), price, None, "")
    one, two = Beating(before, eps), Beating(after, eps)
    reasons = (
        check.gain(find(changed, "robust accuracy", ANY, eps)),
        floor,
        check.many_steps(one, two),
        check.gradients(two),
        check.no_gradients(two, known),
        check.transfer(two, known),
        check.far_budget(after, eps, known),
        check.restarts(two, known),
        check.other_families(one, two, known),
    )
    return concluded(reasons, price, eps, before.results.data.written(eps))


def _budget(after: Measured, wanted: float | None, headline: float | None) -> float | None:
    """The budget of the training, as the runs have it; without one that of the comparison."""
    if wanted is None:
        return headline
    return next((eps for eps in after.shared.eps if abs(eps - wanted) <= 1e-6 * wanted), None)
