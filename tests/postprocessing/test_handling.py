"""What happens to images: against Pillow and scipy themselves, inside the bounds, with the gradients that are said."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from palpate.audit.plan.identity import encode
from palpate.errors import InputError
from palpate.postprocessing import NAMES, known, parse
from palpate.postprocessing.codecs import Jpeg2000
from palpate.units import Scale
from tests.decoding import decode

EIGHT = Scale((0.0, 255.0), step=1.0, known=True)
UNIT = Scale((0.0, 1.0), step=1 / 255, known=True)
CT = Scale((-1024.0, 3071.0), unit="HU", step=1.0, window=(-160.0, 240.0), known=True)
XRAY = Scale((0.0, 65535.0), step=1.0, known=True)
FLOAT = Scale((-3.0, 5.0), step=None, known=True)
SCALES = {"8 bit": EIGHT, "unit": UNIT, "HU": CT, "16 bit": XRAY, "float": FLOAT}


def pictures(scale: Scale, *shape: int, seed: int = 0) -> torch.Tensor:
    """Smooth structures with some noise, over the whole range, both faces included."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).numpy()
    smooth = ndimage.gaussian_filter(noise, [0, 0] + [2] * (len(shape) - 2)) * 8 + noise * 0.1
    share = torch.from_numpy(smooth * 0.4 + 0.5).clamp(0, 1)
    return (scale.bounds[0] + share * scale.extent).float()


def usable(scale: Scale) -> list[str]:
    return [name for name in NAMES if scale.step or name != "rounded"]


CASES = [(title, name) for title, scale in SCALES.items() for name in usable(scale)]
SHAPES = [(2, 1, 24, 20), (2, 3, 24, 20), (1, 2, 9, 7), (2, 1, 3, 12, 10), (1, 3, 2, 12, 10), (1, 1, 1, 5)]


@pytest.mark.parametrize(("title", "name"), CASES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64], ids=str)
def test_every_handling_keeps_shape_bounds_and_type(
    title: str, name: str, shape: tuple[int, ...], kind: torch.dtype
) -> None:
    scale = SCALES[title]
    images = pictures(scale, *shape).to(kind)
    before = images.clone()
    handled = parse(name, scale)(images)
    assert handled.shape == images.shape and handled.dtype == images.dtype and not handled.requires_grad
    assert handled.min() >= scale.bounds[0] and handled.max() <= scale.bounds[1]
    assert torch.equal(images, before)
    assert torch.equal(parse(name, scale)(images), handled)
    for row in range(len(images)):
        assert torch.equal(parse(name, scale)(images[row : row + 1])[0], handled[row])


@pytest.mark.parametrize(("title", "name"), CASES)
def test_soft_has_the_same_values_and_a_finite_gradient(title: str, name: str) -> None:
    scale = SCALES[title]
    images = pictures(scale, 2, 3, 16, 18).requires_grad_()
    handling = parse(name, scale)
    soft = handling.soft(images)
    assert torch.equal(soft.detach(), handling(images))
    (gradient,) = torch.autograd.grad(soft.sum(), images)
    assert gradient.isfinite().all() and bool((gradient != 0).any())


@pytest.mark.parametrize("title", SCALES)
@pytest.mark.parametrize("name", ["8bit", "rounded"])
def test_rounding_is_idempotent(title: str, name: str) -> None:
    scale = SCALES[title]
    if not scale.step and name == "rounded":
        pytest.skip("floating point has no lattice")
    once = parse(name, scale)(pictures(scale, 2, 1, 32, 32))
    assert torch.equal(parse(name, scale)(once), once)


def test_eight_bit_images_become_whole_numbers() -> None:
    images = pictures(EIGHT, 1, 3, 32, 32)
    for name in ("8bit", "rounded"):
        assert torch.equal(parse(name, EIGHT)(images), images.round())


def test_every_number_of_eight_bits_comes_back_as_it_is_read() -> None:
    images = (torch.arange(256).float() / 255).reshape(1, 1, 16, 16)
    for name in ("8bit", "rounded"):
        assert torch.equal(parse(name, UNIT)(images), images)


def test_whole_hounsfield_units_are_kept_by_saving() -> None:
    images = torch.arange(-1024.0, 3072.0).reshape(1, 1, 64, 64)
    assert torch.equal(parse("rounded", CT)(images), images)
    assert torch.equal(parse("rounded", CT)(images + 0.4), images)


