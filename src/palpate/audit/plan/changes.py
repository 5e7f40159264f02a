"""What differs between two plans, field by field."""

from __future__ import annotations

from typing import Any

from palpate.audit.plan.plan import Plan, parse_plan
from palpate.errors import PlanError

_LISTED = 8


def plan_changes(old: str, plan: Plan) -> list[str]:
    """The fields in which `plan` differs from the plan of an earlier text, each as `field: old -> new`.

    Spelling, order of keys, comments, gates, the main budget and the title do not count: they do not change records. A
    text that this version of palpate cannot read counts as one change.
    """
    try:
        before = parse_plan(old, plan.origin)
    except PlanError:
        return ["this version of palpate cannot read the stored plan.toml"]
    one, other = _flat(before), _flat(plan)
    changes = []
    for field in [*one, *(field for field in other if field not in one)]:
        was, now = one.get(field, "not there"), other.get(field, "not there")
        if was != now:
            changes.append(f"{field}: {was} -> {now}")
    return changes


def listed(changes: list[str]) -> str:
    """The first few changes in one phrase."""
    more = f"; and {len(changes) - _LISTED} more" if len(changes) > _LISTED else ""
    return "; ".join(changes[:_LISTED]) + more


def _flat(plan: Plan) -> dict[str, str]:
    # Folders of files, gates, title, main budget, training, evidence and engine do not change what was computed.
    engine = {"engine", "workers", "address", "gpus"}
    left_out: dict[str, Any] = {
        "data": {"roots"},
        "threat": {"main"},
        "run": engine,
        **dict.fromkeys(("title", "gates", "harden", "evidence"), True),
    }
    document = plan.model_dump(exclude=left_out)
    # By name, so that a new attack in front of the others is one change and not all of them.
    document["attacks"] = {
        section.title: {**section.model_dump(exclude={"name", "parameters"}), **section.parameters}
        for section in plan.attacks
    }
    return dict(_leaves("", document))


def _leaves(path: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [leaf for key, entry in value.items() for leaf in _leaves(f"{path}.{key}" if path else key, entry)]
    if isinstance(value, tuple) and value and isinstance(value[0], dict):
        return [leaf for place, entry in enumerate(value) for leaf in _leaves(f"{path}[{place}]", entry)]
    shown = list(value) if isinstance(value, tuple) else value
    return [(path, "none" if shown is None else str(shown))]
