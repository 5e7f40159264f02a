"""A plan: the validated description of an audit, read from TOML. Its fields are the reference of the format."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from palpate.audit.plan.checks.fields import problems, wrong_budget
from palpate.audit.plan.errors import not_toml, refused
from palpate.audit.plan.lines import require_filled_in
from palpate.audit.plan.sections.base import Section
from palpate.audit.plan.sections.data import DataSection
from palpate.audit.plan.sections.model import ModelSection
from palpate.audit.plan.sections.stability import StabilitySection
from palpate.audit.plan.sections.survival import ExportSection, SurvivalSection
from palpate.audit.plan.sections.tasks import TaskSection
from palpate.audit.plan.sections.threat import ThreatSection
from palpate.data.texts import decoded, long_key, read_bytes, too_deep
from palpate.errors import InputError, PlanError
from palpate.units import Scale, radius

Metric = Literal[
    "clean_accuracy",
    "robust_accuracy",
    "success_rate",
    "missed_disease",
    "invented_disease",
    "sensitivity",
    "specificity",
    "kappa",
    "clean_score",
    "score",
]


class AttackSection(Section):
    """`[[attacks]]`: one attack; every other key of the table is a parameter of its own."""

    attack: str = Field(examples=['attack = "pgd"'])
    """Name in the catalog: `palpate list attacks`."""
    name: str = ""
    """What the report calls it; the catalog's name by default. No two attacks share one."""
    goal: str = "untargeted"
    """`untargeted`; of classes `hide disease`, `invent disease`, `towards: ` and a class; of findings
    `all findings`, `miss: `, `invent: `; of masks `erase: `, `insert: `, `shift: `, `swap: `; of boxes `vanish`,
    `fabricate`, `mislabel`."""
    robust_to: tuple[str, ...] = Field(default=(), examples=['robust_to = ["jpeg75", "blur1"]'])
    """What the found image shall survive: the attack climbs the mean over the image as it is and after each of these
    (`palpate list post-processing`). It takes that many times as long, and runs to its end."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Not written as such: every other key of the table is a parameter of the attack."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        own = {key: value for key, value in table.items() if key in ("attack", "name", "goal", "robust_to")}
        return {**own, "parameters": {key: value for key, value in table.items() if key not in own}}

    @property
    def title(self) -> str:
        """What records and reports call it."""
        return self.name or self.attack


class GateSection(Section):
    """`[[gates]]`: a limit that the model must keep; the audit's exit status says whether it does."""

    metric: Metric = Field(examples=['metric = "robust_accuracy"'])
    """The figure."""
    attack: str = "any"
    """A name of the plan, `any` for the worst case over all attacks, or `none` for the clean images."""
    eps: int | float | str | None = Field(default=None, examples=['eps = "1/255"'])
    """Budget, one of the threat's; not for clean figures."""
    at_least: float | None = Field(default=None, examples=["at_least = 0.5"])
    """Passed where the figure is this or more."""
    at_most: float | None = Field(default=None, examples=["at_most = 0.1"])
    """Passed where the figure is this or less."""


class RunSection(Section):
    """`[run]`: how the audit is carried out. Only `precision`, `curve` and `shard` decide which work can be reused."""

    batch: int = Field(default=32, ge=1)
    """Images attacked at once."""
    shard: int = Field(default=32, ge=1)
    """Images that are finished and stored together; at least the batch."""
    precision: Literal["float32", "mixed"] = "float32"
    """`mixed`: searches may use bfloat16; every verdict stays float32."""
    curve: Literal["rising", "bisect", "each"] | None = Field(default=None, examples=['curve = "rising"'])
    """`rising` attacks what stands at every budget. `bisect` lets each image search for its own smallest beating
    budget: cheaper with many budgets, but below the largest one that held, an image is not attacked again. `each`
    attacks every image at every budget and lets attacks run to their end, also after the image is beaten: Dice, HD95
    and average precision under attack are then what the attack can reach. Without it, `each` for masks and boxes and
    `rising` for classes and findings, where an image that is beaten cannot become more so."""
    layout: Literal["auto", "contiguous", "channels_last"] = "auto"
    """Memory layout of the search. `auto` times a step and takes the fastest arithmetic, once for a run folder; with a
    layout that is named nothing is timed, so that two run folders have the same bytes."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; `auto` takes a GPU where there is one."""
    random_model: Literal["refuse", "allow"] = "refuse"
    """What to do with a model whose outputs differ from pass to pass."""
    timeout: float | None = Field(default=None, gt=0, examples=["timeout = 600"])
    """Seconds that one call of the model may take, for a whole batch; by default there is no limit. An attack whose
    call takes longer could not run, and the others go on. Native code cannot be interrupted: after twice the time
    the command ends with status 3, and the next start takes the other attacks first. Services
    (`model.endpoint`) have a limit of their own."""
    at_chance: Literal["refuse", "allow"] = "refuse"
    """What to do with a model that is no better than guessing on up to 64 clean images (up to 512 where 64 leave it
    open): `refuse` stops before the first attack."""


