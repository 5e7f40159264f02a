"""Contradictions of `[certificates]`, each with its key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate.audit.plan.certificates import certificate_items, sigmas_of
from palpate.audit.plan.problems import Problem, split
from palpate.audit.plan.sections.tasks import DetectionSection
from palpate.errors import InputError
from palpate.units import radius

if TYPE_CHECKING:
    from palpate.audit.plan.fields import PlanFields

_FIELDS = ("sigma", "samples", "select", "confidence", "radii", "tau", "steps", "draws")


def certificate_problems(plan: PlanFields) -> Iterator[Problem]:
    """What is wrong with `[certificates]`, as far as a plan shows without its images."""
    section = plan.certificates
    if section is None:
        return
    if isinstance(plan.task, DetectionSection):
        yield (
            ("certificates",),
            "boxes cannot be certified: votes need a fixed list of decisions, and each noisy copy of an image has "
            "other boxes. Remove this section.",
        )
        return
    if any(one.defence == "reject" for one in plan.model.defences):
        yield (
            ("certificates",),
            "a model that may refuse to answer cannot be certified: a refusal is no vote. Remove this section, or the "
            "defence reject.",
        )
        return
    if not section.sigmas and not sigmas_of(plan):
        yield (
            ("certificates", "sigma"),
            "it is missing, and the model has no smoothing defence that would say it. Write the standard deviation of "
            'the noise in stored values, such as sigma = [12.5], or in a unit: sigma = "12.5 HU".',
        )
        return
    sizes = [*_sizes(plan, "sigma", section.sigmas), *_sizes(plan, "radii", section.radii)]
    yield from sizes
    if sizes:
        return
    try:
        certificate_items(plan)
    except InputError as error:
        field, text = split(error, _FIELDS)
        yield ("certificates", *field), text


def _sizes(plan: PlanFields, field: str, written: tuple[int | float | str, ...]) -> Iterator[Problem]:
    low, high = plan.model.bounds
    for one in written:
        try:
            value = radius(one, plan.scale)
        except ValueError as error:
            yield ("certificates", field), f"{error}."
            continue
        if field == "sigma" and value > high - low:
            yield (
                ("certificates", field),
                f"{one} is wider than the whole range {low:g} to {high:g} of stored values, so no image is left in the "
                'noise. Write stored values, or a share of the range such as "5%".',
            )
