"""Detectors whose boxes are not corners in fractions of the image, read as if they were."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from palpate.annotations import Candidates
from palpate.errors import InputError
from palpate.models.detectors.geometry import from_centres, from_sizes

BoxForm = Literal[
    "fractions",
    "pixels",
    "centres",
    "pixel centres",
    "sizes",
    "pixel sizes",
    "yx fractions",
    "yx pixels",
]
"""`fractions` and `pixels` are corners x1, y1, x2, y2; `yx` is y1, x1, y2, x2; the centres are centre x, centre y,
width, height; the sizes are x1, y1, width, height."""

BOX_FORMS: tuple[BoxForm, ...] = get_args(BoxForm)


def in_pixels(form: BoxForm) -> bool:
    """Whether a form counts in pixels of the model's input."""
    return "pixel" in form


def twin(form: BoxForm) -> BoxForm:
    """The same order of numbers in the other unit: pixels for fractions, and fractions for pixels."""
    pairs: tuple[tuple[BoxForm, BoxForm], ...] = (
        ("fractions", "pixels"),
        ("centres", "pixel centres"),
        ("sizes", "pixel sizes"),
        ("yx fractions", "yx pixels"),
    )
    return next(second if form == first else first for first, second in pairs if form in (first, second))


def to_corners(boxes: Tensor, form: BoxForm, height: int, width: int) -> Tensor:
    """Boxes (..., 4) of some form as corners x1, y1, x2, y2 in fractions of an input of this size."""
    if form.startswith("yx"):
        boxes = boxes[..., [1, 0, 3, 2]]
    if in_pixels(form):
        boxes = boxes / boxes.new_tensor([width, height, width, height])
    if form in ("centres", "pixel centres"):
        return from_centres(boxes)
    return from_sizes(boxes) if form in ("sizes", "pixel sizes") else boxes


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
        height, width = images.shape[-2:]
        return found._replace(boxes=to_corners(found.boxes, self.form, height, width))
