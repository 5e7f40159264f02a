"""Artefacts of fundus photographs against closed forms in numpy and the blur of scipy."""

import colorsys

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, label

from palpate.artefacts.catalog import make, of_modality
from tests.artefacts.scenes import made

SIZE = 120
OWN = [entry.name for entry in of_modality("fundus") if entry.modalities == ("fundus",)]


def photograph(channels=3, value=None, size=SIZE):
    """A round field of view on black, from 0 to 1."""
    down, right = places(size)
    inside = np.hypot(down, right) < 0.46
    drawn = np.random.default_rng(0).random((channels, size, size)) * 0.4 + 0.3
    return torch.tensor(inside * (drawn if value is None else np.full_like(drawn, value)))


def places(size=SIZE):
    """Heights below and right of the middle."""
    at = (np.arange(size) - (size - 1) / 2) / size
    return np.meshgrid(at, at, indexing="ij")


@pytest.mark.parametrize("name", OWN)
def test_the_black_surround_stays_black(name):
    image = photograph()
    given = {p.name.replace(" ", "_"): p.level(5) for p in make(name).parameters if p.levels is not None}
    result = made(name, image, (0, 1), **given)
    black = image.amax(0) == 0
    assert result[:, black].abs().max() < 1e-12
    assert float((result - image).abs().max()) > 0.1


def test_uneven_illumination_keeps_the_lit_place_and_follows_its_formula():
    image = photograph()
    result = made(
        "uneven-illumination", image, (0, 1), loss=0.6, below_the_middle=0.2, right_of_the_middle=-0.1, width=0.3
    )
    down, right = places()
    gain = 1 - 0.6 * (1 - np.exp(-((down - 0.2) ** 2 + (right + 0.1) ** 2) / (2 * 0.3**2)))
    np.testing.assert_allclose(result, image.numpy() * gain, atol=1e-9)


def test_a_halo_is_a_crescent_towards_its_direction():
    image = photograph(1, 0.2)
    result = made("halo", image, (0, 1), strength=0.5, radius=0.36, width=0.04, direction=90, warmth=0)
    light = (result - image)[0].numpy()
    down, right = places()
    peak = np.unravel_index(light.argmax(), light.shape)
    # 90 degrees are below the middle.
    assert (down[peak], abs(right[peak])) == (pytest.approx(0.36, abs=0.01), pytest.approx(0, abs=0.02))
    angle, distance = np.arctan2(down, right), np.hypot(down, right)
    expected = 0.5 * np.exp(-((distance - 0.36) ** 2) / (2 * 0.04**2)) * np.cos((angle - np.pi / 2) / 2) ** 2
    inside = distance < 0.44
    np.testing.assert_allclose(light[inside], expected[inside], atol=1e-6)