def test_an_export_cuts_the_window_and_has_256_levels() -> None:
    images = torch.linspace(-1024, 3071, 4096).reshape(1, 1, 64, 64)
    shown = parse("8bit", CT)(images)
    assert (shown.min(), shown.max()) == (-160, 240)
    assert len(shown.unique()) == 256
    inside = (images > -160) & (images < 240)
    assert (shown - images)[inside].abs().max() <= 400 / 255 / 2 + 1e-4


def test_another_window_stretches_what_it_shows() -> None:
    images = torch.tensor([-1000.0, -140.0, 40.0, 130.0, 220.0, 900.0]).reshape(1, 1, 2, 3)
    seen = parse("rewindow", CT)(images).flatten()
    # 0.9 of 400 HU about 40 HU is -140 to 220; what lies between is drawn out to -160 to 240.
    expected = torch.tensor([-160.0, -160.0, 40.0, 140.0, 240.0, 240.0])
    assert (seen - expected).abs().max() <= 400 / 255 / 2 + 1e-4
    wider = parse("rewindow1.2", CT)(images).flatten()
    assert abs(float(wider[3]) - (40 + 90 / 1.2)) <= 400 / 255 / 2 + 1e-4


@pytest.mark.parametrize("quality", [1, 75, 90, 100])
def test_jpeg_is_that_of_pillow(quality: int) -> None:
    images = pictures(EIGHT, 2, 3, 40, 32)
    handled = parse(f"jpeg{quality}", EIGHT)(images)
    for image, result in zip(images, handled, strict=True):
        file = io.BytesIO()
        Image.fromarray(image.round().byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
        assert torch.equal(result, torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float())


def test_jpeg_of_grey_volumes_goes_plane_by_plane_over_the_window() -> None:
    images = pictures(CT, 1, 1, 3, 24, 16)
    handled = parse("jpeg75", CT)(images)
    for plane in range(3):
        file = io.BytesIO()
        shown = ((images[0, 0, plane].double() + 160) / 400 * 255).round().clamp(0, 255).byte()
        Image.fromarray(shown.numpy()).save(file, "JPEG", quality=75)
        expected = torch.from_numpy(np.array(Image.open(file))).double() / 255 * 400 - 160
        assert torch.allclose(handled[0, 0, plane].double(), expected, atol=1e-4)


def test_jpeg_2000_compresses_sixteen_bits_as_such() -> None:
    images = parse("rounded", XRAY)(pictures(XRAY, 1, 1, 48, 40))
    file = io.BytesIO()
    stored = Image.fromarray(images[0, 0].numpy().astype(np.uint16))
    stored.save(file, "JPEG2000", quality_mode="rates", quality_layers=[20], irreversible=True)
    expected = np.array(Image.open(file)).astype(np.float32)
    handled = parse("jpeg2000-20", XRAY)(images)
    assert np.array_equal(handled[0, 0].numpy(), expected)
    # 8 bits have a 256th of these levels.
    assert len(handled.unique()) > 256


def test_jpeg_2000_ignores_the_window_of_stored_numbers() -> None:
    images = parse("rounded", CT)(pictures(CT, 1, 1, 48, 40))
    handled = parse("jpeg2000", CT)(images)
    assert handled.min() < -160 and handled.max() > 240
    assert torch.equal(handled, handled.round())
    assert Jpeg2000(CT).describe() == "JPEG 2000 at ratio 10, from 16 bits of stored numbers"
    assert parse("jpeg2000", EIGHT).describe() == "JPEG 2000 at ratio 10, from 8 bits of 0 to 255"


@pytest.mark.parametrize(("name", "factor"), [("half", 0.5), ("resample0.75", 0.75)])
@pytest.mark.parametrize("side", [(32, 40), (31, 27)])
def test_resampling_is_that_of_pillow(name: str, factor: float, side: tuple[int, int]) -> None:
    images = pictures(FLOAT, 1, 1, *side)
    coarse = (round(side[1] * factor), round(side[0] * factor))
    picture = Image.fromarray(images[0, 0].numpy()).resize(coarse, Image.Resampling.BILINEAR)
    expected = np.array(picture.resize((side[1], side[0]), Image.Resampling.BILINEAR))
    assert np.allclose(parse(name, FLOAT)(images)[0, 0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("sigma", [0.5, 1, 2.5])
@pytest.mark.parametrize("shape", [(1, 2, 20, 17), (1, 1, 9, 14, 11), (1, 1, 3, 4)], ids=str)
def test_smoothing_is_that_of_scipy(sigma: float, shape: tuple[int, ...]) -> None:
    images = pictures(FLOAT, *shape).double()
    expected = ndimage.gaussian_filter(images.numpy(), [0, 0] + [sigma] * (len(shape) - 2), mode="reflect", truncate=4)
    assert np.allclose(parse(f"blur{sigma:g}", FLOAT)(images).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["half", "resample0.75", "blur1"])
def test_linear_handling_has_its_exact_gradient(name: str) -> None:
    scale = Scale((-100.0, 100.0), step=None)
    # Halved: at the bounds a difference quotient would measure the bounds.
    images = (pictures(scale, 1, 1, 7, 6).double() / 2).requires_grad_()
    assert torch.autograd.gradcheck(parse(name, scale).soft, images)


def test_the_gradient_goes_straight_through_a_codec_and_stops_where_the_window_cuts() -> None:
    images = torch.tensor([-500.0, -100.0, 0.0, 100.0, 500.0, 239.0]).reshape(1, 1, 2, 3).requires_grad_()
    pull = torch.tensor([1.0, 2.0, -3.0, 4.0, 5.0, 6.0]).reshape(1, 1, 2, 3)
    inside = torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0, 1.0]).reshape(1, 1, 2, 3)
    for name in ("8bit", "jpeg75"):
        (gradient,) = torch.autograd.grad((parse(name, CT).soft(images) * pull).sum(), images)
        assert torch.equal(gradient, pull * inside)
    for name in ("jpeg2000", "rounded"):
        (gradient,) = torch.autograd.grad((parse(name, CT).soft(images) * pull).sum(), images)
        assert torch.equal(gradient, pull)
    (gradient,) = torch.autograd.grad((parse("rewindow", CT).soft(images) * pull).sum(), images)
    assert torch.allclose(gradient, pull * torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 2, 3) / 0.9)


