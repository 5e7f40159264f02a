"""Contradictions of `[[artefacts]]`, each with its key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate.artefacts import catalog
from palpate.audit.plan.artefacts import artefact_item
from palpate.audit.plan.problems import Problem
from palpate.audit.plan.sections.gates import ANY, CLEAN
from palpate.errors import InputError, nearest

if TYPE_CHECKING:
    from palpate.audit.plan.fields import PlanFields
    from palpate.audit.plan.sections.gates import GateSection


def artefact_problems(plan: PlanFields) -> Iterator[Problem]:
    """Artefacts that cannot be made, or that have the name of another one."""
    seen: set[str] = {attack.title for attack in plan.attacks}
    for place, section in enumerate(plan.artefacts):
        key = ("artefacts", place)
        try:
            item = artefact_item(plan, section)
        except InputError as error:
            yield _problem(key, section.artefact, str(error))
            continue
        if section.title in (ANY, CLEAN):
            yield (*key, "name"), f"'{section.title}' has a special meaning in gates. Choose another name."
        elif section.title in seen:
            yield (*key, "name"), f"'{section.title}' is the name of another row already. Give it another name = ..."
        elif not item.modalities and not section.any_modality:
            kinds = "; ".join(f"'{entry.name}' is of {', '.join(entry.modalities)}" for entry in item.entries)
            yield (
                (*key, "artefact"),
                f"no kind of images has all of these: {kinds}. Name artefacts of one kind; any_modality = true runs "
                "them all the same.",
            )
        elif plan.data.modality is not None and plan.data.modality not in item.modalities and not section.any_modality:
            fitting = ", ".join(entry.name for entry in catalog.of_modality(plan.data.modality))
            yield (
                (*key, "artefact"),
                f"'{section.artefact}' is not an artefact of {plan.data.modality} (data.modality). Those are "
                f"{fitting}; any_modality = true runs it all the same.",
            )
        seen.add(section.title)


def _problem(key: tuple[str | int, ...], name: str, text: str) -> Problem:
    for field in ("goal", "severity", "draws", "tries", "evolution", "polish", "bisection"):
        if text.startswith(f"{field}: "):
            return (*key, field), text.removeprefix(f"{field}: ")
    return (*key, "artefact"), text.removeprefix("parts: ")


def artefact_gate(plan: PlanFields, gate: GateSection) -> Iterator[tuple[str, str]]:
    """What is wrong with a gate on an artefact."""
    known = [section.title for section in plan.artefacts]
    if gate.artefact not in known:
        hint = nearest(str(gate.artefact), known) if known else "The plan has no [[artefacts]]."
        yield "artefact", f"there is no artefact '{gate.artefact}'. {hint}"
    if "attack" in gate.model_fields_set:
        yield "attack", "a gate is on an attack or on an artefact. Remove one of them."
    if gate.eps is not None:
        yield "eps", "an artefact has no budget. Remove it, or write severity."
    if gate.worst == (gate.severity is not None):
        yield "severity", "a gate on an artefact needs either severity = 1 to 5 (the mean) or worst = true."
    if gate.metric not in ("robust_accuracy", "score", "missed_disease", "invented_disease"):
        yield "metric", "artefacts have robust_accuracy, score, missed_disease and invented_disease."
