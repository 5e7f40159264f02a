"""`[[model.defences]]` of a plan: what surrounds the model and claims to protect it."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from palpate.audit.plan.sections.base import Section


class DefenceSection(Section):
    """`[[model.defences]]`: one defence around the model, the first outermost; every attack knows and attacks it.

    Every other key of the table is a parameter of the defence.
    """

    defence: str = Field(examples=['defence = "jpeg"'])
    """Name in the catalogue: `palpate list defences`."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Not a key of the table: every other key of the table is a parameter of the defence."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        own = {key: value for key, value in table.items() if key == "defence"}
        return {**own, "parameters": {key: value for key, value in table.items() if key not in own}}
