"""The common base of all tables of a plan."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every table of a plan: unknown fields are refused, and a value keeps its type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())
