"""Confined changes: exact stored values, regions, tied channels, smoothness, and what is refused."""

import numpy as np
import pytest
import torch

from palpate.contracts import Limits
from palpate.data.formats.scan import Header
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tensors import lengths
from palpate.threats.ball import Linf
from palpate.threats.confined import Confined
from palpate.threats.delivery import smoothed

HEADERS = {
    "8 bits": Header("PNG", (1, 16, 16), "uint8", (0, 255)),
    "CT": Header("DICOM", (1, 16, 16), "int16", (-2048, 2047), 1.0, -1024.0, "HU"),
    "halves": Header("DICOM", (1, 16, 16), "uint16", (0, 4095), 0.5, -1024.0),
    "tenths": Header("DICOM", (1, 16, 16), "uint16", (0, 4095), 0.1, -1024.0),
    "no multiple": Header("DICOM", (1, 16, 16), "uint16", (0, 4095), 0.3, -1000.1),
    "falling": Header("DICOM", (1, 16, 16), "uint16", (0, 4095), -0.1, 77.7),
    "16 bits": Header("PNG", (1, 16, 16), "uint16", (0, 65535)),
    "signed 16 bits, tenths": Header("DICOM", (1, 16, 16), "int16", (-32768, 32767), 0.1, 0.0),
}


def world(header, count=4):
    """Stored numbers with the faces of the range among them, their values, and their limits."""
    low, high = header.lattice
    stored = np.random.default_rng(0).integers(low, high + 1, (count, *header.shape)).astype(header.dtype)
    stored[0, :, :4], stored[1, :, :4] = low, high
    values = torch.from_numpy(np.stack([header.values(one) for one in stored]).astype(np.float32))
    steps = torch.full((count,), header.step, dtype=torch.float64)
    return stored, values, Limits(step=steps, origin=torch.full_like(steps, header.intercept))


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("name", HEADERS)
def test_what_is_delivered_is_what_the_file_gives_back(name, norm):
    header = HEADERS[name]
    stored, clean, limits = world(header)
    eps = header.step * {"linf": 3.0, "l2": 40.0, "l1": 500.0}[norm]
    space = Confined(eps, norm, lattice=True).around(clean, header.bounds, limits)
    for seed in range(5):
        delivered = space.to_image(space.sample(Streams(range(4 * seed, 4 * seed + 4)))).numpy()
        saved = header.stored(delivered)
        again = np.stack([header.values(one) for one in saved]).astype(np.float32)
        assert np.array_equal(again, delivered)
        change = torch.from_numpy(saved.astype(np.int64) - stored.astype(np.int64)).double()
        assert bool(change.any())
        assert (lengths(change, norm) * header.step <= eps * (1 + 1e-9)).all()
        # Delivered once more it stays, and its distance is a whole number of steps.
        assert np.array_equal(space.to_image(torch.from_numpy(delivered)).numpy(), delivered)
        assert torch.allclose(space.size(torch.from_numpy(delivered)), lengths(change, norm) * header.step, rtol=1e-12)


@pytest.mark.parametrize(("eps", "step", "whole"), [(2.0, 0.1, 20), (0.3, 0.1, 3), (1.0, 1.0, 1), (2.9, 1.0, 2)])
def test_the_radius_is_the_largest_number_of_whole_steps_in_it(eps, step, whole):
    clean = torch.arange(100.0, 164.0).reshape(1, 1, 8, 8)
    limits = Limits(step=torch.tensor([step], dtype=torch.float64))
    space = Confined(eps, lattice=True).around(clean, (0.0, 255.0), limits)
    far = space.to_image(space.move(clean, torch.ones_like(clean), 10.0))
    assert torch.allclose((far - clean) / step, torch.full_like(clean, whole), atol=1e-3)
    assert float(space.size(far)) == pytest.approx(whole * step, rel=1e-12)


def test_each_sample_has_its_own_step():
    clean = torch.full((2, 1, 4, 4), 100.0)
    space = Confined(4.0, lattice=True).around(clean, (0.0, 255.0), Limits(step=torch.tensor([1.0, 3.0]).double()))
    far = space.move(clean, torch.ones_like(clean), 1.0)
    assert space.size(space.to_image(far)).tolist() == [4.0, 3.0]
    assert space.take(torch.tensor([1])).size(space.to_image(far)[1:]).tolist() == [3.0]


