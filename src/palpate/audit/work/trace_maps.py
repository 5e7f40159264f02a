"""The maps of a trace: the image as the gallery shows it, and where on it the changes of an attack are and differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from palpate.audit.plan.items import Item
from palpate.audit.subject.subject import Subject
from palpate.audit.work.gallery import Drawing
from palpate.audit.work.planes import Plane, shades, window
from palpate.stability import Trace, spread_images, spread_starts
from palpate.tensors import Tree, mapped

Array = npt.NDArray[Any]


class Map(NamedTuple):
    """One image of a trace, on the plane that is shown.

    Attributes:
        row: position in the table.
        shown: (H, W, 3) uint8, the clean image.
        spread: (H, W) float32, how much the final changes of different starts differ, in values.
        change: (H, W) float32, the final change of the first start, mean over channels, in values.
        last: (starts, C, H, W), the final changes.
        place: shape of the whole image, and its plane; maps over several images need the same place.
    """

    row: int
    shown: npt.NDArray[np.uint8]
    spread: npt.NDArray[np.float32]
    change: npt.NDArray[np.float32]
    last: Tensor
    place: tuple[tuple[int, ...], int | None, int]


def maps_of(
    subject: Subject, item: Item, rows: Sequence[int], images: Tensor, targets: Tree, trace: Trace
) -> list[Map]:
    """The maps of the attacked images of a batch (B, C, *spatial)."""
    spread, decided = spread_starts(trace.last, trace.draws), trace.results[0].clean_prediction
    found = []
    for sample in trace.eligible.nonzero().flatten().tolist():
        image, row = images[sample], rows[sample]
        truth, decision = (mapped(lambda tensor, at=sample: tensor[at], tree) for tree in (targets, decided))
        plane = _plane(image, truth, decision, int(getattr(item.task, "structures", 0)))
        last = torch.stack([plane.of(change) for change in trace.last[:, sample]])
        found.append(
            Map(
                row,
                _shown(subject, row, image, plane),
                plane.of(spread[sample, None])[0].float().numpy(),
                last[0].float().mean(0).numpy(),
                last,
                (tuple(image.shape), plane.axis, plane.index),
            )
        )
    return found


def _plane(image: Tensor, truth: Tree, decision: Tree, structures: int) -> Plane:
    """The plane that is shown, the same for all attacks: the one with the largest masks, or the middle one."""
    planes = Drawing.of(image, truth, decision, decision, structures).planes
    return planes[len(planes) // 2]


def _shown(subject: Subject, row: int, image: Tensor, plane: Plane) -> npt.NDArray[np.uint8]:
    span = window(image, subject.victim.bounds, inverted=subject.headers[row].inverted)
    pixels = shades(plane.of(image), span)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def gathered(maps: Sequence[Map], *, draws: bool) -> dict[str, Array]:
    """The arrays of `stability/<identity>.npz`.

    `rows` (n,) and `sizes` (n, 2), height and width; `shown` (n, H, W, 3), `spread_starts` and `change` (n, H, W), of
    which smaller images fill the upper left corner, with white and NaN around them; `spread_images` (H, W) if there
    are several images of one shape and plane; `draws` (), whether the attack drew random numbers.
    """
    sizes = np.array([one.change.shape for one in maps], dtype=np.int64).reshape(-1, 2)
    arrays: dict[str, Array] = {
        "rows": np.array([one.row for one in maps], dtype=np.int64),
        "sizes": sizes,
        "draws": np.array(draws),
        "shown": _stacked([one.shown for one in maps], sizes, np.full(3, 255, np.uint8)),
        "spread_starts": _stacked([one.spread for one in maps], sizes, np.array(np.nan, np.float32)),
        "change": _stacked([one.change for one in maps], sizes, np.array(np.nan, np.float32)),
    }
    if len({one.place for one in maps}) == 1:
        over_images = spread_images(torch.stack([one.last for one in maps], 1))
        if over_images is not None:
            arrays["spread_images"] = over_images.float().numpy()
    return arrays


def _stacked(images: Sequence[Array], sizes: npt.NDArray[np.int64], fill: Array) -> Array:
    """Images (H, W, ...) of several sizes in one array, filled up with `fill`."""
    height, width = sizes.max(0, initial=0)
    stack = np.empty((len(images), height, width, *fill.shape), dtype=fill.dtype)
    stack[...] = fill
    for place, image in enumerate(images):
        stack[place, : image.shape[0], : image.shape[1]] = image
    return stack
