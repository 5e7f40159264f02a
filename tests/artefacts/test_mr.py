"""Artefacts of MR against closed forms and computations of numpy and scipy."""

import numpy as np
import pytest
import torch
from scipy.stats import rice

from palpate.artefacts.catalog import make, of_modality
from palpate.artefacts.mr.motion import posed
from tests.artefacts.scenes import blobs, made

ORDER = 3


def spots(shape, pixel, degrees=0.0, down=0.0, right=0.0):
    """Normal spots in closed form, turned about the centre and then shifted in mm."""
    y, x = ((np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, pixel, strict=True))
    y, x = y[:, None] - down, x[None, :] - right
    turn = np.deg2rad(degrees)
    # Back to the pose before.
    x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    return sum(a * np.exp(-((x - u) ** 2 / s + (y - v) ** 2 / (2 * s))) for a, u, v, s in
               ((3, 5, -6, 6.0), (2, -9, 4, 5.0), (1.5, 2, 11, 7.0)))  # fmt: skip


@pytest.mark.parametrize(("axis", "shape"), [(0, (64, 60)), (1, (63, 64))])
def test_motion_takes_each_line_of_k_space_from_the_pose_of_its_time(axis, shape):
    pixel = (1.0, 1.25)
    poses = {"before": (7.0, 3.0, -2.0), "after": (-4.0, -5.0, 6.0)}
    given = {f"{kind}_{name}": value for name, pose in poses.items()
             for kind, value in zip(("rotation", "shift_down", "shift_right"), pose, strict=True)}  # fmt: skip
    size = shape[axis]
    first, last = 17, 20
    image = torch.tensor(spots(shape, pixel))[None]
    result = made("mr-motion", image, spacing=pixel, moved_share=(first + last) / size, split=first / (first + last),
                  phase_axis=axis, **given)  # fmt: skip
    now, before, after = (np.fft.fftshift(np.fft.fft2(spots(shape, pixel, *pose)), axes=axis).swapaxes(0, axis)
                          for pose in ((0, 0, 0), *poses.values()))  # fmt: skip
    mixed = np.stack([before[k] if k < first else after[k] if k >= size - last else now[k] for k in range(size)])
    expected = np.abs(np.fft.ifft2(np.fft.ifftshift(mixed.swapaxes(0, axis), axes=axis)))
    np.testing.assert_allclose(result[0].numpy(), expected, atol=4e-4)
    # Parseval: the image has the energy of the lines that it is made of.
    np.testing.assert_allclose(result.square().sum(), (np.abs(mixed) ** 2).sum() / image.numel(), rtol=1e-4)


def test_another_pose_has_the_same_energy_and_turns_back_without_loss():
    for shape in ((1, 31, 40), (2, 6, 24, 17)):
        values = torch.rand(shape, dtype=torch.float64)
        pose = torch.tensor([[9.0, 4.3, -7.1]], dtype=torch.float64)
        other = posed(values, pose, (1.0, 0.8))
        np.testing.assert_allclose(other.square().sum(), values.square().sum(), rtol=1e-12, atol=0)
        still = posed(values, torch.zeros(1, 3, dtype=torch.float64), (1.0, 0.8))[0]
        np.testing.assert_allclose(still, values, rtol=0, atol=1e-12)


def test_without_spacing_motion_is_refused():
    assert make("mr-motion").needs == {"spacing"}


