"""The defences of a plan as values that surround its model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate.audit.plan.problems import Problem
from palpate.audit.plan.tasks import family, task_of
from palpate.defences import catalog
from palpate.defences.makers import Loader, Setting
from palpate.defences.reading import reading_of
from palpate.errors import InputError
from palpate.victim import Defence

if TYPE_CHECKING:
    from palpate.audit.plan.fields import PlanFields


def defences_of(plan: PlanFields, load: Loader | None = None) -> tuple[Defence, ...]:
    """The defences of a plan, in its order; without `load`, networks that they name are only checked.

    Raises:
        InputError: a defence or a parameter is unknown or impossible, or a network cannot be loaded.
    """
    found = []
    for place, section in enumerate(plan.model.defences):
        try:
            found.append(_made(plan, place, load))
        except InputError as error:
            raise InputError(f"model.defences[{place}] ({section.defence}): {error}") from error
    return tuple(found)


def defence_problems(plan: PlanFields) -> Iterator[Problem]:
    """What is wrong with each defence of a plan; nothing is loaded."""
    for place, section in enumerate(plan.model.defences):
        key = ("model", "defences", place)
        try:
            _made(plan, place, None)
        except InputError as error:
            field, colon, text = str(error).partition(": ")
            field = field.rpartition(".")[2]
            named = bool(colon) and field in section.parameters
            yield (*key, field if named else "defence"), text if named else str(error)
        if section.defence == "reject" and place:
            yield (
                (*key, "defence"),
                "it looks at the images that arrive, so it must be the first of [[model.defences]].",
            )
    if plan.surrogate is not None and plan.surrogate.defences:
        text = "the surrogate is another model, without defences. Move them to [[model.defences]]."
        yield ("surrogate", "defences"), text


def _made(plan: PlanFields, place: int, load: Loader | None) -> Defence:
    section = plan.model.defences[place]
    catalog.find(section.defence)
    catalog.require_fit(section.defence, family(plan.task))
    head = reading_of(task_of(plan.task, "untargeted"))
    setting = Setting(plan.scale, head) if load is None else Setting(plan.scale, head, load)
    made: Defence = catalog.make(section.defence, setting, **section.parameters)
    return made
