"""The frequency threat against scipy's cosine transform, and the laws of a threat, padding and faces included."""

import numpy
import pytest
import scipy.fft
import torch

from palpate.attacks import recipes_dense
from palpate.checks import THREAT_CONTRACTS
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.threats.frequency import Frequency

BOUNDS = (-1024.0, 3071.0)
WIDTH = BOUNDS[1] - BOUNDS[0]
SHAPES = {"2D": (3, 2, 16, 8), "3D": (2, 1, 8, 8, 16), "2D padded": (3, 1, 11, 13), "3D padded": (2, 1, 9, 5, 8)}
LAWS = [law for law in THREAT_CONTRACTS if law != "steepest_attains_the_dual_norm"]


def world(shape, spread=0.05, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(shape, generator=generator, dtype=torch.float64) * WIDTH + BOUNDS[0]
    # Half of the first image is air and half of the second is saturated.
    images[0, :, :4], images[1, :, 2:] = BOUNDS
    return images, images + torch.randn(shape, generator=generator, dtype=torch.float64) * WIDTH * spread


def coefficients(change, block):
    """The block cosine transform by scipy, of a change that is padded with zeros; (B, -1)."""
    extents = change.shape[2:]
    padded = torch.nn.functional.pad(change, [s for e in reversed(extents) for s in (0, -e % block)]).numpy()
    for axis in range(2, padded.ndim):
        blocks = [
            scipy.fft.dct(padded.take(range(i, i + block), axis), axis=axis, norm="ortho")
            for i in range(0, padded.shape[axis], block)
        ]
        padded = numpy.concatenate(blocks, axis)
    return torch.from_numpy(padded).flatten(1)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("spread", [0.001, 0.05, 1.0])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_keeps_law(shape, spread, law):
    images, points = world(shape, spread)
    radii = tuple(0.02 * WIDTH * (1 + i) for i in range(len(images)))
    THREAT_CONTRACTS[law](Frequency(radii), images, points, BOUNDS)


@pytest.mark.parametrize("block", [4, 8])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_size_is_the_largest_coefficient_by_scipy_and_projections_keep_it(shape, block):
    images, points = world(shape)
    space = Frequency(40.0, block).around(images, BOUNDS)
    torch.testing.assert_close(space.size(points), coefficients(points - images, block).abs().amax(1))
    assert (coefficients(space.project(points) - images, block).abs() <= 40 * (1 + 1e-9) + 1e-9).all()
    assert (coefficients(space.sample(Streams(range(len(images)))) - images, block).abs() <= 40 + 1e-6).all()


def test_steepest_attains_the_dual_norm_of_the_coefficients():
    images, points = world(SHAPES["3D"])
    gradient = points - images
    direction = Frequency(1.0).around(images, BOUNDS).steepest(gradient)
    attained = (gradient * direction).flatten(1).sum(1)
    torch.testing.assert_close(attained, coefficients(gradient, 8).abs().sum(1))
    torch.testing.assert_close(coefficients(direction, 8).abs().amax(1), torch.ones(2, dtype=torch.float64))


def test_the_root_mean_square_is_that_of_an_linf_ball():
    images = torch.full((1, 1, 16, 16), 1000.0, dtype=torch.float64)
    space = Frequency(5.0).around(images, BOUNDS)
    moved = space.move(images, torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).double(), 1.0)
    assert float((moved - images).square().mean().sqrt()) == pytest.approx(5.0)
    assert float((moved - images).abs().max()) > 5.0


def test_every_quantisation_of_the_coefficients_is_allowed():
    images, _ = world(SHAPES["2D"])
    images = images * 0.1 + 1000
    space = Frequency(30.0).around(images, BOUNDS)
    spectrum = space._transform(images)
    steps = 5 + 55 * torch.rand(spectrum.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    quantised = space._back((spectrum / steps).round() * steps)
    assert (space.size(quantised) > 25).all()
    torch.testing.assert_close(space.project(quantised), quantised)


def test_projection_does_not_depend_on_the_others_of_the_batch():
    images, points = world(SHAPES["2D padded"], 1.0)
    points[2] = images[2] + 1e-3
    space = Frequency(20.0).around(images, BOUNDS)
    whole = space.project(points)
    for row in range(len(images)):
        alone = space.take(torch.tensor([row]))
        torch.testing.assert_close(alone.project(points[row : row + 1])[0], whole[row], rtol=0, atol=1e-9)


def test_bad_values_are_refused_by_name():
    with pytest.raises(InputError, match="block: 1"):
        Frequency(2.0, 1)
    with pytest.raises(InputError, match="eps"):
        Frequency(0.0)
    with pytest.raises(InputError, match="wider than the whole range"):
        Frequency(300.0).around(torch.zeros(1, 1, 8, 8), (0.0, 255.0))
    assert "block of 8 changes by at most 2" in Frequency((2.0, 2.0)).describe()
    assert "2 to 3" in Frequency((2.0, 3.0)).describe()
    assert recipes_dense.vafa(Frequency(2.0), block=4).threat == Frequency(2.0, 4)
