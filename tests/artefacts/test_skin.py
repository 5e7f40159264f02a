"""Dermoscopy: hair, ink, rulers and dark corners against closed forms."""

import math

import numpy as np
import pytest
import torch

from palpate.artefacts import apply
from palpate.artefacts.light.strokes import band

SKIN = torch.full((3, 128, 128), 200.0, dtype=torch.float64)


def made(name: str, seed: int = 0, image: torch.Tensor = SKIN, **parameters: float) -> torch.Tensor:
    names = {key.replace("_", " "): value for key, value in parameters.items()}
    return apply(name, image[None], bounds=(0, 255), parameters=names, seed=seed).images[0]


@pytest.mark.parametrize("width", [0.1, 0.5, 3.0, 7.3])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_a_band_takes_its_width_of_light_also_if_it_is_thinner_than_a_pixel(width: float, offset: float) -> None:
    pixels = torch.arange(-40, 41, dtype=torch.float64) + offset
    cover = band(pixels, torch.tensor(width), 1.0)
    assert float(cover.sum()) == pytest.approx(width, rel=0.02)
    assert float(cover.max()) <= 1


@pytest.mark.parametrize("seed", range(3))
def test_a_hair_takes_light_in_proportion_to_its_width_and_its_darkness(seed: int) -> None:
    middle = {"middle_of_the_hairs_from_the_top": 0.5, "middle_of_the_hairs_from_the_left": 0.5, "direction": 30.0}

    def lost(width: float, darkness: float) -> float:
        hair = made("hair", seed, count=1.0, width=width, darkness=darkness, **middle)
        return float((SKIN - hair)[2].sum() / 200)

    thin = lost(0.004, 0.6)
    assert thin > 0
    assert lost(0.008, 0.6) == pytest.approx(2 * thin, rel=0.02)
    assert lost(0.004, 0.9) == pytest.approx(1.5 * thin, rel=1e-6)


def test_a_bunch_of_hairs_turns_as_a_whole() -> None:
    middle = {"middle_of_the_hairs_from_the_top": 0.5, "middle_of_the_hairs_from_the_left": 0.5}
    how = {"count": 5.0, "width": 0.01, "darkness": 0.9, **middle}
    straight, turned = (made("hair", 1, direction=angle, **how) for angle in (20.0, 110.0))
    # 90 degrees more, against the clock: what was on the right is at the top.
    assert torch.allclose(torch.rot90(straight, 1, (1, 2)), turned, atol=1e-6)


def test_ink_takes_most_green_and_least_blue() -> None:
    lost = (SKIN - made("ink", count=6.0, width=0.04, darkness=0.9, direction=0.0,
                        middle_of_the_marks_from_the_top=0.5, middle_of_the_marks_from_the_left=0.5))  # fmt: skip
    red, green, blue = lost.sum((1, 2)).tolist()
    assert green > red > blue > 0


@pytest.mark.parametrize("multiplier", [1.10, 1.0, 0.9])
def test_the_opening_has_the_radius_of_medmnist_c(multiplier: float) -> None:
    opened = made("dark-corner", radius=multiplier / math.sqrt(2), soft_edge=0.01, middle_from_the_top=0.5,
                  middle_from_the_left=0.5)[0].numpy()  # fmt: skip
    down, right = np.indices((128, 128)) + 0.5
    distance = np.hypot(down - 64, right - 64)
    assert (opened[distance <= multiplier * 64 - 0.01] == 200).all()
    assert (opened[distance > multiplier * 64 + 0.01 * 64 * math.sqrt(2)] == 0).all()


def test_ticks_of_a_ruler_have_their_distance_and_each_fifth_is_longer() -> None:
    ruled = made("ruler", length=0.9, distance_of_ticks=8 / 128, darkness=0.9, middle_from_the_top=0.5,
                 middle_from_the_left=0.5, direction=0.0)  # fmt: skip
    dark = (SKIN - ruled)[0].numpy() / 200
    rows = dark[:, 16:112]
    # Ticks go down from the line, which is between rows 63 and 64.
    assert dark[:61].max() < 0.05
    ticks = rows[66]
    spectrum = np.abs(np.fft.rfft(ticks - ticks.mean()))
    assert spectrum.argmax() == len(ticks) // 8
    longer = rows[69]
    assert np.abs(np.fft.rfft(longer - longer.mean()))[1:4].argmax() + 1 == round(len(longer) / 40)
