"""The scanner against closed forms and scikit-image; ellipses, spectrum, outline, and slices."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.data import shepp_logan_phantom
from skimage.transform import iradon, radon, resize

from palpate.artefacts.artefact import Scene
from palpate.artefacts.ct.ellipses import Ellipses
from palpate.artefacts.ct.metal import RESOLUTION
from palpate.artefacts.ct.outline import Outline
from palpate.artefacts.ct.scanner import MU_WATER, Scanner
from palpate.artefacts.ct.slices import Slices
from palpate.artefacts.ct.spectrum import METALS, mass_attenuation, tube


@pytest.fixture(scope="module")
def phantom():
    return resize(shepp_logan_phantom(), (64, 64), anti_aliasing=True).astype(np.float32) * MU_WATER


def _ellipse(right=0.0, down=0.0, long=1.0, short=1.0, degrees=0.0):
    return Ellipses(*(torch.tensor([value]) for value in (right, down, long, short, math.radians(degrees))))


def test_line_integrals_are_those_of_scikit_image(phantom):
    scanner = Scanner(64, 64, 10.0, views=90)
    ours = scanner.project(torch.tensor(phantom)[None])[0].numpy()
    theirs = radon(phantom, theta=-np.degrees(scanner.angles.numpy()), circle=False).T
    spare = scanner.bins - theirs.shape[1]
    # Their axis is pixel 32 of 64, half a pixel from the middle of the grid.
    ours = ours[:, spare // 2 : spare // 2 + theirs.shape[1]]
    assert np.abs(ours.sum(1) - theirs.sum(1)).max() < 0.01 * theirs.sum(1).max()
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("pixel", [0.5, 2.0])
def test_line_integrals_of_a_disc_are_its_chords(pixel):
    scanner = Scanner(80, 80, pixel, views=12)
    down, right = scanner.axes()
    radius, at = 30 * pixel, (4 * pixel, -3 * pixel)
    distance = torch.hypot(right[None] - at[0], down[:, None] - at[1])
    disc = ((radius - distance) / pixel + 0.5).clamp(0, 1)
    ours = scanner.project(disc[None] * 0.2)[0]
    middle = at[0] * scanner.angles.cos() + at[1] * scanner.angles.sin()
    chord = 2 * (radius**2 - (scanner.places - middle[:, None]) ** 2).clamp(min=0).sqrt() / 10 * 0.2
    # Rays that touch the disc pass pixels that are half covered.
    assert float((ours - chord)[:, 38:77].abs().max()) < 0.01 * float(chord.max())
    assert float((ours - chord).abs().mean()) < 0.003 * float(chord.max())


def test_reconstruction_is_that_of_scikit_image(phantom):
    scanner = Scanner(64, 64, 10.0, views=90, soft=False)
    sinogram = scanner.project(torch.tensor(phantom)[None])
    ours = scanner.reconstruct(sinogram)[0].numpy()
    # An odd number of bins: their middle bin is ours, and their middle pixel is that of an odd grid.
    theirs = iradon(sinogram[0].numpy().T, theta=-np.degrees(scanner.angles.numpy()), circle=False, output_size=65)
    between = (theirs[:-1, :-1] + theirs[1:, 1:] + theirs[1:, :-1] + theirs[:-1, 1:]) / 4
    inside = phantom > 0
    assert np.corrcoef(ours[inside], between[inside])[0, 1] > 0.97
    assert abs(ours[inside].mean() - theirs[:-1, :-1][inside].mean()) < 0.01 * phantom[inside].mean()
    assert np.sqrt(np.mean((ours - phantom) ** 2)) < 0.08 * phantom.max()


def test_a_reconstructed_disc_has_its_attenuation():
    scanner = Scanner(64, 64, 2.5, views=120)
    length = _ellipse(5.0, -8.0, 50.0, 40.0, 30.0).lines(scanner.angles, scanner.places, scanner.pixel)
    made = scanner.reconstruct(length * MU_WATER)[0]
    assert float(made[24:36, 28:40].mean()) == pytest.approx(MU_WATER, rel=0.005)
    assert abs(float(made[:6].mean())) < 0.01 * MU_WATER


def test_an_ellipse_in_closed_form_is_the_projection_of_its_pixels():
    scanner = Scanner(120, 120, 0.5, views=24)
    ellipse = _ellipse(6.0, -9.0, 14.0, 5.0, 35.0)
    down, right = scanner.axes()
    numeric = scanner.project(ellipse.cover(down, right, 0.5))[0]
    exact = ellipse.lines(scanner.angles, scanner.places, scanner.pixel)[0]
    assert float((numeric - exact).abs().mean()) < 0.002 * float(exact.max())
    assert float((numeric - exact).abs().max()) < 0.06 * float(exact.max())


@pytest.mark.parametrize(("long", "short", "error"), [(6.0, 3.0, 0.08), (4.5, 2.5, 0.1), (2.0, 1.2, 0.2)])
def test_an_ellipse_is_drawn_as_the_scanner_reconstructs_it(long, short, error):
    scanner = Scanner(96, 96, 1.0, views=150)
    ellipse = _ellipse(3.3, -4.7, long, short, 30.0)
    made = scanner.reconstruct(ellipse.lines(scanner.angles, scanner.places, 1.0))[0]
    down, right = scanner.axes()
    drawn = ellipse.cover(down, right, RESOLUTION)[0]
    assert float((made - drawn).square().mean().sqrt()) < error * float(made.square().mean().sqrt())
    assert float(made.sum()) == pytest.approx(math.pi * long * short, rel=0.01)


@pytest.mark.parametrize("half", [0.05, 0.4, 7.0])
def test_no_ellipse_is_too_small_to_be_measured(half):
    scanner = Scanner(32, 32, 1.0, views=10)
    ellipse = _ellipse(2.3, 1.1, half, half / 2, 20.0)
    area = math.pi * half * half / 2
    lines = ellipse.lines(scanner.angles, scanner.places, 1.0)[0].sum(-1) * 10
    assert torch.allclose(lines, torch.full_like(lines, area), rtol=2e-3)
    down, right = scanner.axes()
    assert float(ellipse.cover(down, right, 1.0).sum()) == pytest.approx(area, rel=0.4)


def test_the_spectrum_hardens():
    beam = tube()
    assert float(mass_attenuation("iron", torch.tensor([60.0]))) == pytest.approx(1.205)
    assert float(mass_attenuation("water", torch.tensor([70.0]))) == pytest.approx(MU_WATER, rel=0.01)
    thickness = torch.tensor([0.01, 0.5, 1.0, 2.0], dtype=torch.float64)
    for place in range(len(METALS)):
        signal = torch.exp(-thickness[:, None] * beam.metal[place]) @ beam.weights
        effective = -signal.log() / thickness
        assert bool((effective[1:] < effective[:-1]).all())
    water = torch.tensor([0.0, 10.0, 33.3], dtype=torch.float64)
    measured = -torch.log(torch.exp(-water[:, None] * beam.water) @ beam.weights)
    assert torch.allclose(beam.corrected(measured), MU_WATER * water, atol=1e-4)


def test_a_place_in_the_body_is_in_the_body():
    values = torch.full((1, 60, 60), -1000.0)
    down, right = torch.meshgrid(torch.arange(60), torch.arange(60), indexing="ij")
    body = ((down - 25) / 18.0) ** 2 + ((right - 32) / 24.0) ** 2 < 1
    values[0][body] = 30.0
    values[0, 55] = 30.0  # the table
    outline = Outline.of(Slices.of(values, Scene((-1024.0, 3071.0), (2.0, 2.0), "HU")))
    assert outline.height == pytest.approx(70, abs=4)
    points = torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
    row, column, _ = outline.at(points[:, 0], points[:, 1], torch.full((200,), 4.0))
    assert bool(body[(row / 2 + 29.5).round().long(), (column / 2 + 29.5).round().long()].all())


def test_a_large_image_is_scanned_on_a_coarser_grid():
    slices = Slices.of(torch.zeros(1, 400, 300), Scene((-1024.0, 3071.0), (0.5, 1.0), "HU"))
    assert (slices.scanner.height, slices.scanner.width) == (171, 256)
    assert slices.change(torch.zeros(3, 1, 171, 256)).shape == (3, 1, 400, 300)
