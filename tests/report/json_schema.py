"""The schema of `results.json` in the docs, and a check of a value against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).resolve().parents[2] / "docs/reference/results.schema.json"


def fits(value: Any, schema: dict[str, Any], whole: dict[str, Any], place: str = "") -> list[str]:
    """The few rules of JSON schema that the results use; returns what does not fit."""
    if "$ref" in schema:
        return fits(value, whole["$defs"][schema["$ref"].rsplit("/", 1)[1]], whole, place)
    if "anyOf" in schema:
        return [] if any(not fits(value, one, whole) for one in schema["anyOf"]) else [f"{place}: none of anyOf"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{place}: {value!r}"]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
    kind = schema.get("type")
    if kind == "null":
        return [] if value is None else [f"{place}: not null"]
    if kind and (not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return [f"{place}: {value!r} is no {kind}"]
    wrong = [f"{place}.{name}: missing" for name in schema.get("required", []) if name not in value]
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            wrong += fits(value[name], inner, whole, f"{place}.{name}")
    if kind == "object" and "properties" in schema:
        wrong += [f"{place}.{name}: unknown" for name in value if name not in schema["properties"]]
    if kind == "array" and "items" in schema:
        for index, item in enumerate(value):
            wrong += fits(item, schema["items"], whole, f"{place}[{index}]")
    return wrong
