"""`[certificates]` of a plan as values: one for each sigma, with the identity of its results."""

from __future__ import annotations

from dataclasses import dataclass, replace

from palpate.audit.plan.defences import defences_of
from palpate.audit.plan.fields import PlanFields
from palpate.audit.plan.identity import digest, encode
from palpate.audit.plan.tasks import task_of
from palpate.certificates.decisions import Voted, part_names, voted
from palpate.certificates.settings import Settings
from palpate.defences.smoothing import Smoothing
from palpate.errors import InputError
from palpate.storage.certificates import CERTIFICATE_VERSION
from palpate.units import radius


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
