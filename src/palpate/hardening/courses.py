"""From loaded material to the course of a training: recipe, judge, loss, optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from palpate import catalog
from palpate.audit.plan.artefacts import modality_of
from palpate.audit.plan.identity import encode
from palpate.audit.plan.plan import Plan
from palpate.audit.plan.sections.harden import HardenSection
from palpate.audit.plan.tasks import plan_task, task_of
from palpate.contracts import Attack, Task, Threat
from palpate.errors import InputError, PlanError
from palpate.hardening.contracts import Course, Loss, Recipe
from palpate.hardening.data.reading import Table, batches
from palpate.hardening.examination import Examination
from palpate.hardening.losses.default import default_loss
from palpate.hardening.losses.own import own_loss
from palpate.hardening.losses.weights import balanced
from palpate.hardening.material import Material
from palpate.hardening.own_parts import made_by
from palpate.hardening.recipes.defaults import default_fallback, default_judge, default_recipe
from palpate.hardening.recipes.table import ImageFacts, make, mixture
from palpate.seeds import derive
from palpate.tasks.kinds import kind_of

MOMENTUM = 0.9
_COUNTED = 64
"""Images whose labels are read at once for class weights."""


def course_of(material: Material) -> Course:
    """The course of a plan's training.

    Raises:
        InputError: a recipe, an attack, a factory or their settings cannot be used.
    """
    plan, settings = material.plan, material.settings
    task = task_of(plan.task, "untargeted")
    threat = plan.threat.build(material.eps)
    recipe, fallback = recipes_of(settings, task, threat, facts_of(material))
    examiner = Examination(
        Table(material.validation),
        material.rows.validation,
        plan_task(plan, "untargeted"),  # the model behind its defences
        judge_of(settings, task, recipe, threat),
        catalog.make("fgsm", threat),
        plan.run.batch,
        derive(plan.seed, "harden"),
        choose=settings.operating_point == "choose",
    )
    return Course(
        victim=material.training.victim,
        judged=material.judged,
        task=task,
        threat=plan.threat.build,
        eps=material.eps,
        recipe=recipe,
        fallback=fallback,
        loss=loss_of(settings, task, plan.root, _targets(material)),
        lessons=material.lessons,
        examiner=examiner,
        settings=settings,
        optimiser=optimiser_of(settings, plan.root),
        seed=derive(plan.seed, "harden"),
    )


def require_possible(plan: Plan, settings: HardenSection) -> None:
    """Refuse recipes, judges and optimisers that cannot be used, before anything is loaded.

    Raises:
        PlanError: a name or a setting is unknown, or does not fit the task.
        InputError: an attack refuses a value.
    """
    task, threat = task_of(plan.task, "untargeted"), plan.threat.build(plan.radii[-1])
    named = {part.recipe for part in settings.mixture} | {settings.recipe, settings.fallback}
    # What artefacts are possible is known only with the images.
    if "artefacts" in named and plan.model.nnunet is not None:
        raise PlanError(
            "harden.recipe: artefacts are made on whole images as the files store them, and an nnU-Net is trained on "
            "patches of its own grid. Choose another recipe."
        )
    if "artefacts" not in named:
        recipe, _ = recipes_of(settings, task, threat, ImageFacts())
        judge_of(settings, task, recipe, threat)
    if settings.operating_point == "choose" and family_of(task) != "detection":
        raise PlanError("harden.operating_point: only boxes have a confidence that can be chosen. Remove the field.")
    optimiser_of(settings, plan.root)
    if settings.loss:
        own_loss(settings.loss, plan.root)


def recipes_of(settings: HardenSection, task: Task, threat: Threat, images: ImageFacts) -> tuple[Recipe, Recipe]:
    """The recipe that is trained on, and the one after catastrophic overfitting.

    Raises:
        PlanError: there is no such recipe, or it does not take these settings or this task.
    """
    with _named("harden.fallback"):
        fallback = make(settings.fallback or default_fallback(task), {}, task, threat, images)
    if settings.mixture:
        if settings.recipe or settings.settings:
            raise PlanError("harden.recipe: [[harden.mixture]] names the recipes. Remove recipe and settings.")
        with _named("harden.mixture"):
            parts = [(make(part.recipe, part.settings, task, threat, images), part.share) for part in settings.mixture]
            return mixture(parts), fallback
    with _named("harden.recipe"):
        return make(settings.recipe or default_recipe(task), settings.settings, task, threat, images), fallback


@contextmanager
def _named(field: str) -> Iterator[None]:
    """Errors inside the block begin with the plan's field."""
    try:
        yield
    except InputError as error:
        text = str(error)
        raise PlanError(text if text.startswith("harden.") else f"{field}: {text}") from error


