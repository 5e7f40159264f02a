"""Motion between views: against images that were moved and then projected by scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from skimage.transform import radon

from palpate.artefacts.artefact import Scene, bound_to
from palpate.artefacts.ct.motion import RespiratoryMotion, RigidMotion, Sinogram, _finer, _rigid
from palpate.artefacts.ct.slices import Slices
from palpate.streams import Streams

_MM = 3.0
_SCENE = Scene((-1024.0, 3071.0), (_MM, _MM), "HU")


@pytest.fixture(scope="module")
def body():
    """A smooth body, so that resampling it in the referee is accurate; 81 pixels, whose middle is a pixel."""
    axis = (torch.arange(81) - 40).float()
    down, right = axis[:, None], axis[None]
    inside = torch.sigmoid((26 - torch.hypot(down * 1.3, right)) / 1.5)
    organ = 0.6 * torch.exp(-((down - 4) ** 2 + (right + 9) ** 2) / 30) - 0.7 * torch.exp(
        -((down + 6) ** 2 + (right - 8) ** 2) / 50
    )
    return ((inside * (1 + organ)) * 1000 - 1000)[None]


def _projected(image, angles):
    return radon((image + 1000) / 1000, theta=-np.degrees(angles), circle=False).T


@pytest.mark.parametrize(
    ("matrix", "shift"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], [4.0, -7.0]),
        ([[math.cos(0.1), -math.sin(0.1)], [math.sin(0.1), math.cos(0.1)]], [0.0, 0.0]),
        ([[1.0, 0.0], [0.0, 1.12]], [0.0, 5.0]),
    ],
    ids=["shift", "rotation", "expansion"],
)
def test_projections_of_a_moved_body_are_those_of_the_moved_image(body, matrix, shift):
    sinogram = Sinogram.of(Slices.of(body, _SCENE))
    scanner = sinogram.scanner
    whole = torch.tensor(matrix).expand(1, scanner.views, 2, 2)
    ours = sinogram.moved(whole, torch.tensor(shift).expand(1, scanner.views, 2))[0, 0].numpy()
    # scipy takes (down, right) and the way back from the result to the image.
    back = np.linalg.inv(np.array(matrix))[::-1, ::-1]
    middle = np.array([40.0, 40.0])
    offset = middle - back @ (middle + np.array(shift[::-1]) / _MM)
    moved = affine_transform(body[0].numpy(), back, offset=offset, order=3, cval=-1000)
    before, after = (_projected(one, scanner.angles.numpy()) for one in (body[0].numpy(), moved))
    spare = (scanner.bins - before.shape[1]) // 2
    ours = ours[:, spare : spare + before.shape[1]]
    scale = 0.192 * _MM / 10
    change, expected = ours - sinogram.still[0, :, spare : spare + before.shape[1]].numpy(), (after - before) * scale
    assert np.abs(change - expected).mean() < 0.04 * np.abs(expected).mean()


def test_without_motion_projections_are_the_same(body):
    sinogram = Sinogram.of(Slices.of(body, _SCENE))
    views = sinogram.scanner.views
    still = sinogram.moved(torch.eye(2).expand(1, views, 2, 2), torch.zeros(1, views, 2))
    assert torch.allclose(still[0], sinogram.still, atol=2e-4)


def test_a_half_turn_away_is_the_mirror_image(body):
    sinogram = Sinogram.of(Slices.of(body, _SCENE))
    half = 2 * sinogram.scanner.views
    before, mirrored = sinogram.finer[:, : sinogram.pad, ::4], sinogram.finer[:, half : half + sinogram.pad, ::4]
    assert torch.allclose(before, mirrored.flip(-1), atol=1e-3)


def test_finer_samples_pass_through_the_samples_and_between_them():
    time = torch.arange(16) * (2 * math.pi / 16)
    made = _finer(torch.cos(3 * time)[None], 1, 4)[0]
    assert torch.allclose(made, torch.cos(3 * torch.arange(64) * (2 * math.pi / 64)), atol=1e-5)


def test_the_table_lies_still(body):
    scene_of_table = body.clone()
    scene_of_table[0, 76:78, 10:70] = 200.0
    changes = [_change(RigidMotion(), one, 5.0, 3.0, 90.0, 0.5, 0.5) for one in (body, scene_of_table)]
    assert torch.allclose(changes[0], changes[1], atol=0.5)


def _change(artefact, image, *theta):
    bound = bound_to(artefact, image, _SCENE, Streams([0]))
    return (bound(torch.tensor([theta], dtype=torch.float64)) - image)[0, 0]


def test_breathing_moves_the_front_and_not_the_back(body):
    change = _change(RespiratoryMotion(), body, 10.0, 1.0, 0.0).abs()
    front, back = change[18:26, 30:51].mean(), change[54:63, 30:51].mean()
    assert float(front) > 2 * float(back)


def test_breathing_keeps_what_is_there(body):
    # Over a whole breath the front is on average where it was: the mean hardly changes.
    change = _change(RespiratoryMotion(), body, 10.0, 1.0, 90.0)
    assert abs(float(change.mean())) < 0.1 * float(change.abs().mean())


def test_the_centre_of_mass_moves_as_the_patient_does(body):
    """The first moment of a projection is the place of the centre of mass on the detector (Helgason and Ludwig)."""
    slices = Slices.of(body, _SCENE)
    sinogram, scanner = Sinogram.of(slices), slices.scanner
    theta = torch.tensor([[5.0, 0.0, 30.0, 0.4, 0.5]])
    matrix, shift = _rigid(theta, slices)
    moved, still = sinogram.moved(matrix, shift)[0, 0], sinogram.still[0]
    mass, before = moved.sum(1), still.sum(1)
    assert torch.allclose(mass, before, rtol=2e-3)
    way = ((moved * scanner.places).sum(1) / mass) - ((still * scanner.places).sum(1) / before)
    time = (torch.arange(scanner.views) + 0.5) / scanner.views
    length = 5.0 * ((time > 0.4).float() - 0.6)
    expected = length * torch.cos(scanner.angles - math.radians(30))
    calm = (time - 0.4).abs() > 0.07
    assert torch.allclose(way[calm], expected[calm], atol=0.05)


def test_a_round_thing_in_the_middle_may_turn():
    axis = (torch.arange(81) - 40).float()
    disc = (torch.sigmoid((26 - torch.hypot(axis[:, None], axis[None])) / 1.5) * 1000 - 1000)[None]
    turned, shifted = (_change(RigidMotion(), disc, *theta, 0.0, 0.5, 0.5) for theta in ((0.0, 5.0), (5.0, 0.0)))
    assert float(turned.abs().mean()) < 0.1 * float(shifted.abs().mean())
