"""A detector of a plan as it was shipped: its form is recognised on the first images, before anything is attacked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from palpate.annotations import Boxes
from palpate.audit.plan.sections.tasks import DetectionSection
from palpate.models.detectors.shipped.form import Form, Said
from palpate.models.detectors.shipped.known import Known
from palpate.models.detectors.shipped.recognise import Recognised
from palpate.models.detectors.shipped.trial import read_shipped
from palpate.models.loading import Loaded

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

TRIED = 4
"""Images on which a form is recognised."""
Examples = Callable[[], tuple[Tensor, Boxes]]
_LOW = 0.3
"""Mean IoU of the annotated boxes with the nearest detection below which a form is doubtful."""


def reader(
    plan: Plan, preprocess: Callable[[Tensor], Tensor], examples: Examples
) -> Callable[[nn.Module], Loaded | None] | None:
    """What reads the module of a plan's detector; None if the task is not a detection.

    Args:
        plan: says what is known of the form.
        preprocess: from stored values to the model's input.
        examples: gives a few images (B, C, H, W) and their annotated boxes.
    """
    if not isinstance(plan.task, DetectionSection):
        return None
    return lambda module: _read(plan, preprocess, examples, module)


def _read(plan: Plan, preprocess: Callable[[Tensor], Tensor], examples: Examples, module: nn.Module) -> Loaded | None:
    def on_device() -> tuple[Tensor, Boxes]:
        images, truth = examples()
        module.to(images.device)
        return images, truth

    read = read_shipped(module, plan.model.bounds, preprocess, on_device, len(plan.task.names), _said(plan))
    if read is None:
        return None
    if read.library is not None:
        return Loaded(read.module, form=read.library.words, reads=tuple(_known_notes(plan, read.library)))
    assert read.seen is not None
    return Loaded(read.module, form=read.seen.form.describe(), reads=tuple(_notes(read.seen)))


def _said(plan: Plan) -> Said:
    stated = "outputs" in plan.model.model_fields_set
    scores: Any = None
    if stated:
        scores = "logits" if plan.model.outputs == "logits" else "probabilities"
    return Said(plan.model.boxes, scores, plan.model.first_class, plan.model.objectness)


def _notes(seen: Recognised) -> list[str]:
    form = seen.form
    texts = [f"The detector's output was recognised on {seen.images} images: {form.describe()}. {_said_words(form)}"]
    if form.decided:
        texts.append(
            "The detector returns decided boxes: its own threshold and suppression are part of it, and "
            "task.suppression is not used. Gradients, if it has any, flow through the scores and boxes that are left. "
            "A box that was removed has none, so a search with gradients does not see boxes that it could bring back."
        )
    if not seen.boxes:
        texts.append(
            f"The detector found no box in {seen.images} images, so nothing but names and shapes says what its numbers "
            "are: check model.preprocess and model.boxes."
        )
    elif seen.agreement is not None and seen.agreement < _LOW:
        texts.append(
            f"However its boxes are read, they hardly cover the annotated ones (mean IoU {seen.agreement:.2f}): check "
            "model.preprocess, model.boxes and the order of task.classes."
        )
    return texts


def _said_words(form: Form) -> str:
    first = f", first_class = {form.first_class}" if form.decided else ""
    scores = "logits" if form.scores == "logits" else "sigmoid"
    return f'In the plan: boxes = "{form.boxes}", outputs = "{scores}"{first}.'


def _known_notes(plan: Plan, library: Known) -> list[str]:
    task: Any = plan.task
    texts = [f"The model is {library.words}."]
    if abs(task.suppression - library.suppression) > 1e-6:
        texts.append(
            f"The detector itself removes boxes that overlap by more than {library.suppression:g}, and the plan says "
            f"{task.suppression:g}. To audit it as it is used, write suppression = {library.suppression:g} in [task]."
        )
    if library.threshold > task.confidence:
        texts.append(
            f"The detector itself drops boxes below a score of {library.threshold:g}, and task.confidence is "
            f"{task.confidence:g}. To audit it as it is used, write confidence = {library.threshold:g} in [task]."
        )
    if task.head != library.head:
        texts.append(f'Its head needs head = "{library.head}" in [task].')
    return texts
