"""Endoscopy: blur, smoke, vignetting, reflections and colour against closed forms, kornia, scipy and Pillow."""

import math

import kornia.filters
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy import constants
from scipy.ndimage import convolve, gaussian_filter

from palpate.artefacts import apply
from palpate.artefacts.catalog import make
from palpate.artefacts.light.reflections import bubble

GREY = 40.0


def made(name: str, image: torch.Tensor, severity: float | None = None, **parameters: float) -> torch.Tensor:
    names = {key.replace("_", " "): value for key, value in parameters.items()}
    return apply(name, image[None], bounds=(0, 255), severity=severity, parameters=names).images[0]


def smooth(channels: int = 1, size: int = 96, seed: int = 0) -> torch.Tensor:
    noise = np.random.default_rng(seed).normal(size=(channels, size, size))
    field = gaussian_filter(noise, (0, 2.5, 2.5))
    return torch.from_numpy(128 + 30 * field / field.std()).clamp(10, 245)


def point(width: float = 1.5, size: int = 129) -> torch.Tensor:
    """A small spot in the middle of grey."""
    spot = gaussian_filter(np.pad([[1.0]], size // 2), width)
    return torch.from_numpy(GREY + 100 * spot / spot.max())[None]


def moments(image: torch.Tensor) -> tuple[float, float]:
    """Variances of a point's light along height and width, in pixels."""
    light = image[0] - GREY
    weight = (light / light.sum()).numpy()
    axes = np.indices(weight.shape)
    means = [(weight * axis).sum() for axis in axes]
    down, right = ((weight * (axis - mean) ** 2).sum() for axis, mean in zip(axes, means, strict=True))
    return down, right


@pytest.mark.parametrize("angle", [0, 90, 30, 135])
def test_motion_blur_is_that_of_kornia(angle: int) -> None:
    image, length = smooth(), 9
    expected = kornia.filters.motion_blur(image[None], length, float(angle), 0.0, "reflect", "bilinear")[0]
    blurred = made("motion-blur", image, length=length / 96, direction=angle)
    inside = (..., slice(8, -8), slice(8, -8))
    distance = (blurred - expected)[inside].abs().mean()
    # The other direction is far away.
    across = made("motion-blur", image, length=length / 96, direction=(angle + 90) % 180)
    assert float(distance) < 0.5
    assert float((across - expected)[inside].abs().mean()) > 2


def test_defocus_is_a_convolution_with_a_disc() -> None:
    image, diameter = smooth(size=128), 6
    fine = (np.arange(-4.5, 4.5, 1 / 16) + 1 / 32) ** 2
    inside = fine[:, None] + fine[None] <= (diameter / 2) ** 2
    kernel = inside.reshape(9, 16, 9, 16).mean((1, 3))
    expected = convolve(image[0].numpy(), kernel / kernel.sum(), mode="mirror")
    # Pixels of the kernel are squares, which blur by 1/12 more: little here.
    blurred = made("defocus", image, diameter=diameter / 128)
    assert np.abs(blurred[0].numpy() - expected)[8:-8, 8:-8].max() < 1.0
    assert float((blurred - image).abs().max()) > 20


@pytest.mark.parametrize("diameter", [3.3, 5.0, 6.4])
def test_a_point_out_of_focus_keeps_its_light_and_has_the_variance_of_a_disc(diameter: float) -> None:
    spot = point()
    blurred = made("defocus", spot, diameter=diameter / 129)
    assert float(blurred.sum()) == pytest.approx(float(spot.sum()), rel=1e-6)
    before, after = moments(spot), moments(blurred)
    for axis in range(2):
        assert after[axis] - before[axis] == pytest.approx(diameter**2 / 16, rel=0.02)


def test_a_moving_point_keeps_its_light_and_has_the_variance_of_a_line() -> None:
    spot = point()
    blurred = made("motion-blur", spot, length=12 / 129, direction=90)
    assert float(blurred.sum()) == pytest.approx(float(spot.sum()), rel=1e-6)
    (down, right), before = moments(blurred), moments(spot)
    assert down - before[0] == pytest.approx(12**2 / 12, rel=0.02)
    assert right == pytest.approx(before[1], rel=1e-2)


def test_colours_are_taken_from_a_step_before_and_behind() -> None:
    image = smooth(3, size=200)
    apart = made("sequential-colour", image, step=3 / 200, direction=0.0).numpy()
    clean = image.numpy()
    assert (apart[1] == clean[1]).all()
    assert np.allclose(apart[0, :, :-3], clean[0, :, 3:]) and np.allclose(apart[2, :, 3:], clean[2, :, :-3])
    up = made("sequential-colour", image, step=3 / 200, direction=90.0).numpy()
    assert np.allclose(up[0, 3:], clean[0, :-3]) and np.allclose(up[2, :-3], clean[2, 3:])


@pytest.mark.parametrize("name", ["defocus", "motion-blur", "sequential-colour"])
def test_a_black_frame_stays_sharp_and_does_not_darken_the_view(name: str) -> None:
    image = smooth(3)
    image[..., :30] = 3
    even = image.clone()
    even[..., 30:] = 100
    blurred = apply(name, torch.stack([image, even]), bounds=(0, 255), severity=5).images
    assert torch.equal(blurred[..., :30], torch.stack([image, even])[..., :30])
    assert torch.allclose(blurred[1], even)
    assert float((blurred[0] - image).abs().max()) > 20


@pytest.mark.parametrize("name", ["smoke", "lens-particles", "droplets", "bubbles", "specular-highlights"])
def test_nothing_shines_in_a_black_frame(name: str) -> None:
    image = smooth(3)
    image[..., :40] = 3
    made_of = apply(name, image.expand(4, -1, -1, -1), bounds=(0, 255), severity=5).images
    assert float(made_of[..., :38].max()) <= 4
    assert float((made_of - image)[..., 40:].abs().max()) > 20


def test_a_dark_lumen_is_no_frame() -> None:
    image = torch.full((1, 64, 64), 120.0, dtype=torch.float64)
    image[:, 20:40, 20:40] = 2
    assert float((made("defocus", image, severity=5) - image).abs().max()) > 40


def test_smoke_obeys_the_law_of_koschmieder() -> None:
    dim, bright = (torch.full((3, 64, 80), value, dtype=torch.float64) for value in (100.0, 150.0))
    one = {"light_of_the_smoke": 0.8, "realisation": 40.0}
    transmission = (made("smoke", bright, optical_depth=0.5, **one) - made("smoke", dim, optical_depth=0.5, **one)) / 50
    twice = (made("smoke", bright, optical_depth=1.0, **one) - made("smoke", dim, optical_depth=1.0, **one)) / 50
    # Two layers pass the product, whatever the density is, and dense smoke has its own colour.
    assert torch.allclose(twice, transmission**2)
    smoke = (made("smoke", dim, optical_depth=0.5, **one) - dim * transmission) / (1 - transmission)
    assert torch.allclose(smoke, torch.full_like(smoke, 0.8 * 255))
    depth = -transmission.log()
    assert 0.3 < float(depth.mean()) < 0.8 and float(depth.std()) > 0.1


def test_light_falls_with_the_fourth_power_of_the_cosine() -> None:
    even = torch.full((1, 60, 80), 200.0, dtype=torch.float64)
    gain = made("vignetting", even, angle=40.0, axis_from_the_top=0.5, axis_from_the_left=0.5)[0].numpy() / 200
    down, right = np.indices((60, 80)) + 0.5
    distance = np.hypot(down - 30, right - 40) / 50
    angles = np.arctan(distance * np.tan(np.radians(40)))
    assert np.allclose(gain, np.cos(angles) ** 4, atol=1e-9)


def test_highlights_add_white_light_and_saturate_and_leave_the_dark_dark() -> None:
    image = torch.full((3, 96, 96), 100.0, dtype=torch.float64) * torch.tensor([1.0, 0.7, 0.5]).reshape(3, 1, 1)
    image[..., 48:] = 0
    places = {f"{group}_from_the_{side}": 0.5 for group in ("first_group", "second_group", "third_group")
              for side in ("top", "left")} | {"second_group_from_the_left": 0.9}  # fmt: skip
    lit = made("specular-highlights", image, diameter=0.09, light=1.1, elongation=1.0, direction=0.0, **places)
    added = lit - image
    assert float(added.min()) >= 0 and float(lit.max()) == 255
    below_white = (lit < 255).all(0)
    assert torch.allclose(added[0][below_white], added[2][below_white])
    assert not bool(added[..., 60:].any())


def test_long_highlights_lie_along_their_direction() -> None:
    image = torch.full((1, 128, 128), GREY, dtype=torch.float64)
    places = {f"{group}_from_the_{side}": 0.5 for group in ("first_group", "second_group", "third_group")
              for side in ("top", "left")}  # fmt: skip
    how = {"diameter": 0.09, "light": 0.25, "elongation": 3.0}
    spread = {angle: moments(made("specular-highlights", image, direction=angle, **how, **places))
              for angle in (0.0, 90.0)}  # fmt: skip
    assert spread[0.0][1] > 1.1 * spread[90.0][1] and spread[90.0][0] > 1.1 * spread[0.0][0]


def test_the_rim_of_a_bubble_is_where_water_reflects_all() -> None:
    distance = torch.linspace(0, 2, 2001, dtype=torch.float64)
    # Along the diagonal away from the lamp's image.
    ring, inside = bubble(distance / math.sqrt(2), distance / math.sqrt(2), torch.tensor(1.0), 1e-3)
    critical = math.sin(math.asin(1 / 1.33))
    brightest = float(distance[ring.argmax()])
    assert critical < brightest < 1
    bright = distance[ring > ring.max() / math.e]
    assert float(bright.min()) == pytest.approx(critical, abs=0.01) and float(bright.max()) == pytest.approx(
        1, abs=0.01
    )
    assert float(ring[distance > 1.4].max()) < 1e-6 and float(inside[distance > 1.4].max()) < 1e-3


def test_bubbles_finer_than_a_pixel_are_as_faint_as_they_are_small() -> None:
    offsets = torch.arange(-8, 9, dtype=torch.float64)
    light, taken = zip(*(bubble(offsets[:, None], offsets[None] + 0.3, torch.tensor(radius), 0.5)
                         for radius in (0.02, 0.04)), strict=True)  # fmt: skip
    for kind in (light, taken):
        assert float(kind[1].sum() / kind[0].sum()) == pytest.approx(4, rel=0.2)


def test_the_strongest_cast_is_a_lamp_of_4000_kelvin() -> None:
    def planck(nanometres: float, kelvin: float) -> float:
        wave = nanometres * 1e-9
        return 1 / (wave**5 * math.expm1(constants.h * constants.c / (wave * constants.k * kelvin)))

    red, green, blue = (math.log(planck(wave, 4000) / planck(wave, 6500)) for wave in (610, 540, 465))
    levels = [parameter.levels[-1] for parameter in make("colour-cast").parameters]
    assert levels == pytest.approx([red - green, green - blue], abs=0.03)
    grey = torch.full((3, 4, 4), 100.0, dtype=torch.float64)
    warm = made("colour-cast", grey, red_against_green=red - green - 0.02, blue_against_green=blue - green + 0.02)
    ratio = planck(610, 4000) / planck(610, 6500) / (planck(540, 4000) / planck(540, 6500))
    assert float(warm[0, 0, 0] / warm[1, 0, 0]) == pytest.approx(ratio * math.exp(-0.02))


@pytest.mark.parametrize("change", [-0.5, -0.2, 0.4])
def test_saturation_is_that_of_pillow(change: float) -> None:
    image = smooth(3).round()
    picture = Image.fromarray(image.byte().permute(1, 2, 0).numpy())
    expected = np.asarray(ImageEnhance.Color(picture).enhance(1 + change)).transpose(2, 0, 1)
    assert np.abs(made("colour-saturation", image, change=change).numpy() - expected).max() <= 1.5
