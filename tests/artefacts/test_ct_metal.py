"""Metal: against a simulation with scikit-image, and what radiologists know of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.transform import iradon, radon

from palpate.artefacts.artefact import Scene, bound_to
from palpate.artefacts.ct.metal import Metal
from palpate.artefacts.ct.scanner import MU_WATER
from palpate.artefacts.ct.spectrum import METALS, tube
from palpate.errors import InputError
from palpate.streams import Streams

_SIZE, _MM = 96, 2.0
_SCENE = Scene((-1024.0, 60000.0), (_MM, _MM), "HU")


@pytest.fixture(scope="module")
def water():
    """A cylinder of water of 16 cm in air."""
    axis = torch.arange(_SIZE) - (_SIZE - 1) / 2
    radius = torch.hypot(axis[:, None], axis[None])
    return ((40 - radius + 0.5).clamp(0, 1) * 1000 - 1000)[None]


@pytest.fixture(scope="module")
def put(water):
    """The change by metal."""
    bound = bound_to(Metal(), water, _SCENE, Streams([1]))

    def made(diameter=8.0, aspect=1.0, degrees=0.0, down=0.5, right=0.5, metal="iron", two=False):
        theta = [diameter, aspect, degrees, down, right, METALS.index(metal) + 0.5, 1.5 if two else 0.5, 0.0]
        return (bound(torch.tensor([theta], dtype=torch.float64)) - water)[0, 0]

    return made


def _rms(change):
    return float(change.square().mean().sqrt())


def _distance():
    axis = (torch.arange(_SIZE) - (_SIZE - 1) / 2) * _MM
    return torch.hypot(axis[:, None], axis[None])


def test_it_is_what_a_simulation_with_scikit_image_gives(put, water):
    """The whole chain in another library: pixels of metal, radon, a spectrum, logarithm, correction, iradon."""
    beam = tube()
    axis = (np.arange(_SIZE) - _SIZE // 2) * _MM
    right, down = axis[None] + _MM / 2, axis[:, None] + _MM / 2
    rod = np.clip((8 - np.hypot(right * 0.5, down)) / _MM + 0.5, 0, 1)  # 32 mm by 16 mm
    angles = np.arange(0, 180, 1.0)
    through = radon((water[0].numpy() + 1000) / 1000, theta=-angles, circle=False) * _MM / 10
    metal = radon(rod, theta=-angles, circle=False) * _MM / 10
    weights, mu_water, mu_metal = (one.numpy() for one in (beam.weights, beam.water, beam.metal[0]))
    signal = [
        (np.exp(-through[..., None] * mu_water - length[..., None] * mu_metal) * weights).sum(-1)
        for length in (0 * metal, metal)
    ]
    before, after = (np.interp(-np.log(one), beam.curve.numpy(), beam.depth.numpy() * MU_WATER) for one in signal)
    made = iradon((after - before) / (_MM / 10), theta=-angles, circle=False, output_size=_SIZE, filter_name="hann")
    theirs = made * 1000 / MU_WATER
    ours = torch.stack([
        bound_to(Metal(), water, _SCENE, Streams([seed]))(
            torch.tensor([[32.0, 0.5, 0.0, 0.5, 0.5, 0.5, 0.5, 0.0]], dtype=torch.float64)
        )[0, 0] - water[0] for seed in range(2)
    ]).mean(0).numpy()  # fmt: skip
    outside = (np.hypot(right * 0.5, down) > 14) & (_distance().numpy() < 76)
    assert np.corrcoef(ours[outside], theirs[outside])[0, 1] > 0.9
    assert np.std(ours[outside]) == pytest.approx(np.std(theirs[outside]), rel=0.25)


def test_streaks_go_through_the_metal(put):
    change = put(12.0, aspect=0.4, degrees=0.0).abs()
    across, along = change[46:50, 60:80].mean(), change[60:80, 46:50].mean()
    assert float(across) > 1.4 * float(along)
    diagonal = change[20:30, 20:30].mean()
    assert float(across) > 3 * float(diagonal)


def test_far_from_a_small_piece_little_changes(put):
    change = put(6.0, aspect=0.5).abs()
    near, far = (_distance() > 8) & (_distance() < 20), (_distance() > 50) & (_distance() < 76)
    assert float(change[far].mean()) < 5
    assert float(change[near].mean()) > 3 * float(change[far].mean())


def test_between_two_pieces_it_is_dark(put):
    change = put(12.0, right=0.75, two=True)
    assert float(change[46:50, 40:56].mean()) < -30
    assert float(change[46:50, 40:56].mean()) < float(change[66:70, 40:56].mean()) - 30


def test_the_middle_of_a_thick_piece_is_darker_than_its_edge(put):
    profile = put(12.0)[47:49].mean(0)
    assert float(profile[47:49].mean()) < float(profile[44:52].max())


def test_denser_metal_is_worse(put):
    outside = (_distance() > 14) & (_distance() < 76)
    found = [_rms(put(12.0, metal=metal)[outside]) for metal in METALS]
    assert found[0] < found[1] < found[2]


def test_a_larger_piece_is_worse(put):
    outside = (_distance() > 14) & (_distance() < 76)
    found = [_rms(put(diameter)[outside]) for diameter in (2.0, 6.0, 12.0)]
    assert found[0] < found[1] < found[2]


def test_metal_is_as_bright_as_metal(put):
    # Less than the 11,900 HU of titanium at 70 keV: the beam hardened.
    assert 5000 < float(put(12.0, metal="titanium").max()) < 12500


def test_metal_that_is_larger_than_the_body_is_refused(water):
    scene = Scene((-1024.0, 3071.0), (0.1, 0.1), "HU")
    theta = torch.tensor([[12.0, 1.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.0]], dtype=torch.float64)
    with pytest.raises(InputError, match=r"12 mm is larger than the body, which is 7\.\d+ mm high"):
        bound_to(Metal(), water, scene, Streams([1]))(theta)


@pytest.mark.parametrize("place", range(5), ids=["diameter", "aspect", "orientation", "down", "right"])
def test_gradients_are_those_of_small_differences(water, place):
    bound = bound_to(Metal(), water, _SCENE, Streams([1]))
    axis = torch.linspace(-1, 1, _SIZE)
    weights = torch.exp(-((axis[:, None] - 0.2) ** 2 + (axis[None] + 0.1) ** 2) * 3)

    def of(values):
        return (bound(values)[0, 0] * weights).mean()

    theta = torch.tensor([[9.0, 0.6, 25.0, 0.42, 0.61, 1.5, 0.5, 0.0]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(of(theta), theta)
    step = torch.zeros_like(theta)
    step[0, place] = (0.05, 0.01, 0.2, 5e-4, 5e-4)[place]
    numeric = float(of(theta.detach() + step) - of(theta.detach() - step)) / (2 * float(step[0, place]))
    assert float(gradient[0, place]) == pytest.approx(numeric, rel=0.1, abs=1e-3)
