"""The laws of every ball, on images and points that hypothesis makes up, near the faces of the box too."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palpate.checks import THREAT_CONTRACTS
from palpate.threats.ball import BALLS, LinfSteps
from palpate.threats.confined import Confined

CONFINEMENTS = [
    {"lattice": True},
    {"smooth": 0.8},
    {"lattice": True, "region": "every other column", "tied": True},
    {"lattice": True, "region": "every other column", "channels": (1.0, 0.6), "smooth": 0.5},
]
BOUNDS = [(0.0, 255.0), (0.0, 1.0), (-1024.0, 3071.0)]


def images_and_points(seed, bounds, spread):
    generator = torch.Generator().manual_seed(seed)
    width = bounds[1] - bounds[0]
    images = torch.rand(4, 2, 5, 5, generator=generator, dtype=torch.float64) * width + bounds[0]
    images[0, :, :3], images[1, :, 2:] = bounds[0], bounds[1]
    points = images + torch.randn(images.shape, generator=generator, dtype=torch.float64) * width * spread
    return images, points


@pytest.mark.parametrize("law", THREAT_CONTRACTS)
@pytest.mark.parametrize("norm", BALLS)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    bounds=st.sampled_from(BOUNDS),
    spread=st.sampled_from([0.001, 0.05, 1.0]),
    share=st.sampled_from([0.002, 0.05, 0.4]),
)
def test_ball_keeps_law(norm, law, seed, bounds, spread, share):
    images, points = images_and_points(seed, bounds, spread)
    count = images[0].numel()
    scale = {"linf": 1.0, "l2": count**0.5, "l1": float(count)}[norm]
    radii = tuple(share * (bounds[1] - bounds[0]) * scale * (1 + 0.5 * i) for i in range(len(images)))
    THREAT_CONTRACTS[law](BALLS[norm](radii), images, points, bounds)
    for confinement in CONFINEMENTS:
        THREAT_CONTRACTS[law](Confined(radii, norm, **confinement), images, points, bounds)


def test_unprojected_steps_leave_the_ball_but_not_the_box():
    images, _ = images_and_points(0, (0.0, 255.0), 0.1)
    space = LinfSteps(2.0).around(images, (0.0, 255.0))
    moved = space.move(space.move(images, torch.ones_like(images), 1.0), torch.ones_like(images), 1.0)
    assert float(space.size(moved).max()) == pytest.approx(4.0)
    assert float(moved.max()) <= 255
