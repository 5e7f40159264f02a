"""Detectors of Hugging Face `transformers` (YOLOS, DETR and related ones) as palpate reads them."""

from __future__ import annotations

from torch import Tensor, nn

from palpate.annotations import Candidates
from palpate.errors import InputError
from palpate.models.detectors.geometry import from_centres


class HuggingFaceDetector(nn.Module):
    """A `...ForObjectDetection` whose queries are the candidates; boxes go from centre and size to corners.

    YOLOS and DETR: `Detection(classes, head="softmax", suppression=1.0)`, because they are trained to need no
    suppression; their training loss is `palpate.tasks.criteria.Bipartite()`. Deformable DETR and
    RT-DETR have `head="sigmoid"`. `classes` is `model.config.num_labels`.

    Args:
        model: for example `YolosForObjectDetection.from_pretrained(folder)`. It takes normalised images:
            give the mean and std of its image processor as the plan's preprocessing.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Candidates:
        """Candidates of normalised images (B, C, H, W), one per query.

        Raises:
            InputError: the model gives no `logits` and `pred_boxes`.
        """
        found = self.model(pixel_values=images)
        logits, boxes = getattr(found, "logits", None), getattr(found, "pred_boxes", None)
        if logits is None or boxes is None:
            raise InputError(
                f"model: {type(self.model).__name__} returns no 'logits' and 'pred_boxes'. "
                "Give a model of transformers for object detection."
            )
        return Candidates(logits, from_centres(boxes))
