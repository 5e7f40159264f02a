"""Artefacts of any image against Pillow, scipy, and statistics."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy import ndimage
from scipy.fft import dctn

from palpate.artefacts import apply
from palpate.artefacts.artefact import Scene
from palpate.artefacts.general import own_range


def picture(channels: int = 1, height: int = 64, width: int = 80, seed: int = 0) -> torch.Tensor:
    noise = np.random.default_rng(seed).normal(size=(channels, height, width))
    field = ndimage.gaussian_filter(noise, (0, 2, 2))
    return torch.from_numpy(128 + 40 * field / field.std()).clamp(0, 255).round()


def made(name: str, image: torch.Tensor, bounds: tuple[float, float] = (0, 255), seed: int = 0, **values: float):
    names = {key.replace("_", " "): value for key, value in values.items()}
    return apply(name, image[None], bounds=bounds, parameters=names, seed=seed).images[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_of_8_bits_is_that_of_pillow(channels: int) -> None:
    image = picture(channels)
    pixels = image.byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "JPEG", quality=30)
    expected = np.array(Image.open(file)).reshape(pixels.shape)
    assert np.array_equal(made("jpeg", image, loss=70.0).permute(1, 2, 0).numpy(), expected)


def test_blocks_of_a_jpeg_are_multiples_of_its_table() -> None:
    # At quality 10 the first entries of the standard's table (16, 11, 10) are multiplied by 5.
    blocks = made("jpeg", picture(), loss=90.0)[0].numpy().reshape(8, 8, 10, 8).swapaxes(1, 2) - 128
    coefficients = dctn(blocks, axes=(2, 3), norm="ortho")
    for place, step in (((0, 0), 80), ((0, 1), 55), ((0, 2), 50)):
        rest = coefficients[(..., *place)] / step
        assert np.abs(rest - rest.round()).max() < 0.12
    clean = dctn(picture()[0].numpy().reshape(8, 8, 10, 8).swapaxes(1, 2) - 128, axes=(2, 3), norm="ortho")
    rest = clean[..., 0, 0] / 80
    assert np.abs(rest - rest.round()).max() > 0.3


def test_jpeg_of_other_values_is_scaled_to_8_bits_and_back() -> None:
    image = picture()
    image[0, 0, :2] = torch.tensor([0.0, 255.0])
    units = image * 10 - 1000
    change = made("jpeg", units, (-1024, 3071), loss=70.0) - units
    assert torch.allclose(change, 10 * (made("jpeg", image, loss=70.0) - image))


def test_slices_of_a_volume_are_saved_one_by_one() -> None:
    volume = torch.stack([picture(seed=seed)[0] for seed in range(3)])[None]
    whole = made("jpeg", volume, loss=70.0)
    for place in range(3):
        assert torch.equal(whole[:, place], made("jpeg", volume[:, place], loss=70.0))


@pytest.mark.parametrize("factor", [2.0, 3.2, 5.0])
def test_resolution_is_lost_as_by_pillow(factor: float) -> None:
    image = picture(height=64, width=80)
    one = Image.fromarray(image[0].float().numpy())
    small = one.resize((round(80 / factor), round(64 / factor)), Image.Resampling.BILINEAR)
    expected = np.asarray(small.resize((80, 64), Image.Resampling.BILINEAR))
    assert np.abs(made("resolution", image, factor=factor)[0].numpy() - expected).max() < 0.1


@pytest.mark.parametrize("change", [-0.6, 0.3])
def test_contrast_is_that_of_pillow(change: float) -> None:
    image = picture()
    expected = ImageEnhance.Contrast(Image.fromarray(image[0].byte().numpy())).enhance(1 + change)
    assert np.abs(made("contrast", image, change=change)[0].numpy() - np.asarray(expected)).max() <= 1.5


def test_noise_is_white_and_as_strong_as_it_says() -> None:
    image = picture(height=128, width=128)
    noise = made("noise", image, (-1000, 1000), standard_deviation=0.05, realisation=77.0) - image
    low, high = np.percentile(image.numpy(), [1, 99])
    assert float(noise.std()) == pytest.approx(0.05 * (high - low), rel=0.03)
    power = np.abs(np.fft.fft2(noise[0].numpy())) ** 2
    inner, outer = power[:32, :32].mean(), power[32:64, 32:64].mean()
    assert inner == pytest.approx(outer, rel=0.15)


def test_the_range_is_that_of_the_image_and_not_of_what_can_be_stored() -> None:
    image, scene = picture(), Scene((-32768.0, 32767.0))
    assert own_range(image, scene) == pytest.approx(np.subtract(*np.percentile(image.numpy(), [99, 1])))
    assert own_range(torch.full((1, 4, 4), 3.0), scene) == 65535


@pytest.mark.parametrize("axes", [2, 3])
def test_position_turns_and_shifts_as_scipy_does(axes: int) -> None:
    image = picture(height=64, width=64)
    whole = image if axes == 2 else image[:, None].repeat(1, 3, 1, 1)
    still = {"rotation": 0.0, "shift_down": 0.0, "shift_right": 0.0}
    turned = made("position", whole, **still | {"rotation": 8.0})
    shifted = made("position", whole, **still | {"shift_down": 2 / 64, "shift_right": -3 / 64})
    # scipy turns against the clock.
    expected = ndimage.rotate(image[0].numpy(), -8.0, reshape=False, order=1, mode="nearest")
    inside = slice(8, -8)
    for one in turned.reshape(-1, 64, 64):
        assert np.abs(one.numpy() - expected)[inside, inside].max() < 1e-6
    for one in shifted.reshape(-1, 64, 64):
        moved = ndimage.shift(image[0].numpy(), (2, -3), order=1, mode="nearest")
        assert np.abs(one.numpy() - moved)[inside, inside].max() < 1e-6
