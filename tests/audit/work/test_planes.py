"""Which slices of a volume go on show, and in which window."""

import io

import numpy as np
import torch
from PIL import Image

from palpate.audit.work.planes import MOST_SLICES, planes, png, window


def volume(*changed: int, size: tuple[int, int, int] = (20, 24, 30), axis: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Masks before and after; slice `changed[i]` differs in i + 1 pixels."""
    before = np.zeros((1, *size), dtype=bool)
    before[:, 5:15, 5:15, 5:15] = True
    after = before.copy()
    for rank, index in enumerate(changed):
        plane = np.moveaxis(after, axis + 1, 1)[0, index]
        plane[0, : rank + 1] ^= True
    return before, after


def test_a_2d_image_is_one_plane() -> None:
    before, after = np.zeros((1, 10, 20), dtype=bool), np.zeros((1, 10, 20), dtype=bool)
    after[0, :2, :3] = True
    (plane,) = planes((10, 20), (2.0, 0.5), before, after)
    assert (plane.axis, plane.changed, plane.aspect, plane.suffix) == (None, 6, 0.5, "")
    image = torch.arange(200.0).reshape(1, 10, 20)
    assert plane.of(image) is image and plane.masks(after) is after


def test_slices_lie_along_the_coarsest_axis_or_the_last() -> None:
    before, after = volume(3, 9, axis=0)
    assert {plane.axis for plane in planes((20, 24, 30), (5.0, 0.5, 0.5), before, after)} == {0}
    assert {plane.axis for plane in planes((20, 24, 30), None, before, after)} == {2}
    assert {plane.axis for plane in planes((20, 24, 30), (1.0, 1.0, 1.0), before, after)} == {2}


def test_the_slices_that_changed_most_are_shown_in_their_order() -> None:
    before, after = volume(*range(2, 20))
    shown = planes((20, 24, 30), None, before, after)
    assert [plane.index for plane in shown] == list(range(20 - MOST_SLICES, 20))
    assert all(plane.count == 30 for plane in shown)
    before, after = volume(17, 4)
    assert [plane.index for plane in planes((20, 24, 30), None, before, after)] == [4, 17]


def test_without_a_change_the_largest_masks_are_shown_and_without_masks_some_slices() -> None:
    before, _ = volume()
    before[:, :, :, 11] = True
    assert [plane.index for plane in planes((20, 24, 30), None, before, before)] == [11]
    shown = planes((20, 24, 30), None, None, None)
    assert len(shown) == MOST_SLICES and all(0 < plane.index < 29 for plane in shown)
    assert [plane.index for plane in planes((4, 4, 1), None, None, None)] == [0]


def test_a_plane_is_the_same_place_in_image_and_masks() -> None:
    before, after = volume(7)
    (plane,) = planes((20, 24, 30), (1.0, 2.0, 3.0), before, after)
    image = torch.arange(20.0 * 24 * 30).reshape(1, 20, 24, 30)
    assert torch.equal(plane.of(image), image[..., 7]) and np.array_equal(plane.masks(after), after[..., 7])
    assert plane.aspect == 24 * 2 / 20 and plane.suffix == "-2-7"
    # A prediction on a grid of half the size.
    (coarse,) = planes((40, 48, 60), None, before, after)
    assert torch.equal(coarse.of(torch.arange(60.0).expand(1, 40, 48, 60)), torch.full((1, 40, 48), 15.0))


def test_wide_bounds_are_shown_in_the_window_of_the_image() -> None:
    image = torch.linspace(-1000, 500, 1501).reshape(1, 1, -1)
    assert window(image, (-1024.0, 3071.0)) == (-985.0, 485.0)
    assert window(image, (0.0, 255.0)) == (0.0, 255.0) and window(image, (-3.0, 5.0)) == (-3.0, 5.0)
    assert window(torch.zeros(1, 4, 4), (-1024.0, 3071.0)) == (-1024.0, 3071.0)


def test_what_is_stored_the_other_way_round_is_shown_as_readers_see_it() -> None:
    image = torch.linspace(0, 3000, 3001).reshape(1, 1, -1)
    assert window(image, (0.0, 4095.0), inverted=True) == (2970.0, 30.0)
    assert window(image, (0.0, 255.0), inverted=True) == (255.0, 0.0)
    shown = np.asarray(Image.open(io.BytesIO(png(torch.tensor([[[0.0, 100.0, 255.0]]]), (255.0, 0.0), "inverted"))))
    assert shown.tolist() == [[255, 155, 0]]
