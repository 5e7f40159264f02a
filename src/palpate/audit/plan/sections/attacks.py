"""`[[attacks]]` of a plan: which attacks run, with which goal and parameters."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from palpate import catalog
from palpate.audit.plan.sections.base import Section
from palpate.audit.plan.sections.run import Order
from palpate.synonyms import same

_OWN = ("attack", "name", "goal", "robust_to", "curve", "query_budget")


class AttackSection(Section):
    """`[[attacks]]`: one attack; every other key of the table is a parameter of the attack."""

    attack: str = Field(examples=['attack = "pgd"'])
    """Name in the catalog: `palpate list attacks`."""
    name: str = ""
    """Its name in the report; the catalog's name by default. Two attacks cannot have the same name."""
    goal: str = "untargeted"
    """`untargeted`; for classes `hide disease`, `invent disease`, `towards: ` and a class; for findings
    `all findings`, `miss: `, `invent: `; for masks `erase: `, `insert: `, `shift: `, `swap: `; for boxes `vanish`,
    `fabricate`, `mislabel`."""
    robust_to: tuple[str, ...] = Field(default=(), examples=['robust_to = ["jpeg75", "blur1"]'])
    """Post-processing steps that the image must survive (`palpate list post-processing`): the attack climbs the mean
    over the unchanged image and the image after each step. It takes that many times as long, and runs to its end."""
    curve: Order | None = Field(default=None, examples=['curve = "minimum"'])
    """In which order this attack's budgets are attacked; `run.curve` by default. `minimum` is for attacks that search
    the smallest change."""
    query_budget: int | None = Field(default=None, ge=2, examples=["query_budget = 2000"])
    """How often the model may be asked about one image, over all budgets of the threat together; the unchanged image
    counts once for each of them. For attacks that use only outputs. When it is spent, the best image until then is
    kept, and larger budgets are not tried. An audit that is interrupted in the middle of an image continues with what
    is left of it."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Not a key of the table: every other key of the table is a parameter of the attack."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        own = {key: value for key, value in table.items() if key in _OWN}
        return {**own, "parameters": {key: value for key, value in table.items() if key not in own}}

    @field_validator("attack")
    @classmethod
    def _spelled(cls, name: str) -> str:
        """`PGD` is `pgd`, so that both have one identity."""
        return same(name, catalog.attacks()) or name

    @property
    def title(self) -> str:
        """Its name in records and reports."""
        return self.name or self.attack