def test_smoothing_at_the_bounds_stays_inside_and_keeps_its_gradient() -> None:
    images = torch.full((1, 1, 12, 12), 255.0, requires_grad=True)
    soft = parse("blur1", EIGHT).soft(images)
    assert soft.max() <= 255
    (gradient,) = torch.autograd.grad(soft.sum(), images)
    assert torch.allclose(gradient, torch.ones_like(gradient))


def test_names_are_read_back() -> None:
    for name in (*NAMES, "jpeg1", "jpeg100", "jpeg2000-7.5", "resample0.25", "rewindow1.2", "blur0.5"):
        handling = parse(name, EIGHT)
        assert handling.name == name
        assert handling == parse(handling.name, EIGHT) and hash(handling) == hash(parse(name, EIGHT))
        assert decode(encode(handling)) == handling
        assert len(handling.describe()) > 5
    assert parse("resample0.5", EIGHT) == parse("half", EIGHT)
    assert len(known()) == len({form for form, _ in known()})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("jpg75", "Did you mean 'jpeg75'?"),
        ("blurr", "Did you mean 'blur1'?"),
        ("zip", "Known are: 8bit"),
        ("", "Known are"),
        ("jpeg0", "from 1 to 100"),
        ("jpeg101", "from 1 to 100"),
        ("jpeg7٥", "is not a post-processing step"),
        ("blur0", "above 0"),
        ("blur99", "at most 32"),
        ("resample1.5", "between 0 and 1"),
        ("resample0", "between 0 and 1"),
        ("rewindow1", "that is 8bit"),
        ("rewindow9", "between 0.1 and 4"),
        ("jpeg2000-1", "above 1"),
    ],
)
def test_what_is_no_handling_is_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("?", r"\?")):
        parse(name, EIGHT)


def test_floating_point_cannot_be_rounded_to_a_lattice() -> None:
    with pytest.raises(InputError, match="no steps to round"):
        parse("rounded", FLOAT)


def test_a_plane_larger_than_a_jpeg_is_refused() -> None:
    with pytest.raises(InputError, match="larger than a JPEG"):
        parse("jpeg75", EIGHT)(torch.zeros(1, 1, 1, 65536))
