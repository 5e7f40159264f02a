"""`palpate.harden`: train a model against attacks in one call, for notebooks."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from palpate import catalog
from palpate.api.attacking import looked_at, victim_given
from palpate.api.inputs import ball_from, images_from, labels_from, scale_of, targets_from
from palpate.api.tasks import of_task, task_named
from palpate.api.training import (
    lists_as_tuples,
    loss_given,
    optimiser_given,
    require_module,
    require_progress,
    require_threat,
    threat_at,
    validation_given,
)
from palpate.audit.plan.sections.data import DataSection
from palpate.audit.plan.sections.harden import HardenSection
from palpate.contracts import Limits, Task, Threat
from palpate.errors import InputError
from palpate.hardening.contracts import Course, EpochRow, Loss, Trained
from palpate.hardening.courses import judge_of, optimiser_of, recipes_of
from palpate.hardening.data.lessons import TrainingImages
from palpate.hardening.data.reading import Tensors
from palpate.hardening.data.split import split_groups
from palpate.hardening.data.windows import trained_inferer, window_of
from palpate.hardening.examination import Examination
from palpate.hardening.loop.progress import Progress
from palpate.hardening.loop.trainer import train
from palpate.hardening.losses.default import default_loss
from palpate.hardening.recipes.table import ImageFacts
from palpate.hardening.trainable import require_trainable
from palpate.models.nnunet.patches import Patch
from palpate.tensors import Tree, take
from palpate.threats.ball import check_bounds
from palpate.units import Scale
from palpate.victim import Inferer, Victim


@dataclass(frozen=True)
class HardenedModel:
    """A model that was trained against attacks.

    Attributes:
        module: a copy of the given one with the chosen weights, in evaluation mode.
        trained: the chosen weights and all epochs.
        validation: the rows of the given images that chose the epoch; empty if validation images were given.
    """

    module: nn.Module
    trained: Trained
    validation: tuple[int, ...]

    @property
    def epochs(self) -> tuple[EpochRow, ...]:
        """Scores of each epoch; the first one is the model before training."""
        return self.trained.epochs

    def describe(self) -> str:
        """What was gained and paid on the validation images, in a sentence."""
        rows = {row.epoch: row for row in self.epochs}
        first, best = rows[0], rows[self.trained.best]
        if not self.trained.best:
            return (
                "No epoch was more robust without losing too much clean score, so the weights are those from before: "
                f"robust score {first.robust:.3f}, clean score {first.clean:.3f}, on validation images."
            )
        return (
            f"Epoch {self.trained.best} was chosen: robust score {first.robust:.3f} before and {best.robust:.3f} "
            f"after, clean score {first.clean:.3f} before and {best.clean:.3f} after, on validation images."
        )


def harden(
    module: nn.Module | Victim,
    images: Tensor | Any,
    targets: Tree,
    recipe: str = "",
    *,
    eps: float | str | None = None,
    norm: str = "linf",
    threat: Callable[[float], Threat] | None = None,
    limits: Limits | None = None,
    groups: Sequence[object] | None = None,
    validation: tuple[Tensor, Tree] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    unit: str | None = None,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    inferer: Inferer | None = None,
    task: Task | str | None = None,
    loss: Loss | None = None,
    optimiser: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None,
    seed: int = 0,
    folder: Path | str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> HardenedModel:
    """Fine-tune a model on attacked images, and return a copy with the weights of the best epoch.

        hardened = palpate.harden(module, images, labels, "fast", eps=2/255, groups=patients, epochs=4)
        print(hardened.describe())
        result = palpate.attack(hardened.module, others, their_labels, "strongest", eps=2/255)

    The epoch is chosen on images of other patients, with another attack and another loss than those trained on, among
    the epochs whose clean score is at most `lose_at_most` below that before training. These images chose the epoch, so
    the gain must be shown on images that were never given here.

    Args:
        module: a model that returns logits; or a `Victim`, which has its own bounds. It is not changed.
        images: (N, C, *spatial) in stored values inside `bounds`.
        targets: (N,) integer classes, or what `task` expects.
        recipe: `palpate list recipes`, or an attack of the catalogue; by default that of the task.
        eps: the budget in the units of `images`; a text is a share of the range, such as "8/255".
        norm: `linf`, `l2` or `l1`.
        threat: makes the threat at a budget, such as `lambda eps: palpate.Confined(eps=eps, lattice=True)`.
        limits: what such a threat needs to know about each image.
        groups: the patient of each image, so that no patient is in both halves; by default each image is alone.
        validation: images and targets that choose the epoch; by default a fifth of the patients.
        bounds: lowest and highest value that an image can store.
        unit: unit of the values, for eps as text, as in `palpate.attack`.
        preprocess: differentiable map from stored values to the module's input.
        inferer: how the module is evaluated on whole images; windows are trained one by one.
        task: what the outputs mean; a classification by default. "segmentation" and "multilabel" are enough where the
            output says how many structures or findings there are.
        loss: the training loss of each image (B,) from outputs and targets.
        optimiser: makes the optimiser from the parameters.
        seed: root of all random numbers.
        folder: keeps a checkpoint, so that the same call continues after a kill; by default nothing is kept.
        progress: is called as the training proceeds.
        settings: fields of `[harden]` in a plan: epochs, batch, rate, settings (of the recipe), average ...

    Raises:
        InputError: images, targets, model or settings cannot be used; the text says what to fix.
    """
    with torch.inference_mode(False), torch.enable_grad():
        given = settings_of(recipe, settings)
        require_progress(progress)
        require_threat(eps, threat, limits)
        require_module(module)
        loss, optimiser = loss_given(loss), optimiser_given(optimiser)
        images = images_from(images)
        victim = _own_copy(victim_given(module, bounds, None, None, preprocess=preprocess, inferer=inferer))
        require_trainable(victim.module)
        check_bounds(images, victim.bounds)
        task = task_named(task, victim, images)
        targets = labels_from(images, targets) if task is None else of_task(task, images, targets_from(images, targets))
        task = looked_at(victim, images, targets, task, None, stated=False)
        ball, budget = _threat(threat, norm, eps, scale_of(victim, unit))
        if validation is not None:
            validation = validation_given(validation, images, victim.bounds)
            validation = validation[0], of_task(task, *validation)
        rows, kept = _halves(images, targets, limits, validation, groups, given, seed)
        course = _course(victim, task, ball, budget, rows, kept, given, seed)
        course = replace(course, loss=loss or course.loss, optimiser=optimiser or course.optimiser)
        with tempfile.TemporaryDirectory() as temporary:
            trained = train(course, Path(folder or temporary), progress)
        victim.module.load_state_dict(trained.state)
        chosen = kept[1] if validation is None else ()
        return HardenedModel(victim.module.eval(), trained, chosen)


def settings_of(recipe: str, settings: Mapping[str, Any]) -> HardenSection:
    """`[harden]` from keyword arguments.

    Raises:
        InputError: a field does not exist, or has another type.
    """
    from pydantic import ValidationError

    left_out = {"data", "validation", "recipe", "loss", "augment", "optimiser", "eps", "operating_point"}
    known = [name for name in HardenSection.model_fields if name not in left_out]
    for name in settings:
        if name not in known:
            raise InputError(f"{name}: palpate.harden has no such setting. Known are {', '.join(known)}.")
    try:
        return HardenSection(
            data=DataSection.model_validate({"table": "none"}), recipe=recipe, **lists_as_tuples(settings)
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from error


def _own_copy(victim: Victim) -> Victim:
    copied = copy.copy(victim)
    copied.module = copy.deepcopy(victim.module)
    return copied


def _threat(
    threat: Callable[[float], Threat] | None, norm: str, eps: float | str | None, scale: Scale
) -> tuple[Callable[[float], Threat], float]:
    size: Any = ball_from(norm, eps, scale)
    if threat is not None:
        threat_at(threat, float(size.eps))
    return threat or (lambda radius: ball_from(norm, radius, scale)), float(size.eps)


Half = tuple[Tensors, tuple[int, ...]]


def _halves(
    images: Tensor,
    targets: Tree,
    limits: Limits | None,
    validation: tuple[Tensor, Tree] | None,
    groups: Sequence[object] | None,
    given: HardenSection,
    seed: int,
) -> tuple[Half, Half]:
    reader = Tensors(images, targets, limits)
    if validation is not None:
        others, theirs = validation
        kept = Tensors(others, theirs, None, prefix="validation ")
        return (reader, tuple(range(len(images)))), (kept, tuple(range(len(others)))[: given.validation_limit])
    if groups is not None and len(groups) != len(images):
        raise InputError(f"groups: there are {len(groups)} for {len(images)} images. Give one per image.")
    labels = targets.tolist() if isinstance(targets, Tensor) and targets.ndim == 1 else [-1] * len(images)
    names = [str(group) for group in groups] if groups is not None else [str(row) for row in range(len(images))]
    found = split_groups(labels, names, given.validation_share, seed)
    return (reader, found.training), (reader, found.validation[: given.validation_limit])


def _course(
    victim: Victim,
    task: Task,
    threat: Callable[[float], Threat],
    eps: float,
    rows: Half,
    kept: Half,
    given: HardenSection,
    seed: int,
) -> Course:
    reader = rows[0]
    facts = ImageFacts(axes=reader.images.ndim - 2, channels=reader.images.shape[1])
    recipe, fallback = recipes_of(given, task, threat(eps), facts)
    window = window_of(victim.inferer)
    inferer = trained_inferer(victim.inferer, given.batch)
    if isinstance(inferer, Patch):
        raise InputError(
            "harden: an nnU-Net is trained on patches of its files' volumes. Write a plan with model.nnunet and "
            "[harden], and run `palpate harden`."
        )
    trained = Victim(victim.module, victim.bounds, preprocess=victim.preprocess, inferer=inferer)
    lessons = TrainingImages(
        reader, trained, rows[1], given.batch, seed, window=None if window is None else window.size
    )
    judge = judge_of(given, task, recipe, threat(eps))
    single = catalog.make("fgsm", threat(eps))
    return Course(
        victim=trained,
        judged=victim,
        task=task,
        threat=threat,
        eps=eps,
        recipe=recipe,
        fallback=fallback,
        loss=default_loss(task, _weights(given, task, reader, rows[1])),
        lessons=lessons,
        examiner=Examination(kept[0], kept[1], task, judge, single, given.batch, seed),
        settings=given,
        optimiser=optimiser_of(given, Path()),
        seed=seed,
    )


def _weights(given: HardenSection, task: Task, reader: Tensors, rows: tuple[int, ...]) -> tuple[float, ...]:
    from palpate.hardening.losses.weights import balanced

    if given.class_weights == "balanced":
        return balanced(task, [take(reader.annotations, torch.tensor(rows))])
    return () if isinstance(given.class_weights, str) else given.class_weights
