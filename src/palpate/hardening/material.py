"""What a hardening works on: the model, its training and validation images, kept apart from the audit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from palpate.audit.plan.sections.data import DataSection
from palpate.audit.plan.sections.harden import HardenSection
from palpate.audit.plan.tables import listed, load_table
from palpate.audit.subject.subject import Subject, load_subject
from palpate.data.layouts.registry import LAYOUTS
from palpate.data.table import Table as Rows
from palpate.errors import InputError, PlanError
from palpate.hardening.data.augment import augment_of
from palpate.hardening.data.grid import OnGrid, mirrors, note_of, require_one_fold
from palpate.hardening.data.lessons import TrainingImages
from palpate.hardening.data.overlap import Known, overlapping, patients, require_apart, require_named
from palpate.hardening.data.reading import Table
from palpate.hardening.data.split import Split, split_rows
from palpate.hardening.data.windows import trained_inferer, window_of
from palpate.hardening.hardened_plan import document_of
from palpate.hardening.trainable import require_trainable, require_trainable_source
from palpate.models.nnunet.patches import Patch
from palpate.models.nnunet.pipeline import NnUNet
from palpate.seeds import derive
from palpate.units import radius
from palpate.victim import Victim

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

DICOM = "dicom"


@dataclass(frozen=True)
class Material:
    """Everything that is loaded for a hardening.

    Attributes:
        plan: with budgets in the values of the training images.
        settings: its `[harden]` table.
        training: the subject of the training images; its victim is the model in the form that is trained.
        validation: the subject of the validation images; its victim is the same module as the clinic evaluates it.
        rows: rows that are trained on, and rows that choose the best epoch (already limited).
        lessons: the training images in batches.
        eps: the full budget in stored values.
        notes: what the reader should know, in sentences.
    """

    plan: Plan
    settings: HardenSection
    training: Subject
    validation: Subject
    rows: Split
    lessons: TrainingImages
    eps: float
    notes: tuple[str, ...]

    @property
    def judged(self) -> Victim:
        """The model as the clinic evaluates it."""
        return self.validation.victim


def load_material(
    plan: Plan, *, allow_pickle: bool = False, say: Callable[[str], None] = lambda text: None
) -> Material:
    """Load the model and the images of a plan's `[harden]`, and check that the audit's images stay unseen.

    Raises:
        PlanError: the plan has no `[harden]`, or its budget cannot be used.
        InputError: the model cannot be trained, images or patients overlap, or something cannot be loaded.
    """
    settings = plan.training()
    require_trainable_source(plan.model.source())
    require_one_fold(plan)
    training = _subject(plan, settings.data, "harden.data", allow_pickle, say)
    require_trainable(training.victim.module)
    say("Comparing the training images with those of the audit.")
    dicom = settings.data.group == DICOM
    seen, audited = Known.of(training.table, dicom), Known.of(load_table(plan), dicom)
    left_out = _apart(settings, seen, audited, "the audit", inherits=_inherits(plan))
    validation, rows = _validation(plan, settings, training, (seen, audited, left_out), allow_pickle, say)
    plan = plan.calibrated(training.scale)
    judged = training.victim
    inferer = trained_inferer(judged.inferer, settings.batch)
    trained = Victim(judged.module, judged.bounds, preprocess=judged.preprocess, inferer=inferer)
    training, validation = replace(training, victim=trained), replace(validation, victim=judged)
    cut = isinstance(inferer, Patch) or window_of(inferer) is not None
    _require_batches(training, rows, cut or settings.augment != "none")
    return Material(
        plan,
        settings,
        training,
        validation,
        rows,
        _lessons(plan, settings, training, rows, judged),
        _budget(plan, settings, training),
        (*training.notes, *rows.notes, *_unknown(training.table, dicom), *_around(judged), *_patches(inferer)),
    )


def _subject(plan: Plan, data: DataSection, field: str, allow_pickle: bool, say: Callable[[str], None]) -> Subject:
    plan = plan.model_copy(update={"data": data})
    try:
        listed(plan)
    except InputError as error:
        text = _of_table(plan, field, str(error))
        raise InputError(text if text.startswith(("data", field)) else f"{field}: {text}") from error
    try:
        return load_subject(plan, allow_pickle=allow_pickle, say=say)
    except InputError as error:
        raise InputError(_of_table(plan, field, str(error))) from error


def _of_table(plan: Plan, field: str, text: str) -> str:
    """Messages of a table name fields of `[data]`; here another table is meant, except for what is taken from there."""
    named = re.match(r"data\.(\w+)", text)
    if named is not None and named[1] not in own_fields(plan, field.removeprefix("harden.")):
        return text
    return field + text.removeprefix("data") if text.startswith("data") else text


def own_fields(plan: Plan, name: str) -> frozenset[str]:
    """The fields that `[harden.data]` or `[harden.validation]` has of its own; the others are those of `[data]`."""
    written = document_of(plan).get("harden", {}).get(name, {})
    return frozenset(written) & frozenset(DataSection.model_fields)


def _inherits(plan: Plan) -> bool:
    """Whether `[harden.data]` says nothing about which images it means, so that they are those of `[data]`."""
    return not own_fields(plan, "data") & {*LAYOUTS, "where", "split"}


def _apart(
    settings: HardenSection, seen: Known, other: Known, called: str, *, inherits: bool = False
) -> frozenset[int]:
    """Rows that are not trained on, because they overlap with another table."""
    shared = overlapping(seen, other)
    if inherits and (settings.overlap == "refuse" or len(shared) == len(seen.table)):
        require_named(seen, other)
    if settings.overlap == "leave out":
        return shared
    require_apart(seen, other, "harden.data", called)
    return frozenset()


def _validation(
    plan: Plan,
    settings: HardenSection,
    training: Subject,
    known: tuple[Known, Known, frozenset[int]],
    allow_pickle: bool,
    say: Callable[[str], None],
) -> tuple[Subject, Split]:
    seen, audited, left_out = known
    if settings.validation is None:
        rows = _without(seen, left_out)
        found = split_rows(training.table, seen.persons, rows, settings.validation_share, plan.seed)
        kept = _limited(training.table, found.validation, settings, plan.seed)
        return training, found._replace(validation=kept, notes=(*found.notes, *_dropped(left_out)))
    subject = _subject(plan, settings.validation, "harden.validation", allow_pickle, say)
    examined = Known.of(subject.table, settings.validation.group == DICOM)
    if settings.overlap == "refuse":
        require_apart(examined, audited, "harden.validation")
    allowed = _without(examined, overlapping(examined, audited))
    left_out |= _apart(settings, seen, examined, "[harden.validation]")
    rows = _without(seen, left_out)
    kept = _limited(subject.table, allowed, settings, plan.seed)
    return subject, Split(rows, kept, _dropped(left_out))


def _without(known: Known, left_out: frozenset[int]) -> tuple[int, ...]:
    rows = tuple(row for row in range(len(known.table)) if row not in left_out)
    if not rows:
        raise InputError(
            "harden.data: every image is in the audit too, or of its patients, so none is left. Give other images."
        )
    return rows


def _dropped(left_out: frozenset[int]) -> tuple[str, ...]:
    if not left_out:
        return ()
    images = "1 training image was" if len(left_out) == 1 else f"{len(left_out)} training images were"
    return (f"{images} left out, because patient or pixels are in the audit or among the validation images.",)


def _limited(table: Rows, rows: tuple[int, ...], settings: HardenSection, seed: int) -> tuple[int, ...]:
    """At most `validation_limit` rows, every class in proportion."""
    places = {table[row]: row for row in rows}
    return tuple(places[case] for case in table.take(rows).limit(settings.validation_limit, derive(seed, "examined")))


def _lessons(plan: Plan, settings: HardenSection, training: Subject, rows: Split, judged: Victim) -> TrainingImages:
    augment = augment_of(settings.augment, plan.root, plan.model.bounds, region=bool(plan.threat.region))
    seed, patch, deployed = derive(plan.seed, "harden"), training.victim.inferer, judged.inferer
    if isinstance(patch, Patch) and isinstance(deployed, NnUNet):
        mirrored = mirrors(patch, augment)
        reader = OnGrid(training, deployed)
        return TrainingImages(
            reader, training.victim, rows.training, settings.batch, seed, mirrored, patch.size, draws=settings.batch
        )
    window = window_of(training.victim.inferer)
    same_grid = window is None or _keeps_grid(training)
    return TrainingImages(
        Table(training),
        training.victim,
        rows.training,
        settings.batch,
        seed,
        augment,
        # A window is cut from the image itself if the preprocessing does not change the grid.
        window.size if window is not None and same_grid else None,
    )


def _keeps_grid(subject: Subject) -> bool:
    images = subject.images([0])
    with subject.victim:
        prepared = images if subject.victim.preprocess is None else subject.victim.preprocess(images)
    return prepared.shape[2:] == images.shape[2:]


def _require_batches(training: Subject, rows: Split, cut: bool) -> None:
    """Refuse inputs besides the image that leave no batches, or that do not move with it; raises InputError."""
    inputs = training.beside.inputs
    if cut and (moving := [name for name, one in inputs.items() if one.moves]):
        raise InputError(
            f"model.inputs.{moving[0]}: harden.augment and windows change images, and this input would stay as it is. "
            "Leave them out."
        )
    alike = Counter(training.beside.form(training.table, row) for row in rows.training)
    single = sum(count == 1 for count in alike.values())
    if inputs and 2 * single > len(rows.training):
        raise InputError(
            f"model.inputs: {single} of {len(rows.training)} training images have values of "
            f"{', '.join(inputs)} that no other image has, and all images of a batch need the same. Round the columns "
            "for the training, such as age to decades."
        )


def _budget(plan: Plan, settings: HardenSection, training: Subject) -> float:
    if settings.eps is None:
        return plan.radii[-1]
    try:
        return radius(settings.eps, training.scale)
    except ValueError as error:
        raise PlanError(f"{plan.origin}: harden.eps: {error}.") from error


def _around(judged: Victim) -> tuple[str, ...]:
    if not judged.defences:
        return ()
    return ("The network is trained without the defences of the plan; they are in place where epochs are scored.",)


def _patches(inferer: object) -> tuple[str, ...]:
    return (note_of(inferer),) if isinstance(inferer, Patch) else ()


def _unknown(table: Rows, dicom: bool) -> tuple[str, ...]:
    if patients(table, dicom):
        return ()
    return (
        "The training images have no patients (data.group), so they were split image by image. If one patient has "
        "several images, the robust validation is too good.",
    )
