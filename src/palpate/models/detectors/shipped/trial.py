"""One pass of a detector, from which its form is recognised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from palpate.annotations import Boxes, Candidates
from palpate.models.detectors.shipped.form import Said
from palpate.models.detectors.shipped.known import Known, known
from palpate.models.detectors.shipped.module import ShippedDetector, asked, takes_list
from palpate.models.detectors.shipped.recognise import NOTHING, Recognised, recognised
from palpate.usercode import ModelError
from palpate.victim import Victim


class Read(NamedTuple):
    """A detector that returns candidates, and how it does.

    Attributes:
        module: returns candidates.
        seen: the form that was recognised; None for a detector that is known by its class.
        library: the known detector; None for every other one.
    """

    module: nn.Module
    seen: Recognised | None = None
    library: Known | None = None


class _Watched(nn.Module):
    """A model that keeps what it returned, and the size of what it was given."""

    def __init__(self, model: nn.Module, listed: bool):
        super().__init__()
        self.model, self.listed = model, listed
        self.returned: Any = None
        self.size = (0, 0)

    def forward(self, images: Tensor) -> Tensor:
        self.size = (int(images.shape[-2]), int(images.shape[-1]))
        self.returned = asked(self.model, images, self.listed)
        return images.new_zeros(len(images), 1)


def read_shipped(
    module: nn.Module,
    bounds: tuple[float, float],
    preprocess: Callable[[Tensor], Tensor] | None,
    examples: Callable[[], tuple[Tensor, Boxes]],
    classes: int,
    said: Said = NOTHING,
) -> Read | None:
    """A detector as it is shipped, read as candidates; None if it returns candidates itself, or fails.

    Args:
        module: the detector, on the device of the images.
        bounds: of stored values.
        preprocess: from stored values to the detector's input.
        examples: gives a few images (B, C, H, W) and their annotated boxes.
        classes: K of the task.
        said: what the user says about the form.

    Raises:
        InputError: no form is recognised in what it returns.
    """
    library = known(module, classes)
    if library is not None:
        return Read(library.module, library=library)
    listed = takes_list(module)
    watched = _Watched(module, listed)
    images, truth = examples()
    # Programs that were traced with one image take one.
    for count in dict.fromkeys((len(images), 1)):
        try:
            with Victim(watched, bounds, preprocess=preprocess) as victim, torch.no_grad():
                victim.judge(images[:count])
        except ModelError:  # the check of the model, which follows, says it with its own words
            continue
        if isinstance(watched.returned, Candidates):
            return None
        boxes = Boxes(truth.boxes[:count], truth.labels[:count])
        seen = recognised(watched.returned, watched.size, boxes, classes, said)
        single = count < len(images)
        return Read(ShippedDetector(module, seen.form, classes, listed=listed, single=single), seen)
    return None
