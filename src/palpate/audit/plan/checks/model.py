"""Contradictions between the fields of `[model]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate import catalog
from palpate.audit.plan.problems import Problem, split
from palpate.data.layouts.registry import LAYOUTS, has_columns
from palpate.errors import InputError
from palpate.models.inputs.kinds import inputs_of
from palpate.models.source import contradictions

if TYPE_CHECKING:
    from palpate.audit.plan.fields import PlanFields
    from palpate.audit.plan.sections.model import ModelSection


def model_problems(section: ModelSection, table: str = "model") -> Iterator[Problem]:
    """All contradictions of `[model]`, or of another table of its form."""
    # Weights alone are a pickled module; the loader decides whether it may be loaded.
    yield from (((table, *(name.split(".") if name else [])), text) for name, text in contradictions(section))
    if section.endpoint is not None:
        try:
            section.endpoint.build()
        except InputError as error:
            field, text = split(error, tuple(type(section.endpoint).model_fields))
            yield (table, "endpoint", *field), text
    low, high = section.bounds
    if not low < high:
        yield (table, "bounds"), f"({low:g}, {high:g}) must be two finite numbers, the lower one first."
    if section.nnunet is not None:
        for name in ("preprocess", "inferer"):
            if getattr(section, name) != type(getattr(section, name))():
                text = "the nnU-Net folder already describes the preprocessing of its network. Remove this table."
                yield (table, name), text
    yield from (((table, "preprocess", *key), text) for key, text in section.preprocess.problems())
    try:
        section.inferer.build()
    except InputError as error:
        field, text = split(error, ("size", "overlap", "flips"))
        yield (table, "inferer", *field), text


def text_problems(plan: PlanFields) -> Iterator[Problem]:
    """Whether there is a text for each class."""
    texts, names = plan.model.texts, plan.task.names
    if texts and len(texts) != len(names):
        words = "1 class has a text" if len(texts) == 1 else f"{len(texts)} classes have a text"
        yield ("model", "texts"), f"{words}, and the task has {len(names)}. Write one per class, in their order."
    if any(not text.strip() for one in texts for text in ([one] if isinstance(one, str) else one or [""])):
        yield ("model", "texts"), "one of them is empty. Write what an image of the class shows."


def input_problems(plan: PlanFields) -> Iterator[Problem]:
    """Whether the inputs besides the image can be found, and given to the model as it is evaluated."""
    inputs = inputs_of(plan.model.inputs)
    layout = plan.data.layout
    if inputs and layout is not None and not has_columns(layout):
        text = f"{LAYOUTS[layout].called} has no columns for it. List the images in a CSV: data.table."
        yield ("model", "inputs"), text
    moving = [name for name, one in inputs.items() if one.moves]
    if moving and plan.model.inferer.build() is not None:
        yield (
            ("model", "inputs", moving[0]),
            "model.inferer evaluates windows or flips of the image, and this input would not be cut or flipped with "
            "them. Leave it out, "
            "or store both images as channels of one, and give the second a share of 0 in threat.channels.",
        )
    if plan.surrogate is not None and plan.surrogate.inputs:
        yield ("surrogate", "inputs"), "a surrogate is given the image alone. Remove it."


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
        yield (
            ("surrogate", "bounds"),
            f"the surrogate sees the same images as the model, so its bounds must be [{low:g}, {high:g}] as in "
            "[model].",
        )
    if section.endpoint is not None or (section.onnx is not None and not section.onnx_gradients):
        yield ("surrogate",), "it must give gradients, and an endpoint or an ONNX file gives none. Use another model."
