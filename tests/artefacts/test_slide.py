"""Slides: absorbance by the law of Beer and Lambert, and clumps by their area."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from palpate.artefacts import apply


def made(name: str, image: torch.Tensor, **parameters: float) -> torch.Tensor:
    names = {key.replace("_", " "): value for key, value in parameters.items()}
    return apply(name, image[None], bounds=(0, 255), parameters=names).images[0]


@pytest.mark.parametrize("change", [-0.4, 0.1, 0.4])
def test_absorbance_is_proportional_to_the_stain(change: float) -> None:
    # An empty slide of 240, and thicker and thicker stain on it.
    image = torch.full((3, 50, 50), 240.0, dtype=torch.float64)
    image[:, :5] = 240 * 10 ** -torch.linspace(0, 1, 250, dtype=torch.float64).reshape(5, 50)
    absorbance = -np.log10(made("stain", image, change=change).numpy() / 240)
    assert np.allclose(absorbance, (1 + change) * -np.log10(image.numpy() / 240), atol=1e-9)


def test_clumps_have_about_their_area_and_take_the_colour_of_the_stain() -> None:
    slide = torch.full((3, 200, 200), 240.0, dtype=torch.float64)
    where = {"largest": 0.25, "middle_one": 0.5, "smallest": 0.75}
    places = {f"{what}_from_the_{side}": share for what, share in where.items() for side in ("top", "left")}
    lost = 1 - made("stain-deposit", slide, diameter=0.1, opacity=0.95, blur_disc=0.01, **places).numpy() / 240
    found, count = ndimage.label(lost[1] > 0.45)
    assert count == 3
    areas = sorted(ndimage.sum_labels(lost[1] > 0.45, found, range(1, 4)), reverse=True)
    for area, size in zip(areas, (1.0, 0.7, 0.5), strict=True):
        assert area == pytest.approx(math.pi * (10 * size) ** 2, rel=0.5)
    assert lost[1].max() > lost[0].max() > lost[2].max()
