"""Artefacts of radiographs against closed forms and computations of scipy and numpy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from palpate.artefacts.separable import gaussian
from tests.artefacts.scenes import blobs, made

BOUNDS = (-100.0, 1900.0)


def test_exposure_and_gamma_act_on_shares_of_the_range():
    share = np.random.default_rng(0).random((1, 12, 9))
    image = torch.tensor(share) * 2000 - 100
    np.testing.assert_allclose(made("exposure", image, BOUNDS, factor=1.4), 1.4 * share * 2000 - 100)
    np.testing.assert_allclose(made("gamma", image, BOUNDS, exponent=0.7), share**0.7 * 2000 - 100)


def test_the_variance_of_quantum_noise_is_the_signal_over_the_photons():
    steps = torch.arange(8, dtype=torch.float64).repeat_interleave(50) / 7
    image = steps.expand(1, 400, 400) * 2000 - 100
    photons = 100
    change = (made("quantum-noise", image, BOUNDS, noise_of_white=photons**-0.5, realisation=200) - image)[0] / 2000
    variances = change.reshape(400, 8, 50).permute(1, 0, 2).flatten(1).var(1)
    poisson = np.random.default_rng(0).poisson(photons * np.linspace(0, 1, 8)[:, None], (8, 20000)) / photons
    np.testing.assert_allclose(variances, np.linspace(0, 1, 8) / photons, rtol=0.04)
    np.testing.assert_allclose(variances, poisson.var(1), rtol=0.06)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_blur_is_that_of_scipy(sigma):
    matrix = gaussian(30, torch.tensor([sigma], dtype=torch.float64))[0].numpy()
    expected = gaussian_filter(np.eye(30), (sigma, 0), mode="nearest", truncate=12)
    np.testing.assert_allclose(matrix, expected, atol=1e-9)
    np.testing.assert_array_equal(gaussian(7, torch.zeros(1))[0], np.eye(7))


def test_x_ray_blur_is_that_of_scipy():
    image = torch.rand(1, 25, 31, dtype=torch.float64)
    expected = gaussian_filter(image[0].numpy(), 1.7, mode="nearest", truncate=12)
    np.testing.assert_allclose(made("x-ray-blur", image, standard_deviation=1.7)[0], expected, atol=1e-9)


def test_scatter_is_added_to_the_transmission_and_not_to_its_logarithm():
    share = blobs(40, 48).numpy() / 3
    image = torch.tensor(share)[None] * 2000 - 100
    result = made("scatter-veil", image, BOUNDS, scatter_to_primary=1.5, spread=0.1)
    primary = np.exp(-3 * share)
    total = (primary + 1.5 * gaussian_filter(primary, 4, mode="nearest", truncate=12)) / 2.5
    np.testing.assert_allclose((result[0].numpy() + 100) / 2000, -np.log(total) / 3, atol=1e-8)


def test_scatter_takes_contrast_as_text_books_say():
    image = torch.full((1, 64, 64), 0.5, dtype=torch.float64)
    image[0, 32, 32] += 1e-4
    result = made("scatter-veil", image, (0, 1), scatter_to_primary=3, spread=0.25)[0]
    assert float(result[32, 32] - result[10, 10]) == pytest.approx(1e-4 / (1 + 3), rel=0.01)


def test_grid_lines_are_one_frequency():
    image = torch.rand(1, 40, 50, dtype=torch.float64)
    result = made("grid-lines", image, (0, 1), size=0.05, frequency=0.2, angle=0, phase=90)
    power = np.abs(np.fft.fft2((result - image)[0].numpy()))
    assert np.argwhere(power > 1e-9).tolist() == [[0, 10], [0, 40]]
    np.testing.assert_allclose(power[0, 10], 0.05 * 2000 / 2)


def test_a_straight_collimator_covers_the_share_of_each_side():
    image = torch.full((1, 100, 200), 0.3, dtype=torch.float64)
    result = made("collimation", image, (0, 1), covered=0.2, share_of_the_top=1, share_of_the_bottom=0.5,
                  share_of_the_left=0.25, share_of_the_right=0, rotation=0, edge=0.005, shows=0)[0]  # fmt: skip
    expected = np.full((100, 200), 0.3)
    expected[:20] = expected[90:] = expected[:, :10] = 1
    # Penumbra: one pixel.
    assert np.argwhere(np.abs(result.numpy() - expected) > 1e-9).size == 0
    soft = made("collimation", image, (0, 1), covered=0.2, share_of_the_top=1, share_of_the_bottom=0,
                share_of_the_left=0, share_of_the_right=0, rotation=0, edge=0.03, shows=1)[0, :, 50]  # fmt: skip
    np.testing.assert_allclose(soft[15:22], 0.3 * np.array([0, 0, 0, 1 / 3, 2 / 3, 1, 1]), atol=1e-9)


def test_edges_of_a_turned_collimator_have_its_angle():
    image = torch.zeros(1, 80, 120, dtype=torch.float64)
    result = made("collimation", image, (0, 1), covered=0.25, share_of_the_top=1, share_of_the_bottom=0,
                  share_of_the_left=0, share_of_the_right=0, rotation=8, shows=0)[0].numpy()  # fmt: skip
    rows = result[:, 10:110].sum(0)
    # The edge rises or falls by the tangent of the angle.
    assert np.polyfit(np.arange(100), rows, 1)[0] == pytest.approx(np.tan(np.deg2rad(8)), rel=0.02)
