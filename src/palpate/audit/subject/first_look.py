"""The model is tried on a few images: whether it can be audited, and which settings make the search fastest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from palpate.audit.plan.tasks import plan_task
from palpate.audit.subject.machine import machine, versions
from palpate.audit.subject.notes import model_notes, size_note
from palpate.audit.subject.preflight import AuditFinding, preflight
from palpate.audit.subject.remembered import remembered
from palpate.audit.subject.subject import Subject
from palpate.errors import InputError
from palpate.memory import out_of_memory
from palpate.victim import Precision, Tuning
from palpate.victim.tuning import choose, has_bfloat16

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


NO_BFLOAT16 = (
    'This processor has no instructions for bfloat16, so searches run in float32 although run.precision is "mixed".'
)


def first_look(
    plan: Plan, subject: Subject, rows: Sequence[int], before: dict[str, Any] | None
) -> tuple[list[AuditFinding], Tuning]:
    """Findings about the model on some images, and the settings for the search."""
    images, targets = subject.images(rows), subject.targets(rows)
    task, stated = plan_task(plan, "untargeted"), "outputs" in plan.model.model_fields_set
    subject.victim.draws = 1
    findings = preflight(
        subject.victim,
        task,
        images,
        targets,
        random_model=plan.run.random_model,
        draws=plan.run.draws,
        logits=stated,
    )
    findings += [*model_notes(plan, subject.victim, images), *size_note(plan, subject.table)]
    if plan.run.precision == "mixed" and not has_bfloat16(subject.device):
        findings.append(AuditFinding("note", "run.precision", NO_BFLOAT16))
    return findings, _tuning(plan, subject, images, before)


def _tuning(plan: Plan, subject: Subject, images: Tensor, before: dict[str, Any] | None) -> Tuning:
    """As the plan says. Only the layout `auto` is timed, and only once: a second timing could give another choice.

    bfloat16 needs a processor that has it; elsewhere it would cost many times more than it saves.
    """
    mixed = plan.run.precision == "mixed"
    if plan.run.layout != "auto":
        search: Precision = "bfloat16" if mixed and has_bfloat16(subject.device) else "float32"
        return Tuning(plan.run.layout, fold=True, search=search, forward_no_grad=search)
    stored = (before or {}).get("tuning", {})
    chosen = Tuning.restored(stored)
    if chosen is not None and stored.get("precision") == plan.run.precision:
        return chosen
    try:
        return remembered(_facts(subject, images, mixed), lambda: choose(subject.victim, images, mixed=mixed))
    except (InputError, RuntimeError) as error:
        if out_of_memory(error):
            raise
        # A model without gradients, or one that runs in its own format only; preflight has reported it.
        return Tuning()


def _facts(subject: Subject, images: Tensor, mixed: bool) -> dict[str, Any]:
    """What decides which settings are fastest."""
    return {
        **subject.model_identity,
        "shape": list(images.shape[1:]),
        "images": len(images),
        "mixed": mixed,
        "draws": subject.victim.draws,
        "machine": machine(subject.device),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "versions": versions(),
    }
