"""A plan: the validated description of an audit, read from TOML. Its fields are the reference of the format."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from palpate.audit.plan_checks import problems
from palpate.audit.plan_errors import not_toml, refused
from palpate.audit.plan_tasks import TaskSection
from palpate.audit.radii import radius
from palpate.audit.sections import Section
from palpate.errors import PlanError
from palpate.inference import Flips, SlidingWindow
from palpate.preprocess import Preprocess
from palpate.victim import Inferer

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


class PreprocessSection(Section):
    """`[model.preprocess]`: from stored values to the network's input, in this order."""

    size: tuple[int, ...] | None = Field(default=None, examples=["size = [224, 224]"])
    """Height and width of the network's input; none keeps the stored size."""
    channels: int | None = Field(default=None, ge=1, examples=["channels = 3"])
    """Repeat a grey image to this many channels."""
    mean: tuple[float, ...] = Field(default=(0.0,), examples=["mean = [127.5]"])
    """Subtracted, in stored values; one number, or one per channel."""
    std: tuple[float, ...] = Field(default=(1.0,), examples=["std = [127.5]"])
    """Divided by, in stored values; one number, or one per channel."""

    def build(self) -> Preprocess:
        """The preprocessing that these fields describe; raises InputError where they cannot be used."""
        return Preprocess(self.size, self.channels, self.mean, self.std)


class InfererSection(Section):
    """`[model.inferer]`: how the clinic evaluates the network. The attack climbs exactly that."""

    size: tuple[int, ...] | None = Field(default=None, examples=["size = [96, 96, 96]"])
    """Sliding windows of this size; none evaluates the whole input at once."""
    overlap: float = Field(default=0.5, ge=0, lt=1)
    """Share of a window that its neighbour covers too."""
    mode: Literal["gaussian", "constant"] = "gaussian"
    """How overlapping windows are blended."""
    batch: int = Field(default=1, ge=1)
    """Windows evaluated at once; memory grows with it."""
    sigma_scale: float = Field(default=0.125, gt=0)
    """Width of the Gaussian as a share of the window."""
    padding: Literal["constant", "reflect", "replicate", "circular"] = "constant"
    """What surrounds inputs that are smaller than the window."""
    flips: tuple[tuple[int, ...], ...] = Field(default=(), examples=["flips = [[0], [1]]"])
    """Test-time augmentation: average with the input flipped along these spatial axes, flipped back."""
    average: Literal["logits", "softmax", "sigmoid"] = "logits"
    """What is averaged over the flips."""
    flipped: Literal["image", "windows"] = "image"
    """Whether the whole image is flipped before the windows slide, or every window by itself as nnU-Net does."""

    def build(self) -> Inferer | None:
        """The inferer that these fields describe; raises InputError where they cannot be used."""
        each = Flips(self.flips, average=self.average) if self.flips else None
        if self.size is None:
            return each
        inner = each if self.flipped == "windows" else None
        windows = SlidingWindow(
            self.size, self.overlap, self.mode, self.batch, self.sigma_scale, self.padding, inner=inner
        )
        return Flips(self.flips, windows, self.average) if self.flips and inner is None else windows


class ModelSection(Section):
    """`[model]`: the model under test. Name it by one of `factory`, `torchscript` and `exported`."""

    factory: str | None = Field(default=None, examples=['factory = "model.py:build"'])
    """`file.py:function` or `package.module:function`; the function returns the module."""
    torchscript: str | None = Field(default=None, examples=['torchscript = "model.ts"'])
    """A TorchScript file."""
    exported: str | None = Field(default=None, examples=['exported = "model.pt2"'])
    """A file that `torch.export.save` wrote."""
    weights: str | None = Field(default=None, examples=['weights = "weights.safetensors"'])
    """Weights for the factory's module: safetensors, or a file that loads with `weights_only`. Alone: a whole pickled
    module, which is loaded only where that is allowed explicitly."""
    arguments: dict[str, Any] = Field(default_factory=dict, examples=["arguments = {depth = 18}"])
    """Keyword arguments for the factory."""
    bounds: tuple[float, float] = Field(examples=["bounds = [0, 255]"])
    """Lowest and highest stored value of an image."""
    preprocess: PreprocessSection = PreprocessSection()
    """From stored values to the network's input."""
    inferer: InfererSection = InfererSection()
    """How the network is evaluated on that input."""


