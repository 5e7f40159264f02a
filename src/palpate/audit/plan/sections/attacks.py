"""`[[attacks]]` of a plan: which attacks run, with which goal and parameters."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from palpate.audit.plan.sections.base import Section


class AttackSection(Section):
    """`[[attacks]]`: one attack; every other key of the table is a parameter of its own."""

    attack: str = Field(examples=['attack = "pgd"'])
    """Name in the catalog: `palpate list attacks`."""
    name: str = ""
    """What the report calls it; the catalog's name by default. No two attacks share one."""
    goal: str = "untargeted"
    """`untargeted`; of classes `hide disease`, `invent disease`, `towards: ` and a class; of findings
    `all findings`, `miss: `, `invent: `; of masks `erase: `, `insert: `, `shift: `, `swap: `; of boxes `vanish`,
    `fabricate`, `mislabel`."""
    robust_to: tuple[str, ...] = Field(default=(), examples=['robust_to = ["jpeg75", "blur1"]'])
    """What the found image shall survive: the attack climbs the mean over the image as it is and after each of these
    (`palpate list post-processing`). It takes that many times as long, and runs to its end."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Not written as such: every other key of the table is a parameter of the attack."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        own = {key: value for key, value in table.items() if key in ("attack", "name", "goal", "robust_to")}
        return {**own, "parameters": {key: value for key, value in table.items() if key not in own}}

    @property
    def title(self) -> str:
        """What records and reports call it."""
        return self.name or self.attack
