from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from palpate.report.draw.stability import decades
from palpate.report.draw.stability_maps import LEVELS, SIDE, ColourBar, thinned


def test_all_curves_share_a_scale_of_whole_powers_of_ten(stability):
    low, high = decades(stability.attacks)
    curves = [curve for one in stability.attacks for curve in one.curves if curve.name.startswith("kl")]
    positive = [value for curve in curves for value in curve.high if value]
    assert 10.0**low <= min(positive) and max(positive) <= 10.0**high
    assert decades([]) == (-1, 0)


def test_a_map_keeps_its_values_up_to_its_number_of_colours():
    values = np.linspace(0, 3, 400).reshape(20, 20)
    bar = ColourBar.of([values], signed=False)
    picture = Image.open(io.BytesIO(base64.b64decode(bar.picture(values).split(",")[1])))
    levels = np.asarray(picture)
    assert np.abs(levels / (LEVELS - 1) * 3 - values).max() <= 3 / (LEVELS - 1) / 2 + 1e-9
    assert bar.shown("HU")["high"] == "3 HU"
    signed = ColourBar.of([values - 3], signed=True)
    assert (signed.low, signed.high) == (-3, 3)
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(signed.picture(values - 3).split(",")[1])))).min() == 0
    large = np.arange(500 * 40).reshape(500, 40)
    assert max(thinned(large).shape) <= SIDE and set(thinned(large).ravel()) <= set(large.ravel())
