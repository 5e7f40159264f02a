"""Detectors whose boxes are pixels, or centres with sizes, read as corners in fractions of the image."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from palpate.annotations import Candidates
from palpate.errors import InputError
from palpate.models.detectors.geometry import from_centres

BoxForm = Literal["fractions", "pixels", "centres", "pixel centres"]
"""`fractions` and `pixels` are corners x1, y1, x2, y2; the centres are centre x, centre y, width, height."""


class FromBoxes(nn.Module):
    """A detector whose boxes are in another form than palpate's.

    Args:
        model: returns `Candidates`.
        form: what its boxes are; pixels are those of the model's own input.
    """

    def __init__(self, model: nn.Module, form: BoxForm):
        super().__init__()
        self.model, self.form = model, form
        self.training = model.training

    def forward(self, images: Tensor) -> Candidates:
        """The candidates, with corners in fractions of width and height.

        Raises:
            InputError: the model does not return candidates.
        """
        found = self.model(images)
        if not isinstance(found, Candidates):
            raise InputError(
                f"model.boxes: it is for palpate.annotations.Candidates, and the model returned {type(found).__name__}."
                " Remove it, or wrap the model in an adapter of palpate.models.detectors."
            )
        boxes = found.boxes
        if self.form in ("pixels", "pixel centres"):
            height, width = images.shape[-2:]
            boxes = boxes / boxes.new_tensor([width, height, width, height])
        if self.form in ("centres", "pixel centres"):
            boxes = from_centres(boxes)
        return Candidates(found.logits, boxes)
