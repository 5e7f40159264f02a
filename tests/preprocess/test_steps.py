"""Every step against its plain counterpart, its gradient, and what it refuses."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.autograd import gradcheck

from palpate.errors import InputError
from palpate.preprocess import (
    CentreCrop,
    Clip,
    CropToBody,
    Invert,
    Normalise,
    Pad,
    PerImage,
    Reorder,
    Resample,
    Rescale,
    Resize,
    Step,
    ToRGB,
    Window,
)

EVERY = (
    (Rescale(2.0, -1024.0), 2),
    (Window(-40.0, 60.0), 2),
    (Clip(-40.0, 60.0), 3),
    (Invert(-100.0, 100.0), 2),
    (Resample((1.5, 1.0), of=(1.0, 2.0)), 2),
    (Resample((1.5, 1.0, 0.7), of=(1.0, 2.0, 0.7)), 3),
    (Resize((4, 9)), 2),
    (Resize((4, 9, 5)), 3),
    (Resize((4, 9, 5), antialias=False), 3),
    (Resize((4, 9, 5), mode="cubic"), 3),
    (Resize((3, 3), mode="area"), 2),
    (Resize((3, 9), mode="nearest"), 2),
    (Pad((8, 8, 8), value=-3.0), 3),
    (CentreCrop((3, 4)), 2),
    (CentreCrop((3, 4, 9)), 3),
    (CropToBody(0.0, 1, (5, 4)), 2),
    (CropToBody(0.0, 0, (5, 4, 3)), 3),
    (ToRGB(3), 2),
    (Normalise((3.0,), (7.0,)), 2),
    (PerImage("zscore"), 3),
    (PerImage("zscore", nonzero=True), 2),
    (PerImage("minmax"), 2),
    (PerImage("percentile", 11.0, 83.0), 2),
    (PerImage("percentile", 11.0, 83.0, nonzero=True, channelwise=True), 3),
    (Reorder((2, 0, 1), (0, 2)), 3),
    (Reorder(flip=(1,)), 2),
)
IDS = [f"{type(step).__name__}-{axes}d-{number}" for number, (step, axes) in enumerate(EVERY)]


def images(axes: int, count: int = 3, channels: int = 1, seed: int = 0) -> Tensor:
    """Values around -100..100, all different, some of them zero, of odd and even lengths."""
    drawn = torch.rand(
        (count, channels, *(6, 7, 5)[:axes]), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    values = drawn * 200 - 100
    values[..., 0, 0] = 0
    return values


@pytest.mark.parametrize(("step", "axes"), EVERY, ids=IDS)
def test_the_gradient_is_that_of_the_function(step: Step, axes: int) -> None:
    # A zero that is kept out of the statistics is a kink: away from it, so that a difference quotient exists.
    values = images(axes, count=2)
    if getattr(step, "nonzero", False):
        values = torch.where(values == 0, 1.5, values)
    assert gradcheck(step, (values.requires_grad_(),), eps=1e-5, atol=1e-5)


@pytest.mark.parametrize(("step", "axes"), EVERY, ids=IDS)
def test_every_image_stands_for_itself_and_is_not_written_to(step: Step, axes: int) -> None:
    values = images(axes)
    before = values.clone()
    together = step(values)
    assert torch.equal(values, before)
    for row in range(len(values)):
        torch.testing.assert_close(together[row : row + 1], step(values[row : row + 1]), rtol=0, atol=1e-12)
    assert step.describe() and together.dtype == values.dtype


def test_window_is_monais_scaling_with_clip() -> None:
    from monai.transforms import ScaleIntensityRange

    values = images(2)
    expected = ScaleIntensityRange(-40, 60, 0, 1, clip=True, dtype=None)(values[0])
    torch.testing.assert_close(Window(-40.0, 60.0)(values)[0], expected.as_tensor(), rtol=0, atol=1e-12)


def test_plain_arithmetic() -> None:
    values = images(2, channels=3)
    plain = values.numpy()
    assert np.array_equal(Rescale(2.0, -1024.0)(values).numpy(), plain * 2 - 1024)
    assert np.array_equal(Clip(-4.0, 6.0)(values).numpy(), np.clip(plain, -4, 6))
    assert np.array_equal(Invert(-100.0, 90.0)(values).numpy(), -10 - plain)
    mean, std = np.array([1.0, 2, 3])[:, None, None], np.array([4.0, 5, 6])[:, None, None]
    assert np.array_equal(Normalise((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))(values).numpy(), (plain - mean) / std)
    grey = ToRGB(3)(values[:, :1]).numpy()
    assert np.array_equal(grey, np.repeat(plain[:, :1], 3, axis=1))
    turned = Reorder((1, 0), (1,))(values).numpy()
    assert np.array_equal(turned, np.flip(np.swapaxes(plain, 2, 3), 3))


@pytest.mark.parametrize("channelwise", [False, True])
def test_statistics_of_an_image_are_those_of_monai(channelwise: bool) -> None:
    from monai.transforms import NormalizeIntensity, ScaleIntensity, ScaleIntensityRangePercentiles

    values = images(3, channels=2)
    pairs = [
        (PerImage("zscore", channelwise=channelwise), NormalizeIntensity(channel_wise=channelwise)),
        (
            PerImage("zscore", nonzero=True, channelwise=channelwise),
            NormalizeIntensity(nonzero=True, channel_wise=channelwise),
        ),
        (PerImage("minmax", channelwise=channelwise), ScaleIntensity(channel_wise=channelwise)),
        (
            PerImage("percentile", 5.0, 90.0, channelwise=channelwise),
            ScaleIntensityRangePercentiles(5, 90, 0, 1, clip=True, channel_wise=channelwise),
        ),
    ]
    for own, theirs in pairs:
        expected = theirs(values[1].clone()).as_tensor().double()
        torch.testing.assert_close(own(values)[1], expected, rtol=0, atol=2e-5)


def test_percentiles_are_those_of_numpy_in_whole_volumes_too() -> None:
    values = torch.rand(
        1, 1, 260, 260, 260, generator=torch.Generator().manual_seed(1)
    )  # more than torch.quantile takes
    low, high = np.percentile(values.numpy(), (0.5, 99.5))
    expected = np.clip((values.numpy() - low) / (high - low), 0, 1)
    np.testing.assert_allclose(PerImage("percentile")(values).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("how", ["zscore", "minmax", "percentile"])
@pytest.mark.parametrize("nonzero", [False, True])
def test_constant_and_empty_images_stay_finite(how: str, nonzero: bool) -> None:
    for level in (0.0, 5.0):
        values = torch.full((2, 1, 4, 4), level, requires_grad=True)
        result = PerImage(how, nonzero=nonzero)(values)  # type: ignore[arg-type]
        assert torch.equal(result, torch.zeros_like(result))
        (gradient,) = torch.autograd.grad(result.sum(), values)
        assert gradient.isfinite().all()


def test_the_gradient_of_a_zscore_runs_through_its_statistics() -> None:
    """A brighter image and one of more contrast are the same to the network, and the gradient says so."""
    values = images(2, count=1).requires_grad_()
    weights = torch.rand(values.shape, generator=torch.Generator().manual_seed(5), dtype=values.dtype)
    (gradient,) = torch.autograd.grad((PerImage("zscore")(values) * weights).sum(), values)
    assert gradient.abs().max() > 1e-3
    assert abs(float(gradient.sum())) < 1e-10
    assert abs(float((gradient * values.detach()).sum())) < 1e-8


@pytest.mark.parametrize(
    ("mode", "kernel"), [("linear", Image.Resampling.BILINEAR), ("cubic", Image.Resampling.BICUBIC)]
)
@pytest.mark.parametrize("size", [(13, 9), (40, 50), (64, 20)])
def test_resize_is_pillows(mode: str, kernel: Image.Resampling, size: tuple[int, int]) -> None:
    plain = np.random.default_rng(0).uniform(0, 255, (37, 31)).astype(np.float32)
    expected = np.asarray(Image.fromarray(plain, mode="F").resize(size[::-1], kernel))
    ours = Resize(size, mode)(torch.from_numpy(plain)[None, None])[0, 0].numpy()  # type: ignore[arg-type]
    np.testing.assert_allclose(ours, expected, atol=2e-3)


@pytest.mark.parametrize("size", [(4, 9, 12), (12, 5, 3), (6, 7, 9)])
def test_resize_without_antialias_interpolates_between_pixel_centres(size: tuple[int, ...]) -> None:
    values = images(3, count=1)
    plain = values[0, 0].numpy()
    places = [(np.arange(new) + 0.5) * old / new - 0.5 for new, old in zip(size, plain.shape, strict=True)]
    grid = np.stack(np.meshgrid(*places, indexing="ij"))
    expected = ndimage.map_coordinates(plain, grid, order=1, mode="nearest")
    np.testing.assert_allclose(Resize(size, antialias=False)(values)[0, 0].numpy(), expected, atol=1e-9)


def test_a_volume_is_antialiased_along_every_axis() -> None:
    """Each axis by itself is Pillow's one-dimensional resize."""
    plain = np.random.default_rng(3).uniform(0, 1, (20, 18, 16)).astype(np.float32)
    expected = plain
    for axis, new in enumerate((7, 5, 30)):
        lines = np.moveaxis(expected, axis, -1)
        flat = np.ascontiguousarray(lines.reshape(-1, lines.shape[-1]))
        shrunk = np.asarray(Image.fromarray(flat, mode="F").resize((new, len(flat)), Image.Resampling.BILINEAR))
        expected = np.moveaxis(shrunk.reshape(*lines.shape[:-1], new), -1, axis)
    ours = Resize((7, 5, 30))(torch.from_numpy(plain)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_area_is_the_mean_of_whole_blocks() -> None:
    values = torch.rand(1, 1, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = values.reshape(1, 1, 3, 2, 4, 2).mean((3, 5))
    torch.testing.assert_close(Resize((3, 4), mode="area")(values), expected)


@pytest.mark.parametrize("axes", [2, 3])
def test_pad_and_crop_are_monais(axes: int) -> None:
    from monai.transforms import CenterSpatialCrop, SpatialPad

    values = images(axes)
    for size in ((9, 10, 4)[:axes], (6, 8, 11)[:axes]):
        expected = SpatialPad(size, value=-7.0)(values[0]).as_tensor()
        assert torch.equal(Pad(size, -7.0)(values)[0], expected)
    for size in ((3, 4, 2)[:axes], (6, 3, 9)[:axes], (5, 5, 5)[:axes]):
        expected = CenterSpatialCrop(size)(values[0]).as_tensor()
        assert torch.equal(CentreCrop(size)(values)[0], expected)


def test_resample_covers_the_same_field_of_view() -> None:
    values = images(3, count=1)
    resampled = Resample((2.0, 1.0, 0.5), of=(1.0, 1.0, 1.0))(values)
    assert resampled.shape[2:] == (3, 7, 10)
    assert torch.equal(resampled, Resize((3, 7, 10))(values))


def test_the_body_is_the_largest_part_and_gradients_reach_it_only() -> None:
    values = torch.zeros(2, 1, 20, 24)
    values[0, 0, 3:9, 4:14] = 1
    values[0, 0, 15:17, 15:17] = 5  # a table, say: brighter and smaller
    values[1, 0, 10:18, 2:9] = 1
    step = CropToBody(0.5, 1, (8, 8))
    assert step.box(values[0]) == (slice(2, 10), slice(3, 15))
    values.requires_grad_()
    (gradient,) = torch.autograd.grad(step(values).sum(), values)
    reached = gradient[0, 0] != 0
    assert reached[2:10, 3:15].all() and not reached[10:].any() and not reached[:, 15:].any()
    assert step.box(values[1]) == (slice(9, 19), slice(1, 10))


def test_without_a_body_the_whole_image_is_kept() -> None:
    values = images(2)
    assert torch.equal(CropToBody(1e6, 2, (4, 4))(values), Resize((4, 4))(values))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Rescale(0.0, 1.0), "rescale.slope"),
        (lambda: Rescale(1.0, float("nan")), "rescale.intercept"),
        (lambda: Window(40.0, 40.0), "window.low: .* zero width"),
        (lambda: Window(50.0, 40.0), "window.low"),
        (lambda: Window(0.0, float("inf")), "window.low"),
        (lambda: Clip(1.0, 1.0), "clip.low: .* zero width"),
        (lambda: Invert(1.0, 0.0), "invert.low"),
        (lambda: Resample((1.0, 0.0)), "resample.spacing"),
        (lambda: Resample((1.0, 1.0), of=(1.0, -1.0)), "resample.of"),
        (lambda: Resample((1.0, 1.0), of=(1.0, 1.0, 1.0)), "resample.spacing"),
        (lambda: Resize(()), "resize.size"),
        (lambda: Resize((0, 3)), "resize.size"),
        (lambda: Resize((3, 3), mode="lanczos"), "resize.mode"),  # type: ignore[arg-type]
        (lambda: Pad((0, 3)), "pad.size"),
        (lambda: Pad((3, 3), float("nan")), "pad.value"),
        (lambda: CentreCrop((-1, 3)), "centre_crop.size"),
        (lambda: CropToBody(float("nan"), 1, (3, 3)), "crop_to_body.threshold"),
        (lambda: CropToBody(1.0, -1, (3, 3)), "crop_to_body.margin"),
        (lambda: CropToBody(1.0, 1, (0, 3)), "crop_to_body.size"),
        (lambda: ToRGB(0), "rgb.channels"),
        (lambda: Normalise((0.0,), (0.0,)), "normalise.std"),
        (lambda: Normalise((float("inf"),), (1.0,)), "normalise.mean"),
        (lambda: PerImage("median"), "per_image.how"),  # type: ignore[arg-type]
        (lambda: PerImage("percentile", 60.0, 40.0), "per_image.low"),
        (lambda: Reorder((0, 2)), "reorder.axes"),
        (lambda: Reorder(flip=(0, 0)), "reorder.flip"),
    ],
)
def test_nonsense_is_refused_by_its_field(make, field: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=rf"^preprocess\.{field}"):
        make()


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Resize((3, 3, 3)), "preprocess.resize.size: .*3 spatial dimensions, and these images have 2"),
        (Pad((3, 3, 3)), "preprocess.pad.size"),
        (CentreCrop((3,)), "preprocess.centre_crop.size"),
        (CropToBody(0.0, 0, (3, 3, 3)), "preprocess.crop_to_body.size"),
        (Resample((1.0, 1.0)), "preprocess.resample.spacing: .*data.spacing"),
        (Resample((1.0, 1.0, 1.0), of=(1.0, 1.0, 1.0)), "preprocess.resample.spacing"),
        (ToRGB(4), "preprocess.rgb.channels: images with 3 channels"),
        (Normalise((1.0, 2.0)), "preprocess.normalise.mean: it has 2 numbers for images with 3 channels"),
        (Normalise((1.0,), (1.0, 2.0)), "preprocess.normalise.std: it has 2 numbers"),
        (Reorder((2, 1, 0)), "preprocess.reorder.axes"),
        (Reorder(flip=(2,)), "preprocess.reorder.flip"),
    ],
)
def test_images_that_do_not_fit_are_refused(step: Step, text: str) -> None:
    with pytest.raises(InputError, match=text):
        step(images(2, channels=3))