def facts_of(material: Material) -> ImageFacts:
    """What plan and files say of the training images, for recipes that need it."""
    training, data = material.training, material.settings.data
    channels, *spatial = training.shape_of(material.rows.training[0])
    unit = training.scale.unit
    codes = [header.modality for header in training.headers]
    modality = modality_of(data.modality, codes, unit)
    return ImageFacts(modality, unit, training.spacing or (), len(spatial), channels)


def judge_of(settings: HardenSection, task: Task, recipe: Recipe, threat: Threat) -> Attack:
    """The attack that chooses the best epoch. Attacks on masks and boxes run to their end: the mean score counts.

    Raises:
        InputError: there is no such attack, or it does not take these settings or this task.
    """
    name, defaults = default_judge(task, recipe)
    name, given = settings.judge or name, dict(settings.judge_settings)
    if not settings.judge:
        given = {**defaults, **given}
    with _named("harden.judge"):
        entry = catalog.find(name)
        if entry.surrogate or entry.learned:
            raise InputError(f"'{name}' needs more than the model. Use apgd-margin, pgd or strongest.")
        catalog.check_supports(name, kind := family_of(task), targeted=False)
        if kind in ("segmentation", "detection") and "run_to_end" in catalog.parameters(entry):
            given.setdefault("run_to_end", True)
        judge: Attack = catalog.make(name, threat, **given)
    return judge


def family_of(task: Task) -> str:
    """The kind of a task as attacks name it."""
    return kind_of(task) or "classification"


def loss_of(settings: HardenSection, task: Task, root: Path, targets: Callable[[], Iterable[Any]]) -> Loss:
    """The training loss: the user's own, or that of the task with class weights.

    Raises:
        InputError: the factory fails, or class weights do not fit.
    """
    if settings.loss:
        if settings.class_weights != "none":
            raise InputError("harden.class_weights: harden.loss is your own function. Remove one of the two.")
        return own_loss(settings.loss, root)
    weights = settings.class_weights
    if isinstance(weights, str):
        return default_loss(task, balanced(task, targets()) if weights == "balanced" else ())
    return default_loss(task, weights)


def optimiser_of(settings: HardenSection, root: Path) -> Callable[[Iterable[nn.Parameter]], Optimizer]:
    """What makes the optimiser: AdamW, SGD with momentum, or the user's factory.

    Raises:
        InputError: the name is unknown. A factory's errors come when it is called.
    """
    rate, decay = settings.rate, settings.weight_decay
    if settings.optimiser == "adamw":
        return lambda parameters: torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    if settings.optimiser == "sgd":
        return lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=MOMENTUM, weight_decay=decay)
    if ":" not in settings.optimiser:
        raise InputError(
            f'harden.optimiser: "{settings.optimiser}" is not adamw, sgd, or a factory "file.py:function" of the '
            "parameters and the rate."
        )
    return lambda parameters: _own_optimiser(settings.optimiser, list(parameters), rate, root)


def _own_optimiser(factory: str, parameters: list[nn.Parameter], rate: float, root: Path) -> Optimizer:
    given = {"parameters": parameters, "rate": rate}
    made = made_by("harden.optimiser", factory, root, "a torch optimiser", given)
    if not isinstance(made, Optimizer):
        raise InputError(f"harden.optimiser: {factory} returned {type(made).__name__}. Return a torch optimiser.")
    return made


def described_course(course: Course) -> dict[str, Any]:
    """What is trained on and what judges, as JSON."""
    examiner = course.examiner
    judge = encode(examiner.judge) if isinstance(examiner, Examination) else None
    return {
        "recipe": encode(course.recipe),
        "fallback": encode(course.fallback),
        "judge": judge,
        "threat": encode(course.threat(course.eps)),
        "eps": course.eps,
    }


def _targets(material: Material) -> Callable[[], Iterable[Any]]:
    reader = Table(material.training)

    def read() -> Iterable[Tensor]:
        for rows in batches(reader, material.rows.training, _COUNTED):
            yield reader.targets(rows)

    return read