class DataSection(Section):
    """`[data]`: the labelled images. Name them by one of `table`, `folders` and `medmnist`."""

    table: str | None = Field(default=None, examples=['table = "labels.csv"'])
    """A CSV with one line an image."""
    folders: str | None = Field(default=None, examples=['folders = "images"'])
    """A folder with one folder a class."""
    medmnist: str | None = Field(default=None, examples=['medmnist = "breastmnist.npz"'])
    """A MedMNIST archive."""
    split: str = "test"
    """Split of the archive. Of a CSV: see `where`."""
    images: str | None = None
    """Folder that the paths of the CSV start from; the CSV's own unless told."""
    file: str = "file"
    """Column of the CSV with the paths."""
    label: str = "label"
    """Column of the CSV with the labels: names of classes, or their numbers from 0."""
    group: str | None = None
    """Column of the CSV that says which images belong together, such as the patient's."""
    where: dict[str, str | int | float | bool] = Field(default_factory=dict, examples=['where = {split = "test"}'])
    """Keep the lines of the CSV whose column has this value."""
    mask: str | tuple[str, ...] | None = Field(default=None, examples=['mask = "mask"'])
    """Column of the CSV with the masks' paths; a list of columns, one per structure, where structures overlap."""
    values: tuple[int, ...] = Field(default=(), examples=["values = [255]"])
    """Stored value of each structure in the masks; 1, 2, ... unless told. 0 is background."""
    field: str | None = Field(default=None, examples=['field = "fov"'])
    """Column of the CSV with masks whose zeros do not count, such as a camera's field of view."""
    ignore_value: int | None = Field(default=None, examples=["ignore_value = 255"])
    """Stored value of pixels in the masks that do not count."""
    boxes: str | None = Field(default=None, examples=['boxes = "boxes.csv"'])
    """A second CSV with one line a box, in pixels; the table itself where images without boxes do not occur."""
    box_file: str = "image"
    """Its column of images."""
    corners: tuple[str, str, str, str] = ("xmin", "ymin", "xmax", "ymax")
    """Its columns of left, top, right and bottom."""
    spacing: tuple[float, ...] | None = Field(default=None, examples=["spacing = [0.7, 0.7]"])
    """Size of a pixel along each axis in mm, where the files do not say; volumes in NIfTI do."""
    limit: int | None = Field(default=None, ge=1, examples=["limit = 100"])
    """At most so many images, every class in proportion."""


class ThreatSection(Section):
    """`[threat]`: how far an image may be changed."""

    norm: Literal["linf", "l2", "l1"] = Field(examples=['norm = "linf"'])
    """Largest change of one stored value, Euclidean length of the change, or sum of absolute changes."""
    eps: tuple[int | float | str, ...] = Field(min_length=1, examples=['eps = ["1/255", "2/255"]'])
    """Budgets: a number is stored values, `"1/255"` a fraction of the range, `"0.5%"` a percentage of it."""


class AttackSection(Section):
    """`[[attacks]]`: one attack; every other key of the table is a parameter of its own."""

    attack: str = Field(examples=['attack = "pgd"'])
    """Name in the catalog: `palpate list attacks`."""
    name: str = ""
    """What the report calls it; the catalog's name unless told. No two attacks share one."""
    goal: str = "untargeted"
    """`untargeted`; of classes `hide disease`, `invent disease`, `towards: ` and a class; of findings
    `all findings`, `miss: `, `invent: `; of masks `erase: `, `insert: `, `shift: `, `swap: `; of boxes `vanish`,
    `fabricate`, `mislabel`."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Not written as such: every other key of the table is a parameter of the attack."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        own = {key: value for key, value in table.items() if key in ("attack", "name", "goal")}
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
    and average precision under attack are then what the attack can reach. Unless told, `each` for masks and boxes and
    `rising` for classes and findings, where an image that is beaten cannot become more so."""
    layout: Literal["auto", "contiguous", "channels_last"] = "auto"
    """Memory layout of the search. `auto` times a step and takes the fastest arithmetic, once for a run folder; with a
    layout that is named nothing is timed, so that two run folders have the same bytes."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; `auto` takes a GPU where there is one."""
    random_model: Literal["refuse", "allow"] = "refuse"
    """What to do with a model whose outputs differ from pass to pass."""


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
    run: RunSection = RunSection()
    """How the audit is carried out."""
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
        """The budgets in stored values, rising, each once."""
        return tuple(sorted({radius(eps, self.model.bounds) for eps in self.threat.eps}))


def load_plan(path: Path) -> Plan:
    """The plan in a TOML file.

    Raises:
        PlanError: it cannot be read, is not TOML, or has fields that are unknown, missing or impossible; every one is
            named with its line and its mend.
    """
    try:
        # Some editors put a mark in front of UTF-8, which TOML does not allow. Line ends stay as they are.
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise PlanError(f"{path} does not exist. `palpate init` writes a plan to start from.") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}. Give a plan, a TOML file.") from error
    return parse_plan(text, path)


def parse_plan(text: str, origin: Path) -> Plan:
    """The plan in a TOML text; `origin` is the file that it stands for, whose folder its paths are relative to.

    Raises:
        PlanError: as `load_plan`.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise not_toml(origin, text, error) from error
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
