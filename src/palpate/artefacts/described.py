"""An artefact of the catalogue as plain data, for lists, `run.json` and the reference."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from palpate.artefacts.artefact import Artefact
from palpate.artefacts.catalog import ArtefactEntry, make
from palpate.artefacts.parameter import Parameter


def described(entry: ArtefactEntry) -> dict[str, Any]:
    """An entry with its parameters."""
    return {**asdict(entry), **facts(make(entry.name))}


def facts(artefact: Artefact) -> dict[str, Any]:
    """What an artefact says of itself."""
    return {
        "dimensions": list(artefact.dimensions),
        "needs": sorted(artefact.needs),
        "moves": artefact.moves,
        "gradient": artefact.gradient,
        "parameters": [_parameter(parameter) for parameter in artefact.parameters],
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    stored = asdict(parameter)
    return stored | {
        "choices": list(parameter.choices),
        "levels": None if parameter.levels is None else list(parameter.levels),
    }


def range_words(parameter: dict[str, Any]) -> str:
    """`2, 4, 6, 9, 12 mm at severities 1 to 5`, `0 to 180 degrees`, `titanium, iron, copper`."""
    if parameter["choices"]:
        return ", ".join(parameter["choices"])
    unit = f" {parameter['unit']}" if parameter["unit"] else ""
    if parameter["levels"] is None:
        return f"{parameter['low']:g} to {parameter['high']:g}{unit}"
    sign = "up to +-" if parameter["signed"] else ""
    return f"{sign}{', '.join(f'{level:g}' for level in parameter['levels'])}{unit} at severities 1 to 5"