def test_a_flare_has_half_its_strength_at_its_radius_and_a_colour():
    image = photograph(3, 0.1)
    result = made("flare", image, (0, 1), strength=0.4, below_the_middle=0, right_of_the_middle=0, radius=0.1, warmth=1)
    light = (result - image).numpy()
    row = light[0, SIZE // 2]
    assert row.max() == pytest.approx(0.4, abs=1e-3)
    assert np.interp(0.1, places()[1][0, SIZE // 2 :], row[SIZE // 2 :]) == pytest.approx(0.2, abs=5e-3)
    np.testing.assert_allclose(light[:, 60, 60] / light[0, 60, 60], (1, 0.75, 0.4), rtol=1e-6)


@pytest.mark.parametrize(("shows", "value"), [(0, 0.5 * 0.15), (1, 0.5 * 0.15 + 0.8 * 0.85)])
def test_dust_is_some_spots_of_its_size_in_the_field_of_view(shows, value):
    image = torch.full((3, 400, 400), 0.5, dtype=torch.float64)
    result = made("dust", image, (0, 1), seed=3, opacity=0.85, size=0.03, turn=0, spots=2, shows=shows)
    change = (result - image)[0].abs().numpy() / abs(value - 0.5)
    found, count = label(change > 0.5)
    assert count == 7
    diameters = 2 * np.sqrt(np.bincount(found.ravel())[1:] / np.pi) / 400
    assert 0.6 * 0.03 - 0.002 < diameters.min() < diameters.max() < 0.03 + 0.002
    assert change.max() == pytest.approx(1, abs=0.02)
    down, right = places(400)
    assert np.hypot(down, right)[change > 0.5].max() < 0.47


def test_dust_turns_about_the_middle():
    image = torch.full((1, 200, 200), 0.5, dtype=torch.float64)
    first, turned = (
        made("dust", image, (0, 1), opacity=0.6, size=0.04, turn=turn, spots=5, shows=0)[0] for turn in (0, 90)
    )
    # From right to down: clockwise.
    np.testing.assert_allclose(turned, np.rot90(first, -1), atol=1e-9)


def test_a_small_pupil_is_a_hole_of_its_diameter():
    image = torch.full((1, 100, 200), 0.5, dtype=torch.float64)
    result = made("small-pupil", image, (0, 1), diameter=0.4, edge=0.02, below_the_middle=0, right_of_the_middle=0.05)
    lit = (result[0, 50] > 0.45).nonzero().flatten()
    # Four tenths of 200 pixels around a middle of 5 pixels right of that of the image.
    assert (int(lit[0]), int(lit[-1])) == (pytest.approx(65, abs=1), pytest.approx(144, abs=1))
    np.testing.assert_allclose(result[0, 50, :55], 0.05 * 0.5, atol=1e-3)


def test_lashes_are_dark_strokes_that_end_at_their_length():
    image = torch.full((1, 300, 300), 0.5, dtype=torch.float64)
    given = {"opacity": 0.7, "right_of_the_middle": 0, "lean": 0}
    result = made("eyelash", image, (0, 1), length=0.4, **given)[0]
    assert label(result[20].numpy() < 0.4)[1] >= 8
    assert float(result.max()) == 0.5 and float(result.min()) >= 0.5 * 0.3**3
    dark = (result < 0.49).any(1).nonzero().max()
    assert 0.3 * 300 < float(dark) <= 0.4 * 300
    shifted = made("eyelash", image, (0, 1), length=0.4, **{**given, "right_of_the_middle": 0.1})[0]
    np.testing.assert_allclose(shifted[:, 40:], result[:, 10:270], atol=1e-9)


def test_defocus_blurs_the_field_of_view_and_not_its_edge():
    image = torch.rand(1, 80, 90, dtype=torch.float64) * 0.5 + 0.3
    result = made("fundus-defocus", image, (0, 1), standard_deviation=0.02)
    expected = gaussian_filter(image[0].numpy(), 0.02 * 80, mode="nearest", truncate=12)
    np.testing.assert_allclose(result[0], expected, atol=1e-9)
    even = photograph(1, 0.5)
    np.testing.assert_allclose(made("fundus-defocus", even, (0, 1), standard_deviation=0.03), even, atol=1e-9)


def test_colour_changes_what_it_says():
    image = photograph()
    inside = image.amin(0) > 0
    inside = inside & (torch.nn.functional.avg_pool2d(inside[None].double(), 3, 1, 1)[0] == 1)
    values = image[:, inside].numpy()
    brighter = made("fundus-colour", image, (0, 1), brightness=0.2)[:, inside].numpy()
    np.testing.assert_allclose(brighter, values + 0.2)
    sharper = made("fundus-colour", image, (0, 1), contrast=-0.3)[:, inside].numpy()
    np.testing.assert_allclose(sharper.std(), 0.7 * values.std(), rtol=1e-6)
    # The Y of the YIQ space stays, and its two colours become 1.4 times as large.
    redder = made("fundus-colour", image, (0, 1), saturation=0.4)[:, inside].numpy()
    for before, after in zip(values.T[:20], redder.T[:20], strict=True):
        y, i, q = colorsys.rgb_to_yiq(*before)
        np.testing.assert_allclose(colorsys.rgb_to_yiq(*after), (y, 1.4 * i, 1.4 * q), atol=1e-2)
