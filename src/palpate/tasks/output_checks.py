"""Checks of what a model returns, before its values are used: one tensor of floating-point scores, or candidates."""

from __future__ import annotations

from torch import Tensor

from palpate.annotations import Boxes, Candidates
from palpate.errors import InputError
from palpate.models.detectors.forms import BoxForm, to_corners
from palpate.models.detectors.geometry import fit
from palpate.tensors import Tree, leaves, not_read

_BEYOND = 1.5
"""A coordinate above this is not a fraction of an image, even if a box extends over its edge."""
_TRIED = 50
"""Boxes of highest score of each image that are compared with the annotated ones."""
_BETTER = 0.2
"""More mean IoU than this in another order of the numbers is a sign of that order."""
_ORDERS: tuple[BoxForm, ...] = ("fractions", "yx fractions", "centres")
_MOST = 0.5
_SOME = 0.25


def require_scores(outputs: Tree, count: int, reads: str) -> None:
    """Refuse outputs that are not a tensor of scores with an axis for the images.

    Args:
        outputs: what the model returned.
        count: number of images.
        reads: what the task reads, such as `one score per class`.

    Raises:
        InputError: it is candidates of a detector, another container, numbers that are not scores, or one
            image's output without its first axis, as after `.squeeze()`.
    """
    if isinstance(outputs, Candidates):
        raise InputError(
            f"model: it returns boxes (Candidates), as a detector does, and this task reads {reads}. Write task.kind = "
            '"detection" and name the annotated boxes in [data] (task=Detection(...) in palpate.attack), or choose the '
            "model that fits."
        )
    if not isinstance(outputs, Tensor):
        raise InputError(not_read(outputs, f"this task reads {reads}: one tensor"))
    require_floating(outputs, "its output is")
    require_batch_axis(outputs, count)


def require_batch_axis(outputs: Tree, count: int) -> None:
    """Refuse outputs without an axis for the images, as after `.squeeze()` for one image; raises InputError."""
    for tensor in leaves(outputs):
        if not tensor.ndim or (count == 1 and len(tensor) != 1):
            images = "one image" if count == 1 else f"{count} images"
            raise InputError(
                f"model: its output for {images} has shape {list(tensor.shape)}, without an axis for the images. A "
                ".squeeze() without an axis removes that of a single image too: write .squeeze(1), or return a mean "
                "over the image's own axes only."
            )


def require_floating(outputs: Tensor, what: str) -> None:
    """Refuse numbers that are not scores: complex ones, and whole numbers, which are decisions; raises InputError."""
    if outputs.is_complex():
        raise InputError(f"model: {what} complex ({outputs.dtype}). Return real scores.")
    if not outputs.is_floating_point():
        raise InputError(
            f"model: {what} {str(outputs.dtype).removeprefix('torch.')}: decisions, not scores. Return the logits, "
            "before argmax or a threshold."
        )


def require_fractions(outputs: Candidates, classes: int, fix: str) -> None:
    """Refuse candidates whose boxes are not corners in fractions of width and height.

    Only the most confident candidate of each image counts, so that padding and boxes without confidence do not.

    Args:
        outputs: outputs of a model, (B, Q, ...).
        classes: how many there are, "no object" not counted.
        fix: how to declare what the boxes are, or to change them.

    Raises:
        InputError: most of them are far above 1, as pixels are; or many have x2 below x1 or y2 below y1.
    """
    surest = outputs.logits[..., :classes].amax(-1).argmax(1)
    boxes = outputs.boxes.gather(1, surest[:, None, None].expand(-1, 1, 4))[:, 0]
    count = len(boxes)
    shown = [round(side, 2) for side in boxes[0].tolist()]
    pixels = int((boxes.abs().amax(1) > _BEYOND).sum())
    turned = int(((boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])).sum())
    if pixels > _MOST * count:
        raise InputError(
            f"model: its boxes look like pixels (the most confident one of the first image is {shown}; they "
            f"reach {float(boxes.max()):.4g}), and palpate reads fractions of width and height, 0 to 1, in the order "
            f"x1, y1, x2, y2. {fix}"
        )
    if turned > _SOME * count:
        raise InputError(
            f"model: {turned} of the most confident boxes of {count} images have x2 below x1 or y2 below y1, as "
            f"centre x, centre y, width, height would (the first is {shown}), and palpate reads x1, y1, x2, y2. {fix}"
        )


def exchanged(outputs: Candidates, targets: Boxes, classes: int) -> str | None:
    """A sentence if the annotated boxes agree far better with the model's boxes in another order of their numbers.

    Args:
        outputs: outputs of a model, (B, Q, ...).
        targets: the annotated boxes.
        classes: how many there are, "no object" not counted.
    """
    count = min(_TRIED, outputs.logits.shape[1])
    surest = outputs.logits[..., :classes].amax(-1).topk(count, dim=1).indices
    boxes = outputs.boxes.gather(1, surest[..., None].expand(-1, -1, 4))
    fits = {form: fit(list(to_corners(boxes, form, 1, 1)), targets) for form in _ORDERS}
    usual, best = fits["fractions"], max(_ORDERS, key=lambda form: fits[form] or 0.0)
    if usual is None or (fits[best] or 0.0) <= usual + _BETTER:
        return None
    order = {"yx fractions": "with x and y exchanged", "centres": "as centres with sizes"}[best]
    return (
        f"The annotated boxes agree far better with the model's boxes read {order} (mean IoU {fits[best]:.2f}, and "
        f'{usual:.2f} as they are read). If they are that, write boxes = "{best}" in [model].'
    )
