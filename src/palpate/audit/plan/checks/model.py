"""Contradictions between the fields of `[model]`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate.audit.plan.problems import Problem, split
from palpate.errors import InputError
from palpate.models.source import contradictions

if TYPE_CHECKING:
    from palpate.audit.plan.sections.model import ModelSection


def model_problems(section: ModelSection) -> Iterator[Problem]:
    """All contradictions of the section."""
    # Weights alone are a pickled module; the loader decides whether it may be loaded.
    yield from ((("model", *([name] if name else [])), text) for name, text in contradictions(section))
    if section.endpoint is not None:
        try:
            section.endpoint.build()
        except InputError as error:
            field, text = split(error, tuple(type(section.endpoint).model_fields))
            yield ("model", "endpoint", *field), text
    low, high = section.bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        yield ("model", "bounds"), f"({low:g}, {high:g}) must be two finite numbers, the lower one first."
    yield from ((("model", "preprocess", *key), text) for key, text in section.preprocess.problems())
    try:
        section.inferer.build()
    except InputError as error:
        field, text = split(error, ("size", "overlap", "flips"))
        yield ("model", "inferer", *field), text
