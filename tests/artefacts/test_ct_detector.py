"""Detectors that blur, are uneven, or are too short; thick slices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from skimage.transform import iradon, radon

from palpate.artefacts.artefact import Scene, bound_to
from palpate.artefacts.ct.detector import DetectorBlur, Ring, Truncation, _rings
from palpate.artefacts.ct.scanner import Scanner
from palpate.artefacts.ct.thickness import PartialVolume, slice_weights
from palpate.errors import InputError
from palpate.streams import Streams

_SCENE = Scene((-5000.0, 5000.0), (2.0, 2.0), "HU")


def _made(artefact, image, *theta, scene=_SCENE):
    return bound_to(artefact, image, scene, Streams([4]))(torch.tensor([theta], dtype=torch.float64))[0]


def _body(size=65, radius=24.0):
    axis = torch.arange(size) - (size - 1) / 2
    down, right = axis[:, None], axis[None]
    disc = (radius - torch.hypot(down, right) + 0.5).clamp(0, 1)
    organ = (6 - torch.hypot(down - 5, right + 9) + 0.5).clamp(0, 1)
    return (disc * 1000 + organ * 300 - 1000)[None], torch.hypot(down, right)


def test_blur_is_that_of_scipy():
    image, _ = _body()
    ours = _made(DetectorBlur(), image, 1.6)[0].numpy()
    assert np.abs(ours - gaussian_filter(image[0].numpy(), 1.6, mode="mirror")).max() < 1.0


def test_a_blurred_detector_sees_what_a_sharp_one_sees_of_the_blurred_slice():
    """The projection theorem, with scikit-image's projections."""
    image, _ = _body()
    angles = np.arange(0.0, 180.0, 30.0)
    before, after = (
        radon(one[0].numpy() + 1000, theta=angles, circle=False) for one in (image, _made(DetectorBlur(), image, 2.0))
    )
    expected = gaussian_filter1d(before, 2.0, axis=0)
    assert np.abs(after - expected).max() < 0.02 * before.max()
    assert np.abs(after - expected).mean() < 0.1 * np.abs(before - expected).mean()


def test_rings_depend_on_the_distance_from_the_isocentre_only():
    image, _ = _body()
    change = (_made(Ring(), image, 1.0, 0.4, 0.6, 30.0) - image)[0]
    place = torch.arange(65) + 0.5
    radius = torch.hypot(place[:, None] - 0.4 * 65, place[None] - 0.6 * 65)
    order = radius.flatten().argsort()
    # Sorted by their distance, values form one smooth curve; in another order of the same values they do not.
    other = torch.hypot(place[:, None] - 0.6 * 65, place[None] - 0.4 * 65).flatten().argsort()
    assert float(change.flatten()[order].diff().abs()[:2000].mean()) < 0.2 * float(
        change.flatten()[other].diff().abs()[:2000].mean()
    )


def test_rings_do_not_depend_on_what_is_scanned():
    image, _ = _body()
    changes = [_made(Ring(), one, 0.7, 0.5, 0.5, 30.0) - one for one in (image, image * 0 - 200)]
    assert torch.allclose(*changes, atol=1e-3)


def test_a_ring_is_what_scikit_image_reconstructs_of_one_wrong_element():
    scanner = Scanner(65, 65, 2.0)
    profile = torch.zeros(scanner.bins)
    profile[scanner.bins // 2 + 14] = 0.01
    ours = (scanner.filtered(profile) @ _rings(scanner)).numpy()
    angles = np.arange(0, 360, 1.0)
    theirs = iradon(
        np.repeat(profile.numpy()[:, None], 360, 1), theta=angles, circle=False, output_size=65, filter_name="hann"
    )
    line = theirs[32, 32:] / 0.2
    assert np.corrcoef(ours[:33], line)[0, 1] > 0.98
    assert np.abs(ours[:33]).max() == pytest.approx(np.abs(line).max(), rel=0.15)
    assert int(np.argmax(ours[:33])) == 14


def test_the_rim_of_a_field_that_is_too_small_is_bright():
    image, distance = _body(81, 32.0)
    change = (_made(Truncation(), image, 0.2) - image)[0]
    field = 0.8 * 32
    middle, rim = change[distance < 8].mean(), change[(distance > field - 3) & (distance < field - 1)].mean()
    assert float(rim) > 100
    assert float(rim) > 2 * abs(float(middle))
    assert float(change[(distance > field + 3) & (distance < 32)].mean()) < -100


def test_the_more_is_cut_off_the_brighter():
    image, distance = _body(81, 32.0)
    inside = distance < 20
    means = [float((_made(Truncation(), image, cut) - image)[0][inside].mean()) for cut in (0.06, 0.12, 0.2)]
    assert -1 < means[0] < means[1] < means[2]
    assert means[2] > 20


@pytest.mark.parametrize("thickness", [0.3, 1.0, 2.6, 7.0])
def test_thick_slices_are_means_of_what_lies_between(thickness):
    values = np.random.default_rng(0).normal(size=31)
    fine = (np.arange(20000) + 0.5) / 20000 * thickness - thickness / 2
    expected = np.interp(15 + fine, np.arange(31), values).mean()
    offsets = torch.arange(-6, 7)
    weights = slice_weights(offsets.double(), torch.tensor([thickness], dtype=torch.float64))[0]
    assert float(weights.sum()) == pytest.approx(1.0)
    assert float((weights * torch.tensor(values[9:22])).sum()) == pytest.approx(expected, abs=1e-4)


def test_thick_slices_keep_what_does_not_change_across_them():
    scene = Scene((-5000.0, 5000.0), (1.5, 2.0, 2.0), "HU")
    volume = torch.arange(24.0)[None, :, None, None].expand(1, 24, 5, 6) * 10
    made = _made(PartialVolume(), volume, 5.0, scene=scene)
    assert torch.allclose(made[:, 4:-4], volume[:, 4:-4], atol=1e-3)
    edge = (volume > 120).float() * 500
    assert 0 < float(_made(PartialVolume(), edge, 5.0, scene=scene)[0, 12, 0, 0]) < 250


def test_one_slice_does_not_know_its_neighbours():
    with pytest.raises(InputError, match="acts on volumes"):
        _made(PartialVolume(), torch.zeros(1, 8, 8), 5.0)
