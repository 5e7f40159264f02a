"""A segmenter of the SAM family (SAM, MedSAM) with its prompt fixed: images in, one map of logits out."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from palpate.errors import InputError


class Promptable(nn.Module):
    """A `SamModel` of transformers that returns one map of logits at the size of its input.

    The decoder's map is coarser (a quarter) and is interpolated linearly, as transformers does after the network.
    The gradient flows through the image encoder and the decoder.

    Args:
        model: the SamModel.

    Raises:
        InputError: when called, there is neither a box nor a point, or a label of a point is neither 1 nor 0.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(
        self, images: Tensor, box: Tensor | None = None, points: Tensor | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Logits (B, 1, H, W) of the one object that the prompt names.

        Args:
            images: (B, 3, H, W), of the size that the encoder was built for.
            box: (B, 4), left, top, right, bottom in pixels of `images`.
            points: (B, N, 2), x before y.
            labels: (B, N): 1 for a point on the object, 0 for one beside it; all 1 by default.
        """
        if box is None and points is None:
            raise InputError(NO_PROMPT)
        if labels is not None and not bool(((labels == 0) | (labels == 1)).all()):
            raise InputError(OTHER_LABEL)
        found = self.model(
            pixel_values=images,
            input_boxes=None if box is None else box[:, None],
            input_points=None if points is None else points[:, None],
            input_labels=None if labels is None else labels[:, None].int(),
            multimask_output=False,
        )
        masks: Tensor = found.pred_masks[:, 0]
        return F.interpolate(masks, size=images.shape[2:], mode="bilinear", align_corners=False)


OTHER_LABEL = (
    "model.inputs.labels: a label of a point is 1, on the object, or 0, beside it, and a cell holds another number. "
    "Correct the table."
)
NO_PROMPT = (
    "model.huggingface: this model segments what a prompt names, and the plan has none. Write in [model.inputs]: "
    'box = {box = ["x1", "y1", "x2", "y2"]}, or points = {points = ["x", "y"]}, with columns of the table.'
)