def test_rounding_is_to_the_nearest_step():
    clean = torch.full((1, 1, 1, 4), 100.0)
    space = Confined(2.0, lattice=True).around(clean, (0.0, 255.0), Limits(step=torch.ones(1).double()))
    delivered = space.to_image(clean + torch.tensor([0.4, 0.6, -0.6, -1.6]))
    assert (delivered - clean).flatten().tolist() == [0.0, 1.0, -1.0, -2.0]


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_a_length_spread_thin_is_gathered_where_it_is_largest(norm):
    """Rounding to the nearest would leave nothing of a change below half a step everywhere."""
    clean = torch.full((1, 1, 10, 10), 100.0)
    thin = torch.linspace(0.2, 0.4, 100).reshape_as(clean)
    eps = float(lengths(thin, norm))
    space = Confined(eps, norm, lattice=True).around(clean, (0.0, 255.0), Limits(step=torch.ones(1).double()))
    change = (space.to_image(clean + thin) - clean).flatten()
    count = int(eps if norm == "l1" else eps**2)
    assert change.tolist() == [0.0] * (100 - count) + [1.0] * count


def test_nothing_changes_outside_the_region_and_gradients_do_not_come_from_there():
    clean = torch.full((1, 3, 6, 6), 100.0, requires_grad=True)
    region = torch.zeros(1, 1, 6, 6, dtype=torch.bool)
    region[..., :2] = True
    space = Confined(5.0, region="left").around(clean.detach(), (0.0, 255.0), Limits(region))
    delivered = space.to_image(clean + 5)
    assert torch.equal(delivered - 100, torch.where(region, 5.0, 0.0).expand(1, 3, 6, 6))
    (gradient,) = torch.autograd.grad(delivered.sum(), clean)
    assert torch.equal(gradient, region.float().expand_as(gradient))


@pytest.mark.parametrize("lattice", [False, True])
def test_tied_channels_have_the_room_of_the_tightest(lattice):
    clean = torch.tensor([255.0, 254.0, 100.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2).clone()
    clean[..., 1] = 100.0
    limits = Limits(step=torch.ones(1).double())
    space = Confined(4.0, tied=True, lattice=lattice).around(clean, (0.0, 255.0), limits)
    change = space.to_image(space.move(clean, torch.ones_like(clean), 2.0)) - clean
    assert change[0, :, 0].tolist() == [[0.0, 4.0]] * 3
    change = space.to_image(space.move(clean, -torch.ones_like(clean), 2.0)) - clean
    assert change[0, :, 0].tolist() == [[-4.0, -4.0]] * 3


def test_channels_have_their_share():
    clean = torch.full((1, 3, 2, 2), 100.0)
    limits = Limits(step=torch.ones(1).double())
    for lattice, wanted in ((False, [4.0, 1.4, 0.0]), (True, [4.0, 1.0, 0.0])):
        space = Confined(4.0, channels=(1.0, 0.35, 0.0), lattice=lattice).around(clean, (0.0, 255.0), limits)
        change = space.to_image(space.move(clean, torch.ones_like(clean), 1.0)) - clean
        assert change[0, :, 0, 0].tolist() == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 2, 9, 7), (1, 1, 5, 6, 7)])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_smoothing_lengthens_no_change(shape, norm):
    for seed in range(20):
        change = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for sigma in (0.3, 1.0, 4.0):
            assert (lengths(smoothed(change, sigma), norm) <= lengths(change, norm) * (1 + 1e-12)).all()


def test_a_wide_smooth_change_reaches_the_whole_radius_and_a_narrow_one_does_not():
    clean = torch.full((1, 1, 41, 41), 100.0)
    space = Confined(4.0, smooth=2.0).around(clean, (0.0, 255.0))
    wide = space.to_image(clean + 4)
    assert float(wide.amax() - 100) == pytest.approx(4.0, abs=1e-4)
    point = clean.clone()
    point[..., 20, 20] += 4
    narrow = space.to_image(point) - clean
    assert float(narrow.amax()) < 0.2
    assert float(narrow.sum()) == pytest.approx(4.0, abs=1e-3)


@pytest.mark.parametrize(
    "confinement",
    [{"lattice": True}, {"region": "left"}, {"tied": True}, {"smooth": 1.5}, {"channels": (1.0, 0.5, 0.2)}],
    ids=str,
)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_step_along_the_gradient_through_the_delivery_rises(confinement, norm):
    generator = torch.Generator().manual_seed(0)
    clean = 100 + 50 * torch.rand(2, 3, 8, 8, generator=generator, dtype=torch.float64)
    region = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    region[..., :4] = True
    limits = Limits(region, torch.ones(2).double())
    space = Confined({"linf": 6.0, "l2": 40.0}[norm], norm, **confinement).around(clean, (0.0, 255.0), limits)
    for seed in range(10):
        slope = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        iterate = clean.clone().requires_grad_()
        before = (space.to_image(iterate) * slope).flatten(1).sum(1)
        (gradient,) = torch.autograd.grad(before.sum(), iterate)
        after = (space.to_image(space.move(clean, gradient, 1.0)) * slope).flatten(1).sum(1)
        assert (after > before).all()


