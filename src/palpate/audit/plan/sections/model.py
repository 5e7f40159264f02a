"""`[model]` of a plan: the model under test, and how it is evaluated."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from palpate.audit.plan.sections.base import Section
from palpate.audit.plan.sections.defences import DefenceSection
from palpate.audit.plan.sections.preprocess import PreprocessSection
from palpate.models.detectors.forms import BoxForm
from palpate.models.endpoint import Endpoint
from palpate.models.nnunet.folder import read_trained
from palpate.models.nnunet.network import told_by
from palpate.models.nnunet.pipeline import pipeline_of
from palpate.models.nnunet.windows import STEP
from palpate.models.source import ORIGINS, ModelSource
from palpate.victim import Inferer
from palpate.victim.inference import Flips, SlidingWindow


class InfererSection(Section):
    """`[model.inferer]`: how the clinic evaluates the network. The attack uses exactly the same evaluation."""

    size: tuple[int, ...] | None = Field(default=None, examples=["size = [96, 96, 96]"])
    """Sliding windows of this size; without it the whole input is evaluated at once."""
    overlap: float = Field(default=0.5, ge=0, lt=1)
    """Share of a window that its neighbour covers too."""
    mode: Literal["gaussian", "constant"] = "gaussian"
    """How overlapping windows are blended."""
    batch: int = Field(default=1, ge=1)
    """Windows evaluated at once; more windows take more memory."""
    sigma_scale: float = Field(default=0.125, gt=0)
    """Width of the Gaussian as a fraction of the window."""
    padding: Literal["constant", "reflect", "replicate", "circular"] = "constant"
    """How inputs that are smaller than the window are padded."""
    flips: tuple[tuple[int, ...], ...] = Field(default=(), examples=["flips = [[0], [1]]"])
    """Test-time augmentation: average with the input flipped along these spatial axes, flipped back."""
    average: Literal["logits", "softmax", "sigmoid"] = "logits"
    """What is averaged over the flips."""
    flipped: Literal["image", "windows"] = "image"
    """Whether the whole image is flipped before windows are cut, or each window separately, as nnU-Net does."""

    def build(self) -> Inferer | None:
        """The inferer that these fields describe; raises InputError if they cannot be used."""
        each = Flips(self.flips, average=self.average) if self.flips else None
        if self.size is None:
            return each
        inner = each if self.flipped == "windows" else None
        windows = SlidingWindow(
            self.size, self.overlap, self.mode, self.batch, self.sigma_scale, self.padding, inner=inner
        )
        return Flips(self.flips, windows, self.average) if self.flips and inner is None else windows


class EndpointSection(Section):
    """`[model.endpoint]`: your own service, which takes an image by POST and answers with scores in JSON."""

    url: str = Field(examples=['url = "http://127.0.0.1:8000/predict"'])
    """Its address. A service on this machine may be asked; any other machine only with `own_to_test`."""
    own_to_test: str | None = Field(default=None, examples=['own_to_test = "models.hospital.example"'])
    """The host of `url`, named again: it confirms that you may test this other machine. An audit sends it thousands of
    images that are made to fool it."""
    per_second: int | float = Field(default=10.0, examples=["per_second = 50"])
    """Largest number of queries per second."""
    budget: int = Field(default=10_000, examples=["budget = 100000"])
    """Largest number of queries in one start of the audit. Finished shards are kept, and the next start continues."""
    timeout: int | float = Field(default=30.0, examples=["timeout = 30"])
    """Seconds to wait for an answer."""
    send: Literal["npy", "png", "png16"] = "npy"
    """Format in which the image is sent: `npy`, a float32 array (channels, height, width); `png` with 8 bits, grey or
    colour; or `png16`, grey. PNG holds whole numbers only: `threat.lattice = true` keeps attacked images on them."""
    scores: str = "scores"
    """Path of the scores in the answer: names and places joined by dots, such as `predictions.0.scores`."""
    labels: tuple[str | int, ...] = Field(default=(), examples=['labels = ["no DR", "mild", "moderate"]'])
    """For a service that answers with one class and no scores: its answers in the order of `task.classes`. `scores` is
    then the path of that answer. Only `hopskipjump` and `noise` find anything in such a model."""
    headers: dict[str, Any] = Field(
        default_factory=dict, examples=['headers = {Authorization = {env = "MY_KEY", prefix = "Bearer "}}']
    )
    """Header fields that are sent too: a text, or the place of a key. A plan never holds the key itself:
    `{env = "MY_KEY"}` names an environment variable, `{file = "key.txt"}` a file."""
    query: dict[str, Any] = Field(default_factory=dict, examples=['query = {key = {env = "MY_KEY"}}'])
    """The query of the URL, after a question mark: texts and places of keys, as in `headers`."""

    def build(self) -> Endpoint:
        """The endpoint that these fields describe; raises InputError if it may not be asked."""
        numbers = float(self.per_second), self.budget, float(self.timeout)
        more = self.headers, self.query, tuple(map(str, self.labels))
        return Endpoint(self.url, self.own_to_test, *numbers, self.send, self.scores, *more)


class ModelSection(Section):
    """`[model]`: the model under test. Name it by one of `factory` to `endpoint`."""

    factory: str | None = Field(default=None, examples=['factory = "model.py:build"'])
    """`file.py:function` or `package.module:function`; the function returns the module. This code is run."""
    torchscript: str | None = Field(default=None, examples=['torchscript = "model.ts"'])
    """A TorchScript file. It is a program; if it uses files, it is loaded only with `--allow-pickle`."""
    exported: str | None = Field(default=None, examples=['exported = "model.pt2"'])
    """A file that `torch.export.save` wrote."""
    bundle: str | None = Field(default=None, examples=['bundle = "spleen_ct_segmentation"'])
    """A MONAI bundle's folder; its inference configuration defines the network."""
    huggingface: str | None = Field(default=None, examples=['huggingface = "vit-xray"'])
    """A folder with `config.json` and safetensors of transformers: an image classifier, a semantic segmenter, a
    detector, a SAM (with a prompt in `inputs`: `box`, `points`, `labels`), or a CLIP or SigLIP (with `texts`)."""
    texts: tuple[str | tuple[str, ...], ...] = Field(
        default=(), examples=['texts = ["a chest X-ray without findings", "a chest X-ray of pneumonia"]']
    )
    """For a CLIP or SigLIP: a text per class, in the order of `task.classes` or `task.findings`; a list of texts of one
    class is averaged. Their embeddings are computed once and stored beside the plan."""
    nnunet: str | None = Field(
        default=None,
        examples=['nnunet = "nnUNet_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__3d_fullres"'],
    )
    """A trained folder of nnU-Net v2, with `plans.json`, `dataset.json` and its folds. All that nnU-Net does around its
    network is part of the model: `preprocess` and `inferer` stay empty."""
    folds: tuple[int | str, ...] | None = Field(default=None, examples=["folds = [0]"])
    """Folds of `nnunet` whose logits are averaged: numbers, or `"all"` for `fold_all`. All numbered ones by default."""
    checkpoint: str | None = Field(default=None, examples=['checkpoint = "checkpoint_best.pth"'])
    """File of the weights in each fold of `nnunet`; `checkpoint_final.pth` by default."""
    mirror: bool | None = Field(default=None, examples=["mirror = false"])
    """Whether `nnunet` averages over mirrored windows, along the axes of its checkpoint. True by default; false is
    `nnUNetv2_predict --disable_tta`."""
    step_size: float | None = Field(default=None, gt=0, le=1, examples=["step_size = 0.75"])
    """How far apart windows of `nnunet` are, as a share of a patch: `nnUNetv2_predict -step_size`. 0.5 by default."""
    timm: str | None = Field(default=None, examples=['timm = "resnet18"'])
    """A network of timm by its name; with `weights`, and `arguments` such as `{num_classes = 2, in_chans = 1}`."""
    onnx: str | None = Field(default=None, examples=['onnx = "model.onnx"'])
    """An ONNX file, as a black box through onnxruntime; attacks that need no gradient can run: `square`,
    `hopskipjump`, `noise`."""
    output: str | int | None = Field(default=None, examples=['output = "logits"'])
    """Which output is read if the model returns a dict, a tuple or a list, or an ONNX file has several outputs: a
    name, a place from 0, or several joined by dots, such as `"aux.0"`."""
    onnx_gradients: bool = False
    """Convert the ONNX file to a torch module with onnx2torch, so that gradient attacks can run. Refused if its
    outputs differ from those of onnxruntime."""
    endpoint: EndpointSection | None = Field(default=None, examples=["[model.endpoint]"])
    """An HTTP endpoint, as a black box."""
    outputs: Literal["logits", "softmax", "sigmoid"] = "logits"
    """What the model returns: logits, or probabilities of a softmax or a sigmoid, which are turned back into logits. An
    audit stops if logits look like probabilities, except if the plan says `outputs = "logits"`."""
    boxes: BoxForm | None = Field(default=None, examples=['boxes = "pixels"'])
    """For a detector: its boxes are corners x1, y1, x2, y2 in `fractions` of width and height, or in `pixels` of the
    model's input; centre x, centre y, width, height (`centres`, `pixel centres`); x1, y1, width, height (`sizes`,
    `pixel sizes`); or corners y1, x1, y2, x2 (`yx fractions`, `yx pixels`). Fractions by default for
    `palpate.annotations.Candidates`; what other detectors return is recognised, and a note says as what."""
    first_class: Literal[0, 1] | None = Field(default=None, examples=["first_class = 1"])
    """For a detector that returns labels: the number of the first class, 1 if 0 is its background. Recognised by
    default."""
    objectness: bool | None = Field(default=None, examples=["objectness = true"])
    """For a raw YOLO head: whether the fifth number of a place is an objectness (YOLOv5), and not the first class
    (YOLOv8). Recognised by default; if shape and values leave it open, the audit stops and asks."""
    weights: str | None = Field(default=None, examples=['weights = "weights.safetensors"'])
    """Weights for the factory's module, or timm's: safetensors, or a file of `torch.save`, from which only tensors are
    read. `"in factory"`: the factory loads them. Without a factory: a whole pickled module, which is loaded only with
    `--allow-pickle`."""
    weights_entry: str | None = Field(default=None, examples=['weights_entry = "state_dict_ema"'])
    """Entry of a checkpoint that holds the weights, or the prefix of their names, if there are several."""
    arguments: dict[str, Any] = Field(default_factory=dict, examples=["arguments = {depth = 18}"])
    """Keyword arguments for the factory, or for timm."""
    inputs: dict[str, Any] = Field(
        default_factory=dict, examples=['inputs = {age = "age", sex = {column = "sex", values = {F = 0, M = 1}}}']
    )
    """What the model is given besides the image, fixed under attack: keyword of its `forward` -> columns of the table.
    `"age"`, a column of numbers, as (B,); `["age", "bmi"]` as (B, 2); `{column = "sex", values = {F = 0, M = 1}}` for
    words; `{image = "lateral"}`, paths of another image, read and preprocessed like the image; and prompts in pixels of
    the image, `{box = ["x1", "y1", "x2", "y2"]}` as (B, 4), `{points = ["x", "y"]}` as (B, points, 2), which the model
    gets in pixels of its input."""
    bounds: tuple[float, float] = Field(examples=["bounds = [0, 255]"])
    """Lowest and highest stored value of an image."""
    preprocess: PreprocessSection = PreprocessSection()
    """From stored values to the network's input."""
    inferer: InfererSection = InfererSection()
    """How the network is evaluated on that input."""
    defences: tuple[DefenceSection, ...] = Field(default=(), examples=["[[model.defences]]"])
    """What surrounds the model, in stored values; the first is outermost. Attacks know them."""

    @property
    def windowed(self) -> bool:
        """Whether images are evaluated in windows, so that memory is freed between them."""
        return self.inferer.size is not None or self.nnunet is not None

    def evaluation(self, root: Path, *, allow_pickle: bool = False) -> Inferer | None:
        """How the network is evaluated: `inferer`, or the pipeline of an nnU-Net folder.

        Raises:
            InputError: the fields cannot be used, or the folder cannot be read.
        """
        if self.nnunet is None:
            return self.inferer.build()
        trained = read_trained(root / self.nnunet, self.folds, self.checkpoint)
        told = told_by(trained, allow_pickle=allow_pickle)
        return pipeline_of(trained, told, mirror=self.mirror is not False, step=self.step_size or STEP)

    @property
    def named(self) -> str:
        """The model's name in a report: its file, folder or name, or the address of its service."""
        given = next((getattr(self, name) for name in ORIGINS if getattr(self, name) is not None), self.weights)
        return given.url if isinstance(given, EndpointSection) else str(given)

    def source(self) -> ModelSource:
        """Where the model comes from."""
        names = {entry.name for entry in fields(ModelSource)} - {"endpoint"}
        endpoint = None if self.endpoint is None else self.endpoint.build()
        return ModelSource(**{name: getattr(self, name) for name in names}, endpoint=endpoint)
