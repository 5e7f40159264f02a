"""What an earlier start of a run noted, and what a continued one says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from palpate.audit.run.journal import Journal
from palpate.audit.subject.preflight import AuditFinding
from palpate.audit.work.exports import EXPORTS
from palpate.audit.work.questions import QUESTIONS

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

COULD_NOT = "This attack could not run:"
PROVENANCE, SAVING, MEMORY = "provenance", "saving", "memory"


def known(seconds: Mapping[str, float | None]) -> dict[str, float]:
    """The times of what was finished."""
    return {key: value for key, value in seconds.items() if value is not None}


def remembered(before: dict[str, Any], plan: Plan) -> list[AuditFinding]:
    """Findings from the time when the finished shards were made; a later start cannot find them again."""
    wanted = {PROVENANCE, MEMORY, QUESTIONS}
    wanted |= {EXPORTS} if plan.export.images != "none" else set()
    wanted |= {SAVING} if plan.survival.saved else set()
    return [AuditFinding(**noted) for noted in before.get("findings", []) if noted["subject"] in wanted]


def could_not_run(before: dict[str, Any] | None) -> set[str]:
    """The attacks that the last start could not run."""
    noted = (before or {}).get("findings", [])
    return {finding["subject"] for finding in noted if finding["text"].startswith(COULD_NOT)}


def moved(before: dict[str, Any], journal: Journal) -> list[AuditFinding]:
    """A note if attacks continue with other versions or on another machine than before."""
    changes = [
        f"{key} {was.get(key, 'none')} -> {here.get(key, 'none')}"
        for was, here in (
            (before.get("versions", {}), journal.versions),
            (before.get("machine", {}), journal.machine),
        )
        for key in sorted({*was, *here})
        if was.get(key) != here.get(key)
    ]
    if not changes:
        return []
    text = f"The run continued with other versions or on another machine ({'; '.join(changes)})."
    text += " The last digits of figures may differ."
    return [AuditFinding("note", PROVENANCE, text)]