class Plan(Section):
    """The whole plan. A value: frozen, comparable, checked against itself and against the catalog of attacks."""

    title: str = "Robustness audit"
    """Heading of the report."""
    seed: int = Field(default=0, ge=0)
    """Root of all random numbers."""
    model: ModelSection = Field(examples=["[model]"])
    """The model under test."""
    data: DataSection = Field(examples=["[data]"])
    """The labelled images."""
    task: TaskSection = Field(examples=["[task]"])
    """What the model's output means."""
    threat: ThreatSection = Field(examples=["[threat]"])
    """How far an image may be changed."""
    attacks: tuple[AttackSection, ...] = Field(min_length=1, examples=["[[attacks]]"])
    """The attacks, in order."""
    gates: tuple[GateSection, ...] = Field(default=(), examples=["[[gates]]"])
    """Limits that the model must keep."""
    survival: SurvivalSection = SurvivalSection()
    """What happens to images in a hospital, and whether attacks survive it."""
    stability: StabilitySection = StabilitySection()
    """The way that attacks take, traced on some images."""
    export: ExportSection = ExportSection()
    """Adversarial images as files."""
    run: RunSection = RunSection()
    """How the audit is carried out."""
    _scale: Scale | None = PrivateAttr(None)
    _origin: Path = PrivateAttr(Path("plan.toml"))
    _text: str = PrivateAttr("")

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        if found := problems(self):
            raise PydanticCustomError("plan", "the plan contradicts itself", {"problems": found})
        return self

    @property
    def origin(self) -> Path:
        """The file that it was read from; its paths are relative to that file's folder."""
        return self._origin

    @property
    def text(self) -> str:
        """The TOML that it was read from."""
        return self._text

    @property
    def root(self) -> Path:
        """The folder that its paths are relative to."""
        return self._origin.parent

    @property
    def curve(self) -> Literal["rising", "bisect", "each"]:
        """In which order budgets are attacked."""
        return self.run.curve or ("each" if self.task.kind in ("segmentation", "detection") else "rising")

    @property
    def radii(self) -> tuple[float, ...]:
        """The budgets in values, rising, each once."""
        return tuple(sorted({radius(eps, self.scale) for eps in self.threat.eps}))

    @property
    def scale(self) -> Scale:
        """What values mean: as the images say, once `calibrated` was told; as far as the plan knows before."""
        return self._scale or Scale(self.model.bounds, self.data.unit or "", window=self.model.preprocess.window_values)

    def calibrated(self, scale: Scale) -> Plan:
        """The plan with its budgets in what the images say values mean.

        Raises:
            PlanError: a budget is in a unit that the images do not have, or a gate's is none of the threat's.
        """
        for written in self.threat.eps:
            try:
                radius(written, scale)
            except ValueError as error:
                raise PlanError(f"{self.origin}: threat.eps: {error}.") from error
        plan = self.model_copy()
        plan._scale = scale
        for place, gate in enumerate(plan.gates):
            if (wrong := wrong_budget(plan, gate)) is not None:
                raise PlanError(f"{self.origin}: gates[{place}].eps: {wrong}")
        return plan


def load_plan(path: Path) -> Plan:
    """The plan in a TOML file.

    Raises:
        PlanError: it cannot be read, is not TOML, has lines marked FILL IN, or fields that are unknown, missing or
            impossible; every one is named with its line and the fix.
    """
    try:
        if not path.exists():
            raise PlanError(f"{path} does not exist. `palpate init` writes a plan to start from.")
        # Some editors put a mark in front of UTF-8, which TOML does not allow. Line ends stay as they are.
        text = decoded(path, read_bytes(path, "TOML"), "TOML")
    except PlanError:
        raise
    except InputError as error:
        raise PlanError(str(error)) from error
    document = _document(text, path)
    require_filled_in(text, path)
    return _validated(document, text, path)


def parse_plan(text: str, origin: Path) -> Plan:
    """The plan in a TOML text; `origin` is the file that it stands for, whose folder its paths are relative to.

    Lines marked FILL IN are allowed: `palpate init` proposes them, and only a plan that is to be carried out has none.

    Raises:
        PlanError: as `load_plan`.
    """
    return _validated(_document(text, origin), text, origin)


def _document(text: str, origin: Path) -> dict[str, Any]:
    if too_deep(text.encode(errors="replace")) or long_key(text):
        raise PlanError(f"{origin} is nested too deeply to be a plan. Give the right file.")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise not_toml(origin, text, error) from error
    except ValueError as error:  # a number of thousands of digits
        raise PlanError(f"{origin} is not TOML: {error}. Correct it.") from error


def _validated(document: dict[str, Any], text: str, origin: Path) -> Plan:
    try:
        plan = Plan.model_validate(_tuples(document))
    except ValidationError as error:
        raise refused(origin, text, Plan, error) from error
    plan._origin, plan._text = origin, text
    return plan


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value
