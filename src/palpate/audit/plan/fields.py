"""All tables of a plan, and the values that follow from them; not yet checked against each other."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PrivateAttr, model_validator

from palpate.audit.plan.sections.artefacts import ArtefactSection
from palpate.audit.plan.sections.attacks import AttackSection
from palpate.audit.plan.sections.base import Section
from palpate.audit.plan.sections.certificates import CertificatesSection
from palpate.audit.plan.sections.data import DataSection
from palpate.audit.plan.sections.evidence import EvidenceSection
from palpate.audit.plan.sections.gates import GateSection
from palpate.audit.plan.sections.harden import HardenSection, inherited
from palpate.audit.plan.sections.model import ModelSection
from palpate.audit.plan.sections.quality import QualitySection
from palpate.audit.plan.sections.run import Order, RunSection
from palpate.audit.plan.sections.stability import StabilitySection
from palpate.audit.plan.sections.survival import ExportSection, SurvivalSection
from palpate.audit.plan.sections.tasks import TaskSection
from palpate.audit.plan.sections.threat import ThreatSection
from palpate.models.inputs.kinds import Columns, columns_of, inputs_of
from palpate.units import Scale, radius


class PlanFields(Section):
    """All tables of a plan. Only `Plan`, which extends it, is checked against itself."""

    title: str = "Robustness audit"
    """Heading of the report."""
    seed: int = Field(default=0, ge=0)
    """Root of all random numbers."""
    paths_from: str = Field(default="", examples=['paths_from = "../.."'])
    """Folder that all paths of the plan start from, relative to the plan's own or absolute; by default its own."""
    model: ModelSection = Field(examples=["[model]"])
    """The model under test."""
    surrogate: ModelSection | None = Field(default=None, examples=["[surrogate]"])
    """Another model of the same task, for the attack `transfer`; its fields are those of `[model]`. It must give
    gradients. `[surrogate.preprocess]` brings the images to its input; `size` resizes them."""
    data: DataSection = Field(examples=["[data]"])
    """The labelled images."""
    task: TaskSection = Field(examples=["[task]"])
    """What the model's output means."""
    threat: ThreatSection = Field(examples=["[threat]"])
    """How far an image may be changed."""
    attacks: tuple[AttackSection, ...] = Field(min_length=1, examples=["[[attacks]]"])
    """The attacks, in order."""
    artefacts: tuple[ArtefactSection, ...] = Field(default=(), examples=["[[artefacts]]"])
    """The artefacts of acquisition, in order."""
    certificates: CertificatesSection | None = None
    """Certified lower bounds of the smoothed model, beside attacked upper bounds."""
    reference: str | None = Field(default=None, examples=['reference = "../baseline/runs/plan"'])
    """Run folder of a reference model on the same images with the same artefacts. The report divides the errors under
    artefacts by those of that model, as mCE and relative balanced errors do. No record depends on it."""
    gates: tuple[GateSection, ...] = Field(default=(), examples=["[[gates]]"])
    """Limits that the model must meet."""
    survival: SurvivalSection = SurvivalSection()
    """What happens to images in a hospital, and whether attacks survive it."""
    stability: StabilitySection = StabilitySection()
    """Traces of attacks on some images, step by step."""
    quality: QualitySection = QualitySection()
    """Probes of what the attacks may have missed, on some images."""
    export: ExportSection = ExportSection()
    """Adversarial images as files."""
    run: RunSection = RunSection()
    """How the audit is carried out."""
    harden: HardenSection | None = Field(default=None, examples=["[harden]"])
    """How `palpate harden` trains the model against attacks. The audit does not use it."""
    evidence: EvidenceSection = EvidenceSection()
    """Who tests what. Only `palpate evidence` uses it."""
    _scale: Scale | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _with_defaults_of_data(cls, document: Any) -> Any:
        return inherited(document)

    @property
    def beside(self) -> Columns:
        """The columns of the table that the model is given besides the image."""
        return columns_of(inputs_of(self.model.inputs))

    @property
    def curve(self) -> Order:
        """In which order budgets are attacked; by default not by every attack (`palpate.attacks.curve.usual_order`)."""
        if self.run.curve is not None:
            return self.run.curve
        if self.task.kind in ("segmentation", "detection"):
            return "each"
        return "bisect" if len(self.radii) > 2 else "rising"

    @property
    def radii(self) -> tuple[float, ...]:
        """The budgets in values, rising, each once."""
        return tuple(sorted({radius(eps, self.scale) for eps in self.threat.eps}))

    @property
    def scale(self) -> Scale:
        """What values mean: as the images say, after `calibrated`; before that, as far as the plan says."""
        return self._scale or Scale(self.model.bounds, self.data.unit or "", window=self.model.preprocess.window_values)
