"""The run of a reference model, whose errors under the same artefacts are what this model's are divided by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from palpate.audit.plan.artefacts import ArtefactItem
from palpate.audit.plan.sections.tasks import ClassificationSection
from palpate.audit.subject.subject import Subject
from palpate.errors import PlanError, StorageError
from palpate.metrics.artefacts import ArtefactOutcome, arrange_artefacts, balanced, clean_errors, errors
from palpate.metrics.panel import Floats
from palpate.storage.runs import RunFolder

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


def reference_of(plan: Plan, subject: Subject, items: Sequence[ArtefactItem]) -> dict[str, Any] | None:
    """The errors of the reference model for each artefact of the plan; None if the plan names no reference.

    Raises:
        PlanError: there is no such run, it is of other images, or it has none of the plan's artefacts.
    """
    if plan.reference is None or not items:
        return None
    run = RunFolder(plan.root / plan.reference)
    try:
        described, frame = run.describe(), run.artefact_frame()
    except StorageError as error:
        raise PlanError(f"{plan.origin}: reference: {error}") from error
    if described.get("data", {}).get("fingerprint") != subject.data:
        raise PlanError(
            f"{plan.origin}: reference: {plan.reference} is a run on other images or labels. Audit the reference model "
            "on the same images, with the same [[artefacts]]."
        )
    wanted, classes = {item.identity for item in items}, isinstance(plan.task, ClassificationSection)
    found = {one.item: one for one in arrange_artefacts(frame, plan.task.disease_indices) if one.item in wanted}
    found = {item: one for item, one in found.items() if one.count == len(subject.table)}
    if not found:
        raise PlanError(
            f"{plan.origin}: reference: {plan.reference} has finished none of this plan's artefacts. Their search, "
            "goal and number of draws must be the same too."
        )
    return {
        "title": described.get("title", ""),
        "model": described.get("model", {}).get("source", ""),
        "weights": described.get("model", {}).get("sha256", ""),
        "errors": {item: _error(one, errors(one, classes)) for item, one in found.items()},
        "clean": {item: _error(one, clean_errors(one, classes)) for item, one in found.items()},
    }


def _error(outcome: ArtefactOutcome, error: Floats) -> float | None:
    value = float(balanced(error, outcome.label)(np.ones((1, outcome.count)))[0])
    return value if np.isfinite(value) else None
