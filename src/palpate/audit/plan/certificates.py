"""`[certificates]` of a plan as values: one for each sigma, with the identity of its results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from palpate.audit.plan.defences import defences_of
from palpate.audit.plan.fields import PlanFields
from palpate.audit.plan.identity import digest, encode
from palpate.audit.plan.tasks import task_of
from palpate.certificates.decisions import Voted, part_names, voted
from palpate.certificates.settings import Settings
from palpate.defences.smoothing import Smoothing
from palpate.errors import InputError
from palpate.storage.certificates import CERTIFICATE_VERSION
from palpate.tasks.segmentation import Segmentation
from palpate.units import radius

if TYPE_CHECKING:
    from palpate.audit.plan.sections.gates import GateSection

_SHOWN = 1e-5
"""A number with the six digits that a message shows is the listed one."""


@dataclass(frozen=True)
class CertificateItem:
    """The certificates of a plan with one sigma.

    Attributes:
        settings: of the certificates, in stored values.
        task: what the model's output means.
        parts: what the parts of a bound are: measure, and structure or finding.
    """

    settings: Settings
    task: Voted
    parts: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """For progress and findings."""
        return f"certificates, sigma {self.settings.sigma:g}"

    @property
    def identity(self) -> str:
        """Hash of everything that decides the certificates of an image of a given model."""
        task = encode(self.task)
        return digest({"version": CERTIFICATE_VERSION, "settings": encode(vars(self.settings)), "task": task})

    @property
    def radii(self) -> tuple[float, ...]:
        """All L2 radii in stored values, rising from 0."""
        return self.settings.levels(masks=isinstance(self.task, Segmentation))

    def unattacked(self) -> CertificateItem:
        """Without an attack."""
        return replace(self, settings=replace(self.settings, attack=False))


def certificate_items(plan: PlanFields) -> tuple[CertificateItem, ...]:
    """One item for each sigma, rising; none without `[certificates]`.

    Raises:
        InputError: a number is out of its range, or nothing can be certified with so few samples.
        ValueError: a size is in a unit that the images do not have.
    """
    section = plan.certificates
    if section is None:
        return ()
    radii = tuple(sorted({radius(written, plan.scale) for written in section.radii}))
    task = voted(task_of(plan.task, "untargeted"))
    names = tuple(plan.task.names)
    same = {name: getattr(section, name) for name in ("samples", "select", "confidence", "tau", "attack", "steps")}
    return tuple(
        CertificateItem(Settings(sigma, radii=radii, draws=section.draws, **same), task, part_names(task, names))
        for sigma in sigmas_of(plan)
    )


def sigmas_of(plan: PlanFields) -> tuple[float, ...]:
    """The sigmas in stored values, rising: those of the section, else that of an outermost smoothing defence.

    Raises:
        ValueError: a sigma is in a unit that the images do not have.
    """
    section = plan.certificates
    if section is not None and section.sigmas:
        return tuple(sorted({radius(written, plan.scale) for written in section.sigmas}))
    try:
        outermost = defences_of(plan)[:1]
    except InputError:  # said elsewhere
        return ()
    return tuple(one.sigma for one in outermost if isinstance(one, Smoothing))


def gated_level(plan: PlanFields, gate: GateSection) -> tuple[float, float]:
    """The sigma and the L2 radius of a gate on a certified figure, in stored values.

    Raises:
        InputError: the gate names none, one that `[certificates]` does not list, or one in a unit that the images do
            not have; the text begins with the field.
    """
    items = certificate_items(plan)
    sigmas = [item.settings.sigma for item in items]
    if gate.sigma is None and len(items) > 1:
        raise InputError(f"sigma: the certificates have several. Add sigma = and one of them: {_numbers(sigmas)}.")
    sigma = sigmas[0] if gate.sigma is None else _listed("sigma", gate.sigma, sigmas, plan)
    radii = items[sigmas.index(sigma)].radii
    if gate.radius is None:
        raise InputError(f"radius: it is missing. Add radius = and one of the certified ones: {_numbers(radii)}.")
    return sigma, _listed("radius", gate.radius, radii, plan)


def _listed(field: str, written: float | str, known: Sequence[float], plan: PlanFields) -> float:
    try:
        wanted = radius(written, plan.scale)
    except ValueError as error:
        raise InputError(f"{field}: {error}.") from error
    nearest = min(known, key=lambda one: abs(one - wanted))
    if math.isclose(nearest, wanted, rel_tol=_SHOWN):
        return nearest
    raise InputError(
        f"{field}: {written} is not certified. Known are, in stored values: {_numbers(known)}; more are named in "
        f"certificates.{'sigma' if field == 'sigma' else 'radii'}."
    )


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
