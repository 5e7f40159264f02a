"""What is wrong with a plan, in sentences: file, line, field, and the fix."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from palpate.audit.plan.places import belongs
from palpate.audit.plan.toml_lines import Key, line_of
from palpate.docstrings import meanings
from palpate.errors import PlanError, nearest

_READ, _LISTED = 200, 30
_WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table in braces",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
}
_LIMITS = {
    "greater_than_equal": "{limit} or more",
    "less_than_equal": "{limit} or less",
    "greater_than": "more than {limit}",
}


def not_toml(path: Path, text: str, error: tomllib.TOMLDecodeError) -> PlanError:
    """The error for a text that is not TOML."""
    reason = str(error)
    if found := re.search(r" \(at line (\d+), column (\d+)\)", reason):
        line, reason = int(found[1]), reason.replace(found[0], f" in column {found[2]}")
    else:
        line, reason = max(1, len(text.splitlines())), reason.replace(" (at end of document)", " at the end")
    if twice := re.match(r"Cannot declare \((.+?),?\) twice", reason):
        name = ".".join(re.findall(r"'([^']*)'", twice[1]))
        return PlanError(
            f"{path}, line {line}: the section [{name}] is declared here and before, by another [{name}] or by lines "
            f"that start with '{name}.'. Write all its fields below one [{name}], without '{name}.' before them."
        )
    return PlanError(f"{path}, line {line}: this is not TOML: {reason}. Texts need quotes, lists brackets.")


def refused(path: Path, text: str, plan: type[BaseModel], error: ValidationError) -> PlanError:
    """The error for a plan: every problem with its line, in the order of the file."""
    # A file that is not a plan may have thousands. Finding each line takes time, and nobody reads so many.
    details = error.errors()[:_READ]
    found = [problem for detail in details for problem in _problems(plan, detail)]
    # A value that fits none of several types is one problem, not one for each type.
    unique = dict(reversed([(key, sentence) for key, sentence in found]))
    # Pydantic does not count wrong entries of a list, and then also calls the list too short.
    wrong = {key[:-1] for key in unique if key and isinstance(key[-1], int)}
    unique = {key: sentence for key, sentence in unique.items() if key not in wrong or "too few" not in sentence}
    listed = dict(list(unique.items())[-_LISTED:])
    placed = sorted((line_of(text, key) or 0, _name(key), sentence) for key, sentence in listed.items())
    if len(placed) == 1:
        line, name, sentence = placed[0]
        return PlanError(f"{path}{f', line {line}' if line else ''}: {name}: {sentence}")
    lines = "".join(f"\n  {f'line {line}, ' if line else ''}{name}: {sentence}" for line, name, sentence in placed)
    many = f"{len(placed)} problems" if len(placed) == len(unique) else f"many problems; the first {len(placed)} are"
    return PlanError(f"{path} has {many}:{lines}")


def _problems(plan: type[BaseModel], detail: ErrorDetails) -> Iterator[tuple[Key, str]]:
    if detail["type"] == "plan":
        yield from detail["ctx"]["problems"]
        return
    key, owner, field = _follow(plan, detail["loc"])
    if detail["type"].startswith("union_tag"):
        key = (*key, "kind")
    if detail["type"] == "extra_forbidden" and (place := belongs(key, plan)):
        yield key, f"there is no such field here. {place}"
        return
    yield key, _sentence(detail, key, owner, field)


def _follow(plan: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[Key, type[BaseModel], FieldInfo | None]:
    """The part of a pydantic location that is a path in the file, and the table and field that it ends in."""
    key: list[str | int] = []
    owner: type[BaseModel] = plan
    field: FieldInfo | None = None
    inner: Any = plan
    for part in loc:
        if isinstance(part, int):
            key.append(part)
            inner = next((kind for kind in get_args(inner) if _is_table(kind)), inner)
        elif (chosen := _chosen(inner, part)) is not None:
            # A table of one kind among several: its kind is in the location, but not in the file.
            inner = chosen
        elif _is_table(inner):
            key.append(part)
            owner, field = inner, inner.model_fields.get(part)
            inner = _given(field.annotation) if field else None
        else:
            # The name of a type that was tried, or a key of a free table.
            inner = None
    return tuple(key), owner, field


def _chosen(inner: Any, kind: str) -> type[BaseModel] | None:
    """The table of this `kind` among several."""
    tables = [table for table in get_args(inner) if _is_table(table)]
    if len(tables) < 2:
        return None
    return next((table for table in tables if kind in get_args(table.model_fields["kind"].annotation)), None)


def _given(kind: Any) -> Any:
    """The table of a field that may be left out; any other type unchanged."""
    tables = [table for table in get_args(kind) if _is_table(table)]
    return tables[0] if len(tables) == 1 and type(None) in get_args(kind) else kind


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _sentence(detail: ErrorDetails, key: Key, owner: type[BaseModel], field: FieldInfo | None) -> str:
    value, context = detail["input"], detail.get("ctx", {})
    if "endpoint" in key:
        value = _Unshown() if isinstance(value, (str, dict, tuple)) else value
    example = f" For example: {field.examples[0]}." if field is not None and field.examples else ""
    match detail["type"]:
        case "extra_forbidden":
            hint = nearest(str(key[-1]), owner.model_fields)
            if key[0] == "artefacts" and hint.startswith("Known are"):
                hint = f"Severity sets how strong an artefact is, and the search chooses its parameters. {hint}"
            text = f"there is no such field. {hint}"
        case "missing":
            about = " ".join(meanings(owner).get(str(key[-1]), "").split())
            first = re.split(r"[.:;](?:\s|$)", about)[0]
            text = f"it is missing: {first[:1].lower()}{first[1:]}.{example}"
        case "literal_error":
            choices = re.findall(r"'([^']*)'", context["expected"])
            text = f"{_shown(value)} is not one of its values. {nearest(str(value), choices)}"
        case "too_short":
            text = f"it has too few values; it needs {context['min_length']} or more.{example}"
        case "too_long":
            text = f"it has too many values; it takes {context['max_length']}.{example}"
        case "union_tag_invalid":
            choices = re.findall(r"'([^']*)'", context["expected_tags"])
            text = f"{_shown(context['tag'])} is not one of its values. {nearest(str(context['tag']), choices)}"
        case "union_tag_not_found":
            text = 'it is missing: what kind of task this is. For example: kind = "multiclass".'
        case kind if kind in _LIMITS:
            (limit,) = context.values()
            text = f"{_shown(value)} must be {_LIMITS[kind].format(limit=f'{limit:.12g}')}.{example}"
        case kind if kind in _WANTED:
            # A field that takes whole numbers or others says first that nan is not a whole number.
            endless = isinstance(value, float) and not math.isfinite(value)
            text = f"{_shown(value)} must be {_WANTED['finite_number' if endless else kind]}.{example}"
        case _:
            text = f"{detail['msg'].rstrip('.')}.{example}"
    return text


class _Unshown:
    """Shown instead of a value that may hold a key."""

    def __str__(self) -> str:
        return "this value"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return "a table"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _name(key: Key) -> str:
    """`attacks[0].steps`."""
    name = ""
    for part in key:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name or "the plan"
