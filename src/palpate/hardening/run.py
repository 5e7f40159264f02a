"""Carry out the `[harden]` of a plan: load, train, and write what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from palpate.audit.plan.identity import encode
from palpate.audit.run.lock import locked
from palpate.audit.subject.machine import repeatable
from palpate.hardening.contracts import Course, Trained
from palpate.hardening.courses import course_of, described_course, require_possible
from palpate.hardening.curves import curves
from palpate.hardening.examination import Examination
from palpate.hardening.hardened_plan import hardened_plan
from palpate.hardening.loop.progress import Progress, Silence
from palpate.hardening.loop.trainer import train
from palpate.hardening.material import Material, load_material
from palpate.hardening.record import record, write_record
from palpate.hardening.trainable import network_inside
from palpate.hardening.weights import SavedModel, save_model
from palpate.models.loading import weights_digest
from palpate.storage.writing import write_atomically

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


@dataclass(frozen=True)
class Hardened:
    """What a training gave.

    Attributes:
        folder: holds the weights, `harden.json`, the curves and the checkpoint.
        trained: the chosen weights and all epochs.
        saved: the trained model on the disk; None if the training was interrupted.
        plan: a plan next to the user's, which audits the trained model; None if it was interrupted.
        material: the model, with the chosen weights, and its images.
    """

    folder: Path
    trained: Trained
    saved: SavedModel | None
    plan: Path | None
    material: Material


def harden_plan(
    plan: Plan,
    folder: Path,
    *,
    allow_pickle: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Hardened:
    """Train the model of a plan against attacks, or continue; see `palpate.harden`.

    Raises:
        PlanError: the plan has no `[harden]`, or its fields cannot be used.
        InputError: model or images cannot be used; the sentence says what to fix.
        StorageError: the folder belongs to another training, or the disk is full.
    """
    with locked(folder), torch.inference_mode(False):
        if plan.harden is not None:
            require_possible(plan, plan.harden)
        material = load_material(plan, allow_pickle=allow_pickle, say=say)
        course = course_of(material)
        with repeatable(material.training.device):
            trained = train(course, folder, progress or Silence(), identity=_identity(material, course))
        if not trained.finished:
            return Hardened(folder, trained, None, None, material)
        return _written(material, course, trained, folder)


def default_folder(plan: Plan) -> Path:
    """Where a training of a plan goes: `hardened/<plan's name>` next to it."""
    return plan.root / "hardened" / plan.origin.stem


def _identity(material: Material, course: Course) -> dict[str, str]:
    """What decides the training besides the course itself, by names for sentences."""
    training, validation = material.training, material.validation
    return {
        "training images": training.table.fingerprint(material.rows.training),
        "validation images": validation.table.fingerprint(material.rows.validation),
        "preprocessing": str(encode(training.preprocess)),
        "recipe and judge": str(described_course(course)),
    }


def _written(material: Material, course: Course, trained: Trained, folder: Path) -> Hardened:
    module = material.judged.module
    before = weights_digest(module)
    module.load_state_dict(trained.state)
    plan = material.plan
    saved = save_model(network_inside(module), plan.model.source(), plan.root, folder)
    if trained.best and material.settings.operating_point == "choose" and isinstance(course.examiner, Examination):
        task = course.examiner.task_for(material.judged)
        saved = replace(saved, confidence=getattr(task, "confidence", None))
    new_plan = plan.root / f"{plan.origin.stem}-hardened.toml"
    write_atomically(new_plan, hardened_plan(plan, saved).encode())
    write_record(folder, record(material, course, trained, saved, before, weights_digest(module)))
    write_atomically(folder / "curves.svg", curves(trained).encode())
    return Hardened(folder, trained, saved, new_plan, material)