@pytest.mark.parametrize("ghosts", [4, 6, 8])
def test_ghosts_of_a_point_are_at_multiples_of_the_size_over_their_number(ghosts):
    size, place = 48, 10
    image = torch.zeros(1, 4, size, dtype=torch.float64)
    image[0, 2, place] = 1
    result = made("ghosting", image, strength=0.8, ghosts=ghosts - 4, first_line=1.5 / ghosts, phase_axis=1)[0, 2]
    where = sorted((place + np.arange(ghosts) * size // ghosts) % size)
    assert result.gt(1e-9).nonzero().flatten().tolist() == where
    np.testing.assert_allclose(result[place], 1 - 0.8 / ghosts)
    np.testing.assert_allclose(np.delete(result[where].numpy(), where.index(place)), 0.8 / ghosts)


def test_ghosting_keeps_the_zero_frequency():
    image = 5 + blobs(40, 30)[None]
    result = made("ghosting", image, strength=1, ghosts=2, first_line=0.01, phase_axis=0)
    assert not torch.allclose(result, image, rtol=1e-3)
    np.testing.assert_allclose(result.mean(), image.mean(), rtol=1e-5, atol=0)


def test_a_spike_is_one_pair_of_points_in_k_space():
    image = blobs(32, 40)[None]
    # 3 periods along the height and 4 along the width.
    down, right = 3 / 32, 4 / 40
    result = made("spikes", image, size=0.7, frequency=np.hypot(down, right), angle=np.rad2deg(np.arctan2(down, right)),
                  phase=30)  # fmt: skip
    change = np.fft.fft2((result - image)[0].numpy())
    found = np.argwhere(np.abs(change) > 1e-6 * np.abs(change).max()).tolist()
    assert found == [[3, 4], [29, 36]]
    expected = 0.7 * (image - image.min()).sum().item() / 2 * np.exp(1j * np.deg2rad(30))
    np.testing.assert_allclose([change[3, 4], change[29, 36]], [expected, expected.conj()], rtol=1e-9)


def monomials(shape, order):
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    powers = [p for p in np.ndindex(*([order + 1] * len(shape))) if sum(p) <= order]
    return np.stack([np.prod([a**p for a, p in zip(axes, one, strict=True)], axis=0).ravel() for one in powers], 1)


@pytest.mark.parametrize("shape", [(20, 17), (8, 9, 10)])
def test_the_logarithm_of_a_bias_field_is_a_polynomial_of_order_3(shape):
    image = torch.rand(1, *shape, dtype=torch.float64) + 0.5
    image[(0,) * image.ndim] = 0
    given = {"share_of_right2_down1": -0.7, "share_of_right0_down3": 0.9, "share_of_right1_down0": 0.4}
    result = made("bias-field", image, largest_log_gain=0.45, **given)
    inside = image.numpy().ravel() > 0
    log = np.log((result / image).numpy().ravel()[inside])
    left = [np.abs(log - (basis := monomials(shape, order)[inside]) @ np.linalg.lstsq(basis, log)[0]).max()
            for order in (ORDER, ORDER - 1)]  # fmt: skip
    assert left[0] < 1e-10 and left[1] > 1e-2
    assert np.isclose(np.abs(log).max(), 0.45, atol=0.02) and np.abs(log).max() <= 0.45 + 1e-9


def test_gibbs_is_a_truncated_k_space():
    image = torch.rand(1, 24, 31, dtype=torch.float64)
    for axis, kept in ((0, (4, 99)), (1, (99, 4)), (2, (4, 4))):
        missing = 1 - 4 / 12 if axis != 1 else 1 - 4 / 15.5
        both = image.clone()
        result = made("gibbs", both, missing=missing, axis=axis)[0]
        values = image[0].numpy() - image.min().item()
        k = [np.abs(np.fft.fftfreq(n, 1 / n)) for n in values.shape]
        # The line after the last whole one is kept by a share.
        mask = [np.clip(edge + 1 - one, 0, 1) for edge, one in zip(kept, k, strict=True)]
        if axis == 2:
            mask[1] = np.clip(4 / 12 * 15.5 + 1 - k[1], 0, 1)
        expected = np.abs(np.fft.ifft2(np.fft.fft2(values) * mask[0][:, None] * mask[1])) + image.min().item()
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-12)


def test_gibbs_overshoots_a_step_by_nine_percent():
    step = torch.zeros(1, 2, 1024, dtype=torch.float64)
    step[..., 256:768] = 1
    ringing = made("gibbs", step, missing=0.8, axis=1)[0, 0]
    # The integral of sin(t) / t up to pi, over pi, less a half.
    assert float(ringing.max()) - 1 == pytest.approx(0.0895, abs=0.003)


def test_noise_of_the_magnitude_is_rician():
    image = torch.full((1, 300, 300), 40.0, dtype=torch.float64)
    image[:, :150] = 0
    image[:, -10:] = 100
    result = made("rician-noise", image, standard_deviation=0.2, realisation=77)[0].numpy()
    sigma = 0.2 * 100
    for part, level in ((result[:150], 0.0), (result[150:290], 40.0)):
        mean, variance = rice.stats(level / sigma, scale=sigma, moments="mv")
        assert part.mean() == pytest.approx(mean, rel=0.01)
        assert part.var() == pytest.approx(variance, rel=0.03)
    assert result[:150].mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)


def test_thick_slices_are_means_of_blocks_with_lines_between_them():
    values = np.random.default_rng(0).random((32, 5))
    result = made("anisotropy", torch.tensor(values)[None], thickness=4, first_slice=0.5, axis=0)[0]
    means = values.reshape(8, 4, 5).mean(1)
    expected = [np.interp(np.arange(32) + 0.5, np.arange(8) * 4 + 2, means[:, column]) for column in range(5)]
    np.testing.assert_allclose(result.numpy(), np.stack(expected, 1), atol=1e-12)


def test_thick_slices_go_along_each_axis_of_a_volume():
    volume = torch.rand(1, 12, 12, 12, dtype=torch.float64)
    for choice, axis in ((0, 2), (1, 3), (2, 1)):
        turned = made("anisotropy", volume.movedim(axis, 2), thickness=3, axis=0)
        np.testing.assert_allclose(
            made("anisotropy", volume, thickness=3, axis=choice), turned.movedim(2, axis), atol=1e-12
        )


def test_what_is_outside_of_the_field_of_view_folds_over():
    values = np.random.default_rng(0).random((20, 6))
    values[0, 0] = 0
    result = made("wrap-around", torch.tensor(values)[None], missing=0.3, phase_axis=0)[0]
    padded = np.pad(values, ((20, 20), (0, 0)))
    expected = sum(np.roll(padded, shift, axis=0) for shift in (-14, 0, 14))[20:40]
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("name", [entry.name for entry in of_modality("mr") if entry.modalities == ("mr",)])
def test_values_have_no_unit(name):
    image = blobs(24, 20)[None]
    strengths = {p.name.replace(" ", "_"): p.level(4) for p in make(name).parameters if p.levels is not None}
    if name == "bias-field":
        strengths["share_of_right1_down0"] = 1
    plain, other = (made(name, x, spacing=(1.0, 1.0), **strengths) for x in (image, image * 7 - 300))
    assert not torch.allclose(plain, image, rtol=1e-3)
    np.testing.assert_allclose(other, plain * 7 - 300, rtol=0, atol=1e-9)


def test_a_grey_image_stored_in_colours_stays_grey():
    grey = (blobs(24, 20) * 50)[None].repeat(3, 1, 1)
    result = made("rician-noise", grey, standard_deviation=0.2)
    assert bool((result == result[:1]).all()) and not torch.equal(result, grey)
    sequences = torch.stack([grey[0], grey[0] / 2])
    change = made("rician-noise", sequences, standard_deviation=0.2) - sequences
    assert abs(float(torch.corrcoef(change.flatten(1))[0, 1])) < 0.3
