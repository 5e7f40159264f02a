"""Fewer photons and fewer views: against closed forms and scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.transform import iradon

from palpate.artefacts.artefact import Scene, bound_to
from palpate.artefacts.ct.dose import FewViews, LowDose, _weights, added_noise
from palpate.artefacts.ct.scanner import MU_WATER, Scanner
from palpate.artefacts.ct.slices import Slices
from palpate.streams import Streams


def _cylinder(radius, size=97, mm=2.0):
    """Water of a radius in mm."""
    axis = (torch.arange(size) - (size - 1) / 2) * mm
    distance = torch.hypot(axis[:, None], axis[None])
    return (((radius - distance) / mm + 0.5).clamp(0, 1) * 1000 - 1000)[None], distance


def _noise(radius, seed=0, mm=2.0):
    water, distance = _cylinder(radius, mm=mm)
    bound = bound_to(LowDose(), water, Scene((-5000.0, 5000.0), (mm, mm), "HU"), Streams([seed]))
    return (bound(torch.tensor([[1.0, 40.0]], dtype=torch.float64)) - water)[0, 0], distance


def test_noise_rises_with_the_attenuation_as_photons_are_lost():
    """In the middle of a cylinder all rays cross its diameter d: the noise rises as exp(mu d / 2)."""
    spread = {}
    for radius in (30.0, 80.0):
        seen = [_noise(radius, seed) for seed in range(6)]
        spread[radius] = float(torch.cat([noise[distance < 16] for noise, distance in seen]).std())
    expected = math.exp(MU_WATER * (16.0 - 6.0) / 2)
    assert spread[80.0] / spread[30.0] == pytest.approx(expected, rel=0.15)


def test_noise_is_weaker_near_the_border():
    noise, distance = _noise(85.0)
    assert float(noise[distance < 25].std()) > 1.2 * float(noise[(distance > 60) & (distance < 80)].std())


def test_the_power_of_noise_rises_with_frequency():
    """The power is proportional to the frequency (ramp squared over the density of views), times the window squared."""
    power, taper = torch.zeros(48, 48), torch.hann_window(48)
    for seed in range(6):
        power += torch.fft.fft2(_noise(80.0, seed)[0][24:72, 24:72] * taper * taper[:, None]).abs() ** 2
    axis = torch.fft.fftfreq(48)
    frequency = torch.hypot(axis[:, None], axis[None])
    rings = [float(power[(frequency > low) & (frequency <= low + 0.04)].mean()) for low in (0.02, 0.08, 0.14)]
    assert rings[0] < rings[1] < rings[2]
    expected = [f * (0.5 + 0.5 * math.cos(2 * math.pi * f)) ** 2 for f in (0.04, 0.1, 0.16)]
    assert rings[1] / rings[0] == pytest.approx(expected[1] / expected[0], rel=0.3)
    assert rings[2] / rings[0] == pytest.approx(expected[2] / expected[0], rel=0.3)


def test_dose_is_one_over_the_squared_noise():
    assert added_noise(2.0) ** 2 + 1 == pytest.approx(4.0)
    assert LowDose.parameters[0].levels[1] == pytest.approx(math.sqrt(3))


def test_another_realisation_is_as_strong_and_different():
    water, _ = _cylinder(80.0)
    bound = bound_to(LowDose(), water, Scene((-5000.0, 5000.0), (2.0, 2.0), "HU"), Streams([0]))
    made = bound(torch.tensor([[1.0, 0.0], [1.0, 90.0]], dtype=torch.float64)) - water
    first, second = made.flatten(1)
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.1
    assert float(first.std()) == pytest.approx(float(second.std()), rel=0.1)


@pytest.fixture(scope="module")
def rod():
    """Water with a rod of bone aside, of odd size, so that scikit-image's axis is ours."""
    image, _ = _cylinder(50.0, 65)
    image[0, 20:24, 40:44] = 1200.0
    return image


@pytest.mark.parametrize("views", [60, 45])
def test_few_views_are_those_of_scikit_image(rod, views):
    scene = Scene((-5000.0, 5000.0), (2.0, 2.0), "HU")
    ours = bound_to(FewViews(), rod, scene, Streams([0]))(torch.tensor([[views, 0.0]], dtype=torch.float64)) - rod
    slices = Slices.of(rod, scene, views=360)
    sinogram = slices.scanner.project(slices.attenuation)[0].numpy().T
    angles = -np.arange(360) / 2.0
    few, all_views = (
        iradon(sinogram[:, ::step], theta=angles[::step], circle=False, output_size=65, filter_name="hann")
        for step in (360 // views, 1)
    )
    theirs = (few - all_views) / 0.2 * 1000 / MU_WATER
    assert np.corrcoef(ours[0, 0].numpy().ravel(), theirs.ravel())[0, 1] > 0.93
    assert float(ours.std()) == pytest.approx(theirs.std(), rel=0.1)


def test_with_all_views_nothing_is_missing():
    assert _weights(360.0, 0.3) == [0.0] * 24


@pytest.mark.parametrize("views", [300.0, 180.0, 120.0, 75.0, 45.0])
def test_fewer_views_count_more(views):
    for start in (0.0, 0.49, 1.0):
        assert sum(_weights(views, start)) == pytest.approx(0.0, abs=1e-9)


def test_streaks_appear_far_from_what_causes_them():
    # V views are enough within a radius of V * d / pi of something of the size d.
    image = torch.full((1, 129, 129), -1000.0)
    image[0, 62:67, 62:67] = 0.0
    bound = bound_to(FewViews(), image, Scene((-5000.0, 5000.0), (1.0, 1.0), "HU"), Streams([0]))
    change = (bound(torch.tensor([[45.0, 0.0]], dtype=torch.float64)) - image)[0, 0]
    axis = torch.arange(129) - 64.0
    distance = torch.hypot(axis[:, None], axis[None])
    assert float(change[distance > 50].std()) > 3 * float(change[(distance > 6) & (distance < 18)].std())


def test_a_scanner_of_chosen_views_adds_up():
    scanner = Scanner(24, 24, 1.0, views=12)
    filtered = scanner.filtered(torch.randn(1, 12, scanner.bins, generator=torch.Generator().manual_seed(0)))
    parts = sum(scanner.spread(filtered[:, start::3], range(start, 12, 3)) for start in range(3))
    assert torch.allclose(parts, scanner.spread(filtered, range(12)), atol=1e-5)
