"""A shipped detector that returns candidates."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palpate.annotations import Boxes, Candidates, Decided
from palpate.errors import InputError
from palpate.models.detectors.forms import to_corners
from palpate.models.detectors.shipped.form import Form, Found, Raw, ScoreKind
from palpate.models.detectors.shipped.layouts import Arranged, arrange, joined
from palpate.models.detectors.training import training_losses

MOST = 100
"""Boxes of an image that are kept, the surest ones, as in COCO."""
_ABSENT = -20.0
"""Log-odds of what is not there: a probability of 2e-9."""
_SLACK = 1e-4


class ShippedDetector(nn.Module):
    """A detector as its library returns it, read as candidates.

    A raw head gives every place as a candidate. Decided boxes give one candidate each, at most the 100 surest of an
    image, padded to 100; the log-odds of its class are those of its score,

        logit = log s - log(1 - s)

    and no second suppression follows (`palpate.annotations.Decided`). Gradients flow through the scores and boxes that
    the model's threshold and suppression left; what they removed has none.

        form = recognised(model(images), images.shape[-2:], truth, classes).form
        detector = ShippedDetector(model, form, classes)

    Args:
        model: returns any of the layouts of `Form`.
        form: which one.
        classes: K of the task.
        listed: whether the model takes a list of images, and not a batch.
        single: whether it takes one image at a time, as programs do that were traced with one.
    """

    def __init__(self, model: nn.Module, form: Form, classes: int, *, listed: bool = False, single: bool = False):
        super().__init__()
        self.model, self.form, self.classes = model, form, classes
        self.listed, self.single = listed, single
        self.training = model.training

    def forward(self, images: Tensor) -> Candidates:
        """Candidates of images (B, C, H, W) as the model takes them.

        Raises:
            InputError: the answer has another form than it was recognised to have, or values that contradict it.
        """
        if not len(images):
            return Candidates(images.new_zeros(0, MOST, self.classes), images.new_zeros(0, MOST, 4))
        answer = self._answer(images)
        if answer.layout != self.form.layout:
            raise InputError(
                f"model: its first outputs were {self.form.layout}, and now it returns {answer.layout}. Return "
                "one form in every pass."
            )
        if isinstance(answer.parts, Raw):
            return self._head(answer.parts, images)
        return _connected(self._decided(answer.parts, images), answer.parts, images)

    def training_losses(self, images: Tensor, truth: Boxes) -> Tensor:
        """The losses of its training (B,), as `palpate.models.detectors.training.training_losses` computes them."""
        return training_losses(self.model, images, truth, self.form.first_class)

    def _answer(self, images: Tensor) -> Arranged:
        if not self.single:
            return arrange(asked(self.model, images, self.listed), len(images), self.classes, self.form)
        each = [asked(self.model, image[None], self.listed) for image in images]
        return joined([arrange(one, 1, self.classes, self.form) for one in each])

    def _head(self, raw: Raw, images: Tensor) -> Candidates:
        if raw.scores.shape[2] > self.classes:
            # A softmax with "no object" last: its logits are log-probabilities.
            return Candidates(_softmax(raw.scores, self.form.scores), self._corners(raw.boxes, images))
        logits = _logits(raw.scores, self.form.scores)
        if raw.objectness is not None:
            log_p = _log_p(raw.scores, self.form.scores) + _log_p(raw.objectness, self.form.scores)[..., None]
            logits = log_p - torch.log((-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).eps))
        return Candidates(logits, self._corners(raw.boxes, images))

    def _decided(self, found: tuple[Found, ...], images: Tensor) -> Decided:
        rows = [self._one(one, images) for one in found]
        return Decided(torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows]))

    def _one(self, found: Found, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (100, K) and boxes (100, 4) of one image."""
        boxes, scores, labels = found
        if len(scores) > MOST:
            surest = scores.detach().topk(MOST).indices
            boxes, scores, labels = boxes[surest], scores[surest], labels[surest]
        labels = labels - self.form.first_class
        outside = labels[(labels < 0) | (labels >= self.classes)]
        if len(outside):
            raise InputError(
                f"model: it returned the label {int(outside[0]) + self.form.first_class}, and task.classes names "
                f"{self.classes}, numbered from {self.form.first_class}. Name every class, or set model.first_class."
            )
        values = _logits(scores.float(), self.form.scores)
        own = F.one_hot(labels, self.classes).bool()
        logits = torch.where(own, values[:, None], _ABSENT)
        more = MOST - len(scores)
        return (
            F.pad(logits, (0, 0, 0, more), value=_ABSENT),
            F.pad(self._corners(boxes.float(), images), (0, 0, 0, more)),
        )

    def _corners(self, boxes: Tensor, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return to_corners(boxes, self.form.boxes, height, width)


def asked(model: nn.Module, images: Tensor, listed: bool) -> Any:
    """What a model returns for images (B, C, H, W), which it takes as one batch or as a list."""
    return model(list(images) if listed else images)


def takes_list(model: nn.Module) -> bool:
    """Whether a compiled model takes a list of images, as torchvision's detectors do."""
    if not isinstance(model, torch.jit.ScriptModule):
        return False
    forward: Any = model.forward
    arguments = forward.schema.arguments
    return len(arguments) > 1 and str(arguments[1].type).startswith("List[Tensor")


def _connected(candidates: Decided, found: tuple[Found, ...], images: Tensor) -> Decided:
    """If no image of a batch has a box, a gradient of zero, so that a search goes on where there is nothing to see."""
    if images.requires_grad and torch.is_grad_enabled() and not any(len(one.scores) for one in found):
        nothing = 0 * images.flatten(1).sum(1)
        return candidates._replace(logits=candidates.logits + nothing[:, None, None])
    return candidates


def _logits(scores: Tensor, kind: ScoreKind) -> Tensor:
    if kind == "logits":
        return scores
    _require_probabilities(scores)
    edge = torch.finfo(scores.dtype).eps
    return scores.clamp(edge, 1 - edge).logit()


def _softmax(scores: Tensor, kind: ScoreKind) -> Tensor:
    return scores if kind == "logits" else _log_p(scores, kind)


def _log_p(scores: Tensor, kind: ScoreKind) -> Tensor:
    if kind == "logits":
        return F.logsigmoid(scores)
    _require_probabilities(scores)
    return scores.clamp(min=torch.finfo(scores.dtype).eps).log()


def _require_probabilities(scores: Tensor) -> None:
    outside = scores.detach()
    if bool(((outside < -_SLACK) | (outside > 1 + _SLACK)).any()):
        raise InputError(
            "model: its scores were recognised as probabilities, and some are outside 0 to 1. Write model.outputs = "
            '"logits".'
        )
