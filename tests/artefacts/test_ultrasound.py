"""Artefacts of ultrasound against the geometry of beams and the statistics of speckle."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from scipy.stats import kstest, rayleigh

from palpate.artefacts.artefact import Scene
from palpate.artefacts.field_of_view import field_of_view
from tests.artefacts.scenes import made

HEIGHT, WIDTH = 120, 150


def even(value=0.5, height=HEIGHT, width=WIDTH):
    return torch.full((1, height, width), value, dtype=torch.float64)


def pixels(height=HEIGHT, width=WIDTH):
    """Heights below the top, and right of the middle."""
    down, right = np.mgrid[0:height, 0:width]
    return (down + 0.5) / height, (right + 0.5 - width / 2) / height


@pytest.mark.parametrize("fan", [0.0, 0.7, 3.0])
def test_the_logarithm_of_attenuation_is_linear_in_depth(fan):
    result = made("attenuation", even(), (0, 1), rate=1.8, fan=fan)[0].numpy()
    down, right = pixels()
    depth = np.hypot(down + 1 / fan, right) - 1 / fan if fan else down
    slope, offset = np.polyfit(depth.ravel(), np.log(result / 0.5).ravel(), 1)
    assert (slope, offset) == (pytest.approx(-1.8), pytest.approx(0, abs=1e-9))
    np.testing.assert_allclose(np.log(result / 0.5), -1.8 * depth, atol=1e-9)


@pytest.mark.parametrize("fan", [0.0, 1.5])
def test_a_shadow_is_even_along_each_beam_and_normal_across(fan):
    result = made("shadow", even(), (0, 1), strength=0.7, position=0.6, width=0.08, begin=0.2, fan=fan)[0].numpy()
    middle = (0.6 - 0.5) * WIDTH / HEIGHT
    for offset in (-0.1, 0.0, 0.12):
        cross = middle + offset
        # Points of the line from the top of the fan through (cross, half a height).
        down = np.linspace(0.35, 0.8, 30)
        right = cross * (down + 1 / fan) / (0.5 + 1 / fan) if fan else np.full(30, cross)
        beam = map_coordinates(result, [down * HEIGHT - 0.5, right * HEIGHT + WIDTH / 2 - 0.5], order=3)
        expected = 0.5 * (1 - 0.7 * np.exp(-((offset * HEIGHT / WIDTH / 0.08) ** 2) / 2))
        np.testing.assert_allclose(beam, expected, atol=1e-3)
    assert np.abs(result[:12] - 0.5).max() < 1e-4


def echo(result, before):
    return 10 ** (60 * (result - before).numpy() / 20)


def test_full_speckle_is_rayleigh():
    result = made("speckle", even(height=100, width=100), (0, 1), strength=1, grain=0.002, realisation=50)
    amplitude = echo(result, 0.5).ravel()
    assert amplitude.mean() == pytest.approx(1, abs=0.02)
    assert amplitude.mean() / amplitude.std() == pytest.approx(1.913, rel=0.02)
    assert kstest(amplitude, rayleigh(scale=np.sqrt(2 / np.pi)).cdf).statistic < 0.02


def test_grains_of_speckle_are_as_large_as_said_and_twice_as_wide():
    result = made("speckle", even(height=300, width=300), (0, 1), strength=1, grain=0.01)
    intensity = echo(result, 0.5)[0] ** 2
    intensity = (intensity - intensity.mean()) / intensity.std()
    # Of complex normal noise blurred by sigma, intensities at a distance of sigma correlate by exp(-1/2).
    down = (intensity[3:] * intensity[:-3]).mean()
    right = (intensity[:, 6:] * intensity[:, :-6]).mean()
    assert (down, right) == (pytest.approx(np.exp(-0.5), abs=0.06), pytest.approx(np.exp(-0.5), abs=0.06))


@pytest.mark.parametrize("decibels", [-9.0, 6.0])
def test_gain_multiplies_echoes(decibels):
    image = torch.linspace(0.2, 0.8, 50, dtype=torch.float64).expand(1, 4, 50)
    result = made("gain", image, (0, 1), gain=decibels)
    np.testing.assert_allclose(echo(result, image), 10 ** (decibels / 20))
    assert made("gain", even(0.0), (0, 1), gain=decibels).eq(0).all()


def test_haze_is_a_band_at_one_depth():
    change = made("haze", even(0.3, 200, 400), (0, 1), strength=0.2, radius=0.6, width=0.1, fan=0)[0].numpy() - 0.3
    down = (np.arange(200) + 0.5) / 200
    np.testing.assert_allclose(change.mean(1), 0.2 * np.exp(-(((down - 0.6) / 0.1) ** 2) / 2), atol=0.05)


def test_haze_stays_in_the_field_of_view_which_has_no_holes():
    down, right = pixels()
    apart = np.hypot(down + 0.5, right)
    inside = (apart > 0.55) & (apart < 1.4) & (np.abs(np.arctan2(right, down + 0.5)) < 0.5)
    image = torch.tensor(np.where(inside & (np.hypot(down - 0.5, right) > 0.15), 0.6, 0.0))[None]
    image[0, :3, :3] = 0.02
    found = field_of_view(image, Scene((0.0, 1.0)))[0].numpy()
    assert found[~inside].mean() < 0.02
    assert (found[inside] > 0.99).mean() > 0.95
    result = made("haze", image, (0, 1), strength=0.3, radius=0.5, width=0.2, fan=2)
    assert result[0][torch.tensor(found == 0)].eq(image[0][torch.tensor(found == 0)]).all()
    assert float((result - image)[0, 55:60, 70:80].mean()) > 0.1
