"""`[harden]` of a plan: how `palpate harden` trains the model against attacks."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from palpate.audit.plan.sections.base import Section
from palpate.audit.plan.sections.data import DataSection
from palpate.data.layouts.registry import LAYOUTS


class RecipeSection(Section):
    """`[[harden.mixture]]`: one recipe of several, each for a share of the batches."""

    recipe: str = Field(examples=['recipe = "pgd"'])
    """Name of a recipe (`palpate list recipes`), or of any attack of the catalogue."""
    settings: dict[str, Any] = Field(default_factory=dict, examples=["settings = {steps = 7}"])
    """Parameters of the recipe, or of the attack."""
    share: float = Field(default=1.0, gt=0, examples=["share = 0.5"])
    """Its share of the batches, compared with the shares of the others."""


class HardenSection(Section):
    """`[harden]`: fine-tuning of the plan's model on attacked images."""

    data: DataSection = Field(examples=['data = {where = {split = "train"}}'])
    """The training images: the fields of `[data]`, which are also the defaults here, except `limit`. Patients and
    images of the audit are refused."""
    validation: DataSection | None = Field(default=None, examples=['validation = {where = {split = "val"}}'])
    """Images for the choice of the best epoch, as `[harden.data]`; by default a share of the training patients."""
    validation_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the training patients that is kept for the choice of the best epoch, every class in proportion."""
    validation_limit: int = Field(default=100, ge=1)
    """At most this many images are attacked after each epoch."""
    overlap: Literal["refuse", "leave out"] = "refuse"
    """What to do with training images whose patient or pixels are in the audit, or among the validation images: stop
    with an error, or do not train on them."""
    recipe: str = Field(default="", examples=['recipe = "trades"'])
    """Name of a recipe (`palpate list recipes`), or of any attack of the catalogue. Default: `fast` for classes and
    findings, `segpgd` for masks, `pgd` for boxes."""
    settings: dict[str, Any] = Field(default_factory=dict, examples=["settings = {beta = 6, steps = 5}"])
    """Parameters of the recipe, or of the attack."""
    mixture: tuple[RecipeSection, ...] = Field(default=(), examples=["[[harden.mixture]]"])
    """Several recipes instead of one."""
    fallback: str = Field(default="", examples=['fallback = "pgd"'])
    """The recipe that follows if catastrophic overfitting is seen; `pgd`, or `segpgd` for masks, by default."""
    eps: int | float | str | None = Field(default=None, examples=['eps = "2/255"'])
    """Budget of the training, as in `threat.eps`; by default the largest of the plan."""
    eps_schedule: Literal["constant", "ramp"] = "constant"
    """`ramp`: no attack in the first quarter of the epochs, then a budget that grows linearly until three quarters,
    then the full budget; for models that are far from robust."""
    epochs: int = Field(default=8, ge=1)
    """Passes over the training images; an nnU-Net has one step for each volume."""
    batch: int = Field(default=32, ge=1)
    """Images of each training step; for an nnU-Net patches, all of one volume."""
    rate: float = Field(default=5e-4, gt=0)
    """Largest learning rate. It starts slowly and decays fast."""
    optimiser: str = Field(default="adamw", examples=['optimiser = "train.py:optimiser"'])
    """`adamw`, `sgd` (momentum 0.9), or a factory `file.py:function` that takes the parameters and the rate."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Weight decay of `adamw` and `sgd`."""
    augment: str = Field(default="none", examples=['augment = "flips"'])
    """`none`, `shift` (random shifts by up to 6 %), `flips` (along every axis, for images without a fixed
    orientation), or a factory `file.py:function` whose function changes one image and its annotation."""
    batch_norm: Literal["train", "frozen"] = "train"
    """What batch norms use in the training step: statistics of the batch, which also move the running ones (`train`),
    or the running ones of your model, which stay as they are (`frozen`; for batches of a few images). Their scales
    and shifts are trained with both."""
    loss: str = Field(default="", examples=['loss = "train.py:loss"'])
    """A factory `file.py:function` whose function gives the loss of each image (B,) from outputs and targets. By
    default cross-entropy for classes, with soft Dice for masks, and classification with localisation for boxes."""
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"
    """Weights of the classes in the loss: `balanced` is inverse to their frequency."""
    average: float = Field(default=0.99, ge=0, lt=1)
    """Weight averaging: share of the old average that each step keeps (EMA); 0 switches it off."""
    weight_perturbation: float = Field(default=0.0, ge=0, examples=["weight_perturbation = 0.005"])
    """Adversarial weight perturbation: relative size of the change of each layer; 0 switches it off."""
    lose_at_most: float = Field(default=0.02, ge=0, le=1)
    """Clean score that may be lost on the validation images, as a share (0.02 is 2 points). An epoch below it is never
    chosen."""
    operating_point: Literal["keep", "choose"] = "keep"
    """Boxes: `choose` scores each epoch at the confidence with the best clean score of the validation images, and
    writes that of the chosen epoch as `task.confidence` into the plan of the trained model. Training against attacks
    lowers confidences: a detector that finds as much as before misses boxes at its old one. `keep`: the plan's."""
    judge: str = Field(default="", examples=['judge = "apgd-margin"'])
    """The attack that chooses the best epoch; by default another one, with another loss, than the recipe trains on."""
    judge_settings: dict[str, Any] = Field(default_factory=dict, examples=["judge_settings = {steps = 20}"])
    """Its parameters."""
    proof_limit: int | None = Field(default=None, ge=1, examples=["proof_limit = 40"])
    """At most this many images of the audit are attacked before and after training, every class in proportion; by
    default all."""
    patience: int = Field(default=0, ge=0)
    """Stop after so many epochs without a better robust score; 0 runs all epochs."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the training step. Attacks and verdicts stay float32."""

    @field_validator("class_weights")
    @classmethod
    def _positive(cls, value: Any) -> Any:
        if isinstance(value, tuple) and not all(weight > 0 for weight in value):
            raise ValueError("every weight must be more than 0")
        return value


def inherited(document: Any) -> Any:
    """The plan's document with the fields of `[data]` in `[harden.data]` and `[harden.validation]`, where not given."""
    if not (isinstance(document, dict) and isinstance(document.get("harden"), dict)):
        return document
    data, harden = document.get("data"), dict(document["harden"])
    if not isinstance(data, dict):
        return document
    for name in ("data", "validation"):
        if isinstance(own := harden.get(name), dict):
            harden[name] = {**_defaults(data, own), **own}
    return {**document, "harden": harden}


def _defaults(data: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    layout = set(LAYOUTS) if set(LAYOUTS) & set(own) else set()
    return {key: value for key, value in data.items() if key != "limit" and key not in layout}
