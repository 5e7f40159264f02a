"""Carry out the `[harden]` of a plan: load, train, and write what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from palpate.allocator import choose_allocation
from palpate.audit.plan.identity import encode
from palpate.audit.run.lock import locked
from palpate.audit.subject.machine import repeatable
from palpate.errors import StorageError
from palpate.hardening.contracts import Course, Trained
from palpate.hardening.courses import course_of, described_course, require_possible
from palpate.hardening.curves import curves
from palpate.hardening.examination import Examination
from palpate.hardening.hardened_plan import write_hardened_plan
from palpate.hardening.loop.progress import Progress, Silence
from palpate.hardening.loop.trainer import CHECKPOINT, train
from palpate.hardening.material import Material, load_material
from palpate.hardening.record import FILE, record, write_record
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
        plan: a plan that audits the trained model; None if the training was interrupted or no epoch was better.
        material: the model, with the chosen weights, and its images.
        kept: other files with the name of that plan, which stayed, each in a sentence.
    """

    folder: Path
    trained: Trained
    saved: SavedModel | None
    plan: Path | None
    material: Material
    kept: tuple[str, ...] = ()


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
        StorageError: the folder belongs to another training or holds other files, or the disk is full.
    """
    _require_own(folder)
    choose_allocation(frugal=plan.model.windowed)
    with locked(folder), torch.inference_mode(False):
        if plan.harden is not None:
            require_possible(plan, plan.harden)
        material = load_material(plan, allow_pickle=allow_pickle, say=say)
        course = course_of(material)
        with repeatable(material.training.device):
            trained = train(course, folder, progress or Silence(), identity=_identity(material, course))
        if not trained.finished:
            return Hardened(folder, trained, None, None, material)
        return _written(material, course, trained, folder, allow_pickle)


def default_folder(plan: Plan) -> Path:
    """Where a training of a plan goes: `hardened/<plan's name>` next to it."""
    return plan.origin.parent / "hardened" / plan.origin.stem


def _require_own(folder: Path) -> None:
    """Refuse a folder with other files: the weights, for example, may have the name of those they started from."""
    if not folder.exists() or (folder / CHECKPOINT).exists() or (folder / FILE).exists():
        return
    try:
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}. Choose another folder with --out.") from error
    if others:
        raise StorageError(
            f"{folder} holds other files ({', '.join(others[:3])}), and a training could replace them. Choose a new "
            "folder with --out."
        )


def _identity(material: Material, course: Course) -> dict[str, str]:
    """What decides the training besides the course itself, by names for sentences."""
    training, validation = material.training, material.validation
    return {
        "training images": training.table.fingerprint(material.rows.training),
        "validation images": validation.table.fingerprint(material.rows.validation),
        "preprocessing": str(encode(training.preprocess)),
        "recipe and judge": str(described_course(course)),
    }


def _written(material: Material, course: Course, trained: Trained, folder: Path, allow_pickle: bool) -> Hardened:
    module = material.judged.module
    before = weights_digest(module)
    module.load_state_dict(trained.state)
    plan = material.plan
    source = plan.model.source()
    saved = save_model(network_inside(module), source, plan.root, folder, allow_pickle=allow_pickle)
    if trained.best and material.settings.operating_point == "choose" and isinstance(course.examiner, Examination):
        task = course.examiner.task_for(material.judged)
        saved = replace(saved, confidence=getattr(task, "confidence", None))
    write_record(folder, record(material, course, trained, saved, before, weights_digest(module)))
    write_atomically(folder / "curves.svg", curves(trained).encode())
    if not trained.best:
        return Hardened(folder, trained, saved, None, material)
    beside = folder.resolve() == default_folder(plan).resolve()
    written, kept = write_hardened_plan(plan, saved, plan.origin.parent if beside else folder)
    return Hardened(folder, trained, saved, written, material, kept)