def test_a_plain_confined_ball_is_the_ball():
    clean = torch.full((1, 1, 4, 4), 100.0)
    space, ball = (threat.around(clean, (0.0, 255.0)) for threat in (Confined(2.0), Linf(2.0)))
    assert type(space) is type(ball)
    assert torch.equal(space.sample(Streams([3])), ball.sample(Streams([3])))
    assert Confined(2.0).describe() == Linf(2.0).describe()


def test_words():
    threat = Confined((1.0, 2.0), "l2", True, "inside body", (1.0, 0.5, 0.5), smooth=1.5)
    assert threat.describe() == (
        "the change has a Euclidean length of at most 1 or 2, in whole stored steps, only inside body, "
        "with shares 1, 0.5, 0.5 of it by channel, smoothed by a Gaussian of 1.5 pixels"
    )
    assert Confined(1.0, tied=True).describe().endswith(", alike in all channels")


def steps(value, **more):
    return Limits(step=torch.full((2,), value, dtype=torch.float64), **more)


@pytest.mark.parametrize(
    ("threat", "limits", "text"),
    [
        (Confined(0.4, lattice=True), steps(1.0), "eps: 0.4 is below 1, the smallest change that the file can store"),
        (Confined(0.99, "l2", lattice=True), steps(1.0), "eps: 0.99 is below 1"),
        (Confined(1.5, "l1", lattice=True, tied=True), steps(1.0), "eps: 1.5 is below 3"),
        (Confined(1.5, lattice=True, channels=(0.5, 0.0, 0.0)), steps(1.0), "eps: 1.5 is below 2"),
        (Confined((2.0, 0.5), lattice=True), steps(1.0), "eps: 0.5 is below 1"),
        (Confined(2.0, lattice=True), None, "lattice: the images have no stored steps"),
        (Confined(2.0, lattice=True), steps(0.0), "step: stored values must differ"),
        (Confined(2.0, lattice=True), steps(1e-6), "step: 1e-06 is finer than torch.float32"),
        (Confined(2.0, lattice=True), steps(1.0, origin=torch.full((2,), 0.5)), "holds values that its file cannot"),
        (Confined(2.0, region="inside body"), steps(1.0), "region: no mask was given"),
        (
            Confined(2.0, region="body"),
            Limits(torch.ones(2, 1, 3, 4, dtype=torch.bool)),
            "region: a mask of torch.bool",
        ),
        (Confined(2.0, region="body"), Limits(torch.ones(2, 1, 4, 4)), "region: a mask of torch.float32"),
        (Confined(2.0, channels=(1.0, 0.5)), None, "channels: 2 shares were given, and the images have 3"),
    ],
)
def test_what_cannot_be_is_refused(threat, limits, text):
    with pytest.raises(InputError, match=f"^.*{text}"):
        threat.around(torch.full((2, 3, 4, 4), 100.0), (0.0, 255.0), limits)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"norm": "l0"}, "norm: 'l0' is not one of linf, l2, l1"),
        ({"eps": 0.0}, "eps: 0 must be a positive"),
        ({"smooth": -1.0}, "smooth: -1 must be"),
        ({"channels": (1.0, 1.2)}, "channels: .* must be shares from 0 to 1"),
        ({"channels": (0.0, 0.0)}, "one of them above 0"),
        ({"channels": (1.0, 0.5), "tied": True}, "tied channels have the same change"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, text):
    with pytest.raises(InputError, match=text):
        Confined(**{"eps": 2.0} | settings)


def test_the_highest_value_of_a_scaled_format_is_inside_its_bounds():
    """In float32, 0.1 * 4095 - 1024 lies above the bound that Python computes."""
    for name in ("tenths", "no multiple", "falling"):
        header = HEADERS[name]
        _, clean, _ = world(header)
        assert Linf(1.0).around(clean, header.bounds) is not None


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_step_that_no_channels_share_pays_for_is_refused_in_every_norm(norm: str) -> None:
    clean = torch.full((1, 2, 4, 4), 100.0)
    limits = Limits(step=torch.ones(1, dtype=torch.float64))
    with pytest.raises(InputError, match=r"eps: 1\.5 is below 2, the smallest change"):
        Confined(1.5, norm, lattice=True, channels=(0.5, 0.5)).around(clean, (0.0, 255.0), limits)
    space = Confined(2.0, norm, lattice=True, channels=(0.5, 0.5)).around(clean, (0.0, 255.0), limits)
    moved = clean.clone()
    moved[0, 0, 0, 0] += 2
    assert (space.to_image(moved) - clean).abs().sum() == 1, "one stored step is reached"
