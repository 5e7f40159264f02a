"""What the fields of `[model]` must be to each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate.audit.plan_problems import Problem, one_of, split
from palpate.errors import InputError

if TYPE_CHECKING:
    from palpate.audit.plan_model import ModelSection


def model_problems(section: ModelSection) -> Iterator[Problem]:
    """All contradictions of the section."""
    stored = section.torchscript or section.exported
    # Weights alone are a pickled module; whether that may be loaded is the loader's question.
    if section.weights is None or section.factory or stored:
        yield from one_of(section, "model", ("factory", "torchscript", "exported"))
    if section.weights is not None and stored and section.factory is None:
        yield ("model", "weights"), f"{stored} holds its own weights. Remove one of the two."
    if section.arguments and section.factory is None:
        yield ("model", "arguments"), "only a factory takes arguments. Remove them, or name a factory."
    low, high = section.bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        yield ("model", "bounds"), f"({low:g}, {high:g}) must be two finite numbers, the lower one first."
    yield from ((("model", "preprocess", *key), text) for key, text in section.preprocess.problems())
    try:
        section.inferer.build()
    except InputError as error:
        field, text = split(error, ("size", "overlap", "flips"))
        yield ("model", "inferer", *field), text
