"""Contradictions between the fields of `[model]`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate import catalog
from palpate.audit.plan.problems import Problem, split
from palpate.errors import InputError
from palpate.models.source import contradictions

if TYPE_CHECKING:
    from palpate.audit.plan.fields import PlanFields
    from palpate.audit.plan.sections.model import ModelSection


def model_problems(section: ModelSection, table: str = "model") -> Iterator[Problem]:
    """All contradictions of `[model]`, or of another table of its form."""
    # Weights alone are a pickled module; the loader decides whether it may be loaded.
    yield from (((table, *([name] if name else [])), text) for name, text in contradictions(section))
    if section.endpoint is not None:
        try:
            section.endpoint.build()
        except InputError as error:
            field, text = split(error, tuple(type(section.endpoint).model_fields))
            yield (table, "endpoint", *field), text
    low, high = section.bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        yield (table, "bounds"), f"({low:g}, {high:g}) must be two finite numbers, the lower one first."
    if section.nnunet is not None:
        for name in ("preprocess", "inferer"):
            if getattr(section, name) != type(getattr(section, name))():
                text = "an nnU-Net folder says itself what happens around its network. Remove this table."
                yield (table, name), text
    yield from (((table, "preprocess", *key), text) for key, text in section.preprocess.problems())
    try:
        section.inferer.build()
    except InputError as error:
        field, text = split(error, ("size", "overlap", "flips"))
        yield (table, "inferer", *field), text


def surrogate_problems(plan: PlanFields) -> Iterator[Problem]:
    """Whether a surrogate is there exactly if an attack needs it, gives gradients and has the bounds of the model."""
    named = [section.attack for section in plan.attacks if section.attack in catalog.attacks()]
    needing = [name for name in named if catalog.find(name).surrogate]
    section = plan.surrogate
    if section is None:
        if needing:
            yield (
                ("attacks",),
                f"'{needing[0]}' needs another model to attack. Describe it in [surrogate], like [model].",
            )
        return
    if not needing:
        yield ("surrogate",), "no attack uses it. Remove it, or add the attack transfer."
    yield from model_problems(section, "surrogate")
    if section.bounds != plan.model.bounds:
        low, high = plan.model.bounds
        yield ("surrogate", "bounds"), f"it sees the same images, so they must be [{low:g}, {high:g}] as in [model]."
    if section.endpoint is not None or (section.onnx is not None and not section.onnx_gradients):
        yield ("surrogate",), "it must give gradients, and an endpoint or an ONNX file gives none. Use another model."
