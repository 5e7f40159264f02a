"""Contradictions of `[certificates]`, each with its key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate.audit.plan.certificates import certificate_items, gated_level, sigmas_of
from palpate.audit.plan.problems import Problem, split
from palpate.audit.plan.sections.tasks import ClassificationSection, DetectionSection
from palpate.errors import InputError
from palpate.units import radius

if TYPE_CHECKING:
    from palpate.audit.plan.fields import PlanFields
    from palpate.audit.plan.sections.gates import GateSection

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


def certified_gate(plan: PlanFields, gate: GateSection) -> Iterator[tuple[str, str]]:
    """What is wrong with a gate on a certified figure, as far as the meaning of values is known.

    The size of a stored step is not known before the images are read. Until then levels in it are accepted.
    """
    section = plan.certificates
    if section is None:
        yield "metric", f"{gate.metric} needs certificates, and the plan has no [certificates]. Add that section."
        return
    for field in ("attack", "eps", "artefact", "severity", "worst"):
        if field in gate.model_fields_set:
            yield field, "a certified figure holds whatever the change is, up to an L2 length. Remove it; write radius."
            return
    if gate.metric == "certified_score" and isinstance(plan.task, ClassificationSection):
        yield "metric", "certified_score is for masks and findings. Use certified_accuracy."
    sizes = f"{gate.radius} {gate.sigma} {section.radii} {section.sigma} {plan.model.defences}"
    if list(certificate_problems(plan)) or (not plan.scale.known and "stored" in sizes):  # the first are said elsewhere
        return
    try:
        gated_level(plan, gate)
    except InputError as error:
        (field,), text = split(error, ("radius", "sigma"))
        yield field, text
