"""Which section of a plan a field belongs to, for fields that are in the wrong section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from palpate.audit.plan.toml_lines import Key

_MANY = 3
"""A name that more sections have says nothing about where it belongs."""


def belongs(key: Key, plan: type[BaseModel]) -> str:
    """A sentence that says where the field, or section, at the end of `key` belongs; empty if that is unknown."""
    name, here = str(key[-1]), ".".join(part for part in key[:-1] if isinstance(part, str))
    found = [place for place, field in _fields(plan, "") if field == name and place]
    if name in plan.model_fields and _tables(plan.model_fields[name].annotation):
        return f"[{name}] is a separate section: write its fields below a line with [{name}]."
    if not found or here in found or len(found) > _MANY:  # `here`: the field belongs to another kind of task
        return ""
    tables = [f"{place}.{name}" for place in found if f"{place}.{name}" in set(_places(plan))]
    if tables:
        return f"It is a separate section: write its fields below a line with [{tables[0]}]."
    return f"It belongs to {' or '.join(f'[{place}]' for place in found)}."


def _fields(table: type[BaseModel], place: str) -> Iterator[tuple[str, str]]:
    """Every field, with the place of its section; a field that several kinds of tasks have comes once."""
    seen = set()
    for name, field in table.model_fields.items():
        yield place, name
        for inner in _tables(field.annotation):
            below = f"{place}.{name}".strip(".")
            for pair in _fields(inner, below):
                if pair not in seen:
                    seen.add(pair)
                    yield pair


def _places(plan: type[BaseModel]) -> Iterator[str]:
    """The sections, such as `model.preprocess`."""
    return (place for place, _ in _fields(plan, ""))


def _tables(kind: Any) -> list[type[BaseModel]]:
    """The tables that a field may hold; lists of tables, such as attacks and gates, do not count."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    if getattr(kind, "__origin__", None) in (tuple, list, dict):
        return []
    return [table for one in get_args(kind) for table in _tables(one)]
