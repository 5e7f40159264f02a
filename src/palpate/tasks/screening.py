"""Models that may refuse to answer: an image is beaten only if the answer is wrong and was given."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from palpate.contracts import Pieces, Task
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree, take


class Screened(NamedTuple):
    """What a model behind a detector returns.

    Attributes:
        answer: raw outputs as the task reads them.
        excess: (B,) the detector's score over its threshold, minus 1; above 0 the image is rejected.
    """

    answer: Tensor
    excess: Tensor


def answer_of(outputs: Tree) -> Tree:
    """The raw outputs, whether a detector surrounds the model or not."""
    return outputs.answer if isinstance(outputs, Screened) else outputs


def accepted(outputs: Tree) -> Tensor | None:
    """Which images (B,) get an answer; None if no detector surrounds the model."""
    return outputs.excess <= 0 if isinstance(outputs, Screened) else None


class _Screening:
    """The methods of a task whose outputs may be `Screened`.

    With m the task's margin, e the excess and L its loss:

        margin = max(m, e)             reached only by a wrong answer that is given
        loss   = L - max(e, 0)         climbed towards wrong answers that are given

    A rejected image is never right and scores 0: clean, that is the price of the detector.
    """

    _inner: type

    def _of(self, name: str, outputs: Tree, *more: Any) -> Any:
        return getattr(self._inner, name)(self, answer_of(outputs), *(answer_of(one) for one in more))

    def loss(self, outputs: Tree, targets: Tree) -> Tensor:
        """The task's loss, less what the detector would say."""
        return self._of("loss", outputs, targets) - _above(outputs)  # type: ignore[no-any-return]

    def margin(self, outputs: Tree, targets: Tree) -> Tensor:
        """The task's margin or the excess, whichever is larger (B,)."""
        return _at_least(self._of("margin", outputs, targets), outputs)

    def scaled_margin(self, outputs: Tree, targets: Tree) -> Tensor:
        """The task's scaled margin or the excess, whichever is larger (B,)."""
        return _at_least(self._of("scaled_margin", outputs, targets), outputs)

    def margin_to(self, outputs: Tree, targets: Tree, classes: Tensor) -> Tensor:
        """The margin to one class or the excess, whichever is larger (B,)."""
        return _at_least(self._of("margin_to", outputs, targets, classes), outputs)

    def soft_score(self, outputs: Tree, targets: Tree) -> Tensor:
        """The task's soft score, and what the detector would say."""
        return self._of("soft_score", outputs, targets) + _above(outputs)  # type: ignore[no-any-return]

    def pieces(self, outputs: Tree, targets: Tree) -> Pieces:
        """The task's pieces; each loses what the detector would say."""
        pieces: Pieces = self._of("pieces", outputs, targets)
        above = _above(outputs)
        return pieces if isinstance(above, float) else pieces._replace(loss=pieces.loss - above[:, None])

    def right(self, outputs: Tree, targets: Tree) -> Tensor:
        """Whether the answer is acceptable and given (B,) bool."""
        right: Tensor = self._of("right", outputs, targets)
        given = accepted(outputs)
        return right if given is None else right & given

    def score(self, outputs: Tree, targets: Tree) -> Tensor:
        """The task's score; 0 without an answer."""
        score: Tensor = self._of("score", outputs, targets)
        given = accepted(outputs)
        return score if given is None else torch.where(given, score, 0.0)

    def cooled(self, outputs: Tree, temperature: Tensor) -> Tree:
        """The outputs with cooled answers."""
        cooled = self._of("cooled", outputs, temperature)
        return Screened(cooled, outputs.excess) if isinstance(outputs, Screened) else cooled

    def consistency_loss(self, outputs: Tree, reference: Tree, how: str, targets: Tree | None = None) -> Tensor:
        """The task's, between answers."""
        return self._of("consistency_loss", outputs, reference, how, targets)  # type: ignore[no-any-return]

    def take(self, targets: Tree, rows: Tensor) -> Tree:
        """The targets, or outputs, of some rows."""
        return take(targets, rows) if isinstance(targets, Screened) else self._inner.take(self, targets, rows)  # type: ignore[attr-defined]

    def predict(self, outputs: Tree) -> Tree:
        """The decision, given or not."""
        return self._of("predict", outputs)

    def probabilities(self, outputs: Tree) -> Tensor:
        """The task's probabilities, given or not."""
        return self._of("probabilities", outputs)  # type: ignore[no-any-return]

    def ranked(self, outputs: Tree, targets: Tree) -> Tensor:
        """The task's order of the classes."""
        return self._of("ranked", outputs, targets)  # type: ignore[no-any-return]

    def own(self, outputs: Tree, targets: Tree) -> Tree:
        """The decision in the form of targets."""
        return self._of("own", outputs, targets)

    def stacks(self, outputs: Tree, targets: Tree) -> Any:
        """Masks found and true."""
        return self._of("stacks", outputs, targets)

    def logit_size(self, outputs: Tree, targets: Tree) -> Tensor:
        """The task's, of the answers."""
        return self._of("logit_size", outputs, targets)  # type: ignore[no-any-return]

    def validate(self, outputs: Tree, targets: Tree) -> None:
        """Refuse answers or targets that the task cannot read; raises InputError."""
        self._of("validate", outputs, targets)


class ScreenedClassification(_Screening, Classification):
    """A classification whose model may refuse to answer."""

    _inner = Classification


class ScreenedMultiLabel(_Screening, MultiLabel):
    """Findings of a model that may refuse to answer."""

    _inner = MultiLabel


class ScreenedSegmentation(_Screening, Segmentation):
    """Masks of a model that may refuse to answer."""

    _inner = Segmentation


_SCREENED: dict[type, type] = {
    Classification: ScreenedClassification,
    MultiLabel: ScreenedMultiLabel,
    Segmentation: ScreenedSegmentation,
}


def screened(task: Task) -> Task:
    """The task for a model behind a detector.

    Raises:
        InputError: a task of boxes, or of another package.
    """
    value: Any = task
    if isinstance(value, _Screening):
        return task
    kind = _SCREENED.get(type(value))
    if kind is None:
        raise InputError("reject: a detector of attacks works with classes, findings or masks only.")
    made: Task = kind(**{field.name: getattr(value, field.name) for field in fields(value)})
    return made


def _above(outputs: Tree) -> Tensor | float:
    return outputs.excess.clamp(min=0) if isinstance(outputs, Screened) else 0.0


def _at_least(margin: Tensor, outputs: Tree) -> Tensor:
    return torch.maximum(margin, outputs.excess.to(margin)) if isinstance(outputs, Screened) else margin
