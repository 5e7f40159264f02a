"""Places in an image followed through its preprocessing: a bright pixel is found again where the place says."""

from __future__ import annotations

import pytest
import torch

from palpate.errors import InputError
from palpate.preprocess import Chain, Preprocess
from palpate.preprocess.coordinates import followed
from palpate.preprocess.geometry import CentreCrop, Pad, Reorder, Resample, Resize
from palpate.preprocess.step import Preprocessing
from palpate.preprocess.values import Rescale


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(size=(24, 40), mean=(1.0,), std=(2.0,)),
        Chain((Rescale(2.0, 1.0), Resize((36, 40)))),
        Chain((Pad((21, 33)), CentreCrop((13, 17)))),
        Chain((Resample((0.5, 0.25)).at((1.0, 1.0)), Pad((50, 90)))),
    ],
)
def test_a_bright_pixel_is_where_its_place_says(preprocess: Preprocessing) -> None:
    image = torch.zeros(1, 1, 12, 20)
    image[0, 0, 5, 8] = 255
    found = preprocess(image)[0, 0]
    found = found - found.min()
    rows, columns = (torch.arange(size) + 0.5 for size in found.shape)
    ((x, y),) = followed(preprocess, [(8.5, 5.5)], 20, 12)
    assert float((found.sum(0) * columns).sum() / found.sum()) == pytest.approx(x, abs=1e-3)
    assert float((found.sum(1) * rows).sum() / found.sum()) == pytest.approx(y, abs=1e-3)


def test_what_a_crop_cuts_off_ends_at_its_edge_and_turned_axes_are_refused() -> None:
    assert followed(Chain((CentreCrop((6, 10)),)), [(0, 0), (20, 12)], 20, 12) == ((0.0, 0.0), (10.0, 6.0))
    with pytest.raises(InputError, match="cannot be followed through the step 'reorder'"):
        followed(Chain((Reorder((1, 0)),)), [(0, 0)], 20, 12)
