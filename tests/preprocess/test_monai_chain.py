"""MONAI's transforms as a preprocessing: the values of MONAI, gradients or the name of what blocks them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms import (
    AdjustContrast,
    AsDiscrete,
    CastToType,
    CenterSpatialCrop,
    Compose,
    EnsureChannelFirst,
    EnsureChannelFirstd,
    FillHoles,
    Flip,
    GaussianSmooth,
    HistogramNormalize,
    HistogramNormalized,
    Lambda,
    LoadImaged,
    MedianSmooth,
    NormalizeIntensity,
    NormalizeIntensityd,
    OneOf,
    Orientation,
    RandFlip,
    RandGaussianNoised,
    Resize,
    Resized,
    ScaleIntensity,
    ScaleIntensityRange,
    ScaleIntensityRanged,
    ScaleIntensityRangePercentiles,
    Spacing,
    SpatialPad,
    StdShiftIntensity,
    ToNumpy,
)
from torch import Tensor

from palpate.errors import InputError
from palpate.preprocess import Blocked, MonaiChain, PerImage, blocked, findings, partly_blocked


def values(*shape: int, count: int = 3) -> Tensor:
    drawn = torch.rand(count, *(shape or (1, 9, 11)), generator=torch.Generator().manual_seed(0)) * 300 - 100
    drawn[..., :2] = 0
    return drawn


def chain(*transforms: Any, **settings: Any) -> MonaiChain:
    return MonaiChain("transforms.py:build", "00", compose=Compose(list(transforms)), **settings)


def gradient(preprocess: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    place = images.clone().requires_grad_()
    result = preprocess(place)
    weights = torch.rand(result.shape, generator=torch.Generator().manual_seed(1))
    return torch.autograd.grad((result * weights).sum(), place)[0]


DIFFERENTIABLE = [
    (ScaleIntensityRange(-160, 240, 0, 1, clip=True),),
    (NormalizeIntensity(),),
    (NormalizeIntensity(nonzero=True, channel_wise=True),),
    (NormalizeIntensity(subtrahend=3.0, divisor=2.0),),
    (NormalizeIntensity(subtrahend=[3.0, 4.0], divisor=[2.0, 5.0], channel_wise=True),),
    (ScaleIntensity(),),
    (ScaleIntensityRangePercentiles(2, 98, 0, 1, clip=True),),
    (Resize((6, 6)),),
    (SpatialPad((20, 20)), CenterSpatialCrop((12, 7))),
    (GaussianSmooth(1.0),),
    (EnsureChannelFirst(), Flip(0)),
    (Compose([ScaleIntensity(), Compose([Resize((5, 5), mode="bilinear")])]),),
]


@pytest.mark.parametrize("straight_through", [False, True])
@pytest.mark.parametrize("transforms", DIFFERENTIABLE, ids=lambda given: type(given[0]).__name__)
def test_values_are_monais_and_gradients_flow(transforms: tuple[Any, ...], straight_through: bool) -> None:
    images = values(2, 9, 11)
    made = chain(*transforms, straight_through=straight_through)
    # Some transforms write into what they are given, so that each image is a copy.
    expected = torch.stack(
        [Compose(list(transforms))(MetaTensor(image.clone(), meta={"original_channel_dim": 0})) for image in images]
    ).as_tensor()
    assert torch.equal(made(images), expected)
    assert torch.equal(made(images.clone().requires_grad_()).detach(), expected)
    assert blocked(made, images) == ()
    assert gradient(made, images).flatten(1).any(1).all()
    assert torch.equal(gradient(made, images), gradient(chain(*transforms), images))
    assert type(made(images)) is Tensor


@pytest.mark.parametrize("nonzero", [False, True])
@pytest.mark.parametrize("channel_wise", [False, True])
def test_the_gradient_of_monais_zscore_knows_its_statistics(nonzero: bool, channel_wise: bool) -> None:
    images = values(2, 9, 11)
    made = chain(NormalizeIntensity(nonzero=nonzero, channel_wise=channel_wise))
    exact = PerImage("zscore", nonzero=nonzero, channelwise=channel_wise)
    torch.testing.assert_close(gradient(made, images), gradient(exact, images))


def test_dictionaries_with_an_image_are_taken() -> None:
    transforms = (
        EnsureChannelFirstd("image"),
        ScaleIntensityRanged("image", -160, 240, 0, 1, clip=True),
        Resized("image", (6, 6), mode="bilinear"),
        NormalizeIntensityd("image"),
    )
    made, images = chain(*transforms), values()
    plain = chain(
        ScaleIntensityRange(-160, 240, 0, 1, clip=True), Resize((6, 6), mode="bilinear"), NormalizeIntensity()
    )
    assert torch.equal(made(images), plain(images))
    torch.testing.assert_close(gradient(made, images), gradient(plain, images))
    names = "EnsureChannelFirstd, ScaleIntensityRanged, Resized, NormalizeIntensityd"
    assert made.describe() == f"MONAI: {names} (transforms.py:build)"


def test_the_window_is_that_of_a_first_range_with_clip() -> None:
    ranged = ScaleIntensityRange(-160, 240, 0, 1, clip=True)
    keyed = ScaleIntensityRanged("image", -160, 240, 0, 1, clip=True)
    assert chain(Resize((6, 6)), ranged).window == chain(EnsureChannelFirstd("image"), keyed).window == (-160.0, 240.0)
    assert chain(ScaleIntensity(), ranged).window is chain(ScaleIntensity()).window is None
    assert chain(ScaleIntensityRange(-160, 240, 0, 1)).window is None


def test_volumes_are_taken() -> None:
    images = values(1, 7, 8, 9)
    made = chain(NormalizeIntensity(), Resize((4, 4, 4), mode="trilinear"), SpatialPad((6, 6, 6)))
    assert made(images).shape == (3, 1, 6, 6, 6) and gradient(made, images).any()


def test_spacing_heeds_the_images_and_asks_for_what_is_not_known() -> None:
    made, images = chain(ScaleIntensity(), Spacing((2.0, 2.0), mode="bilinear")), values(1, 16, 16)
    assert made.resamples and not chain(ScaleIntensity()).resamples
    bound = made.at((1.0, 4.0))
    rows, columns = bound(images).shape[2:]
    assert rows in (8, 9) and columns in (31, 32)
    assert blocked(bound, images) == () and gradient(bound, images).any()
    with pytest.raises(InputError, match=r"preprocess\.monai: Spacing needs the size.*data\.spacing"):
        made.at(None)
    assert chain(ScaleIntensity()).at(None) == chain(ScaleIntensity())


BLOCKING = [
    (HistogramNormalize(), "its result has no gradient"),
    (AsDiscrete(threshold=60), "its result has no gradient"),
    (Spacing((1.5, 1.5), mode=3), "its result has no gradient"),
    (FillHoles(), "its result has no gradient"),
    (ToNumpy(), "its result has no gradient"),
    (CastToType(torch.uint8), "its result has no gradient"),
    (Lambda(torch.round), "its gradient is exactly zero"),
    (StdShiftIntensity(1.0), "it writes into its input"),
    (StdShiftIntensity(1.0, channel_wise=True), "it writes into its input"),
]


@pytest.mark.parametrize(("transform", "why"), BLOCKING, ids=lambda given: type(given).__name__)
def test_what_blocks_is_named_and_straight_through_passes(transform: Any, why: str) -> None:
    images = values().abs()
    plain = chain(GaussianSmooth(1.0), transform, ScaleIntensity())
    found = blocked(plain, images)
    assert found == (Blocked(type(transform).__name__, why),)
    ((level, text),) = findings(plain, images)
    assert level == "failure" and type(transform).__name__ in text and "straight_through = true" in text
    through = chain(GaussianSmooth(1.0), transform, ScaleIntensity(), straight_through=True)
    ((level, text),) = findings(through, images)
    assert level == "warning" and f"{type(transform).__name__} blocks gradients" in text
    assert "straight-through is used: attacks may be weaker" in text and "straight-through" in through.describe()
    assert gradient(through, images).flatten(1).any(1).all()
    assert torch.equal(through(images), plain(images))
    assert torch.equal(through(images.clone().requires_grad_()).detach(), plain(images))


def test_several_blocking_steps_are_all_named() -> None:
    made = chain(HistogramNormalize(), ScaleIntensity(), Lambda(torch.round), Resize((4, 4)))
    assert [one.step for one in blocked(made, values())] == ["HistogramNormalize", "Lambda"]


def test_the_stand_in_is_the_identity_or_interpolation() -> None:
    images = values()
    through = chain(Lambda(lambda image: image.detach() * 7), straight_through=True)
    weights = torch.rand(images.shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(gradient(through, images), weights)
    shrunk = chain(
        Lambda(lambda image: torch.nn.functional.max_pool2d(image.detach(), 3)[None][0]), straight_through=True
    )
    place = images.clone().requires_grad_()
    result = shrunk(place)
    weights = torch.rand(result.shape, generator=torch.Generator().manual_seed(1))
    linear = torch.nn.functional.interpolate(place, size=result.shape[2:], mode="bilinear", antialias=True)
    expected = torch.autograd.grad((linear * weights).sum(), place)[0]
    torch.testing.assert_close(gradient(shrunk, images), expected)
    more = chain(Lambda(lambda image: image.detach().repeat(3, 1, 1)), straight_through=True)
    assert gradient(more, images).all()


def test_the_graph_can_be_walked_twice() -> None:
    place = values().requires_grad_()
    loss = chain(HistogramNormalize(), straight_through=True)(place).sum()
    first, second = (torch.autograd.grad(loss, place, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second) and first.any()


@pytest.mark.parametrize(
    ("transform", "hidden"),
    [
        (Lambda(lambda image: image - image.mean().item()), True),
        (Lambda(lambda image: image / image.abs().max().detach()), True),
        (Lambda(lambda image: image * (image > 50)), True),
        (AdjustContrast(2.0), True),  # MONAI divides by the range as a plain number
        (Lambda(lambda image: image / image.abs().max()), False),
        *((transforms[0], False) for transforms in DIFFERENTIABLE if "subtrahend" not in vars(transforms[0])),
        (NormalizeIntensity(nonzero=True, channel_wise=True), False),
        (MedianSmooth(1), False),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_hides_part_of_its_change_is_named(transform: Any, hidden: bool) -> None:
    images = values(2, 19, 21)
    made = chain(GaussianSmooth(0.5), transform)
    expected = [type(transform).__name__] if hidden else []
    assert blocked(made, images) == ()
    assert [one.step for one in partly_blocked(made, images)] == expected
    assert [level for level, _ in findings(made, images)] == ["warning"] * hidden


def test_callables_of_the_users_own_count_as_one_step() -> None:
    def rounded(images: Tensor) -> Tensor:
        return images.round()

    assert blocked(rounded, values()) == (Blocked("rounded", "its gradient is exactly zero"),)
    assert blocked(lambda images: images * 2, values()) == () and blocked(None, values()) == ()
    ((level, text),) = findings(rounded, values())
    assert level == "failure" and "straight_through" not in text


@pytest.mark.parametrize(
    ("transform", "text"),
    [
        (RandFlip(0.5), "RandFlip of .* uses random numbers: it is for training"),
        (RandGaussianNoised("image"), "RandGaussianNoised of .* uses random numbers"),
        (OneOf([Flip(0), Flip(1)]), "OneOf of .* uses random numbers"),
        (LoadImaged("image"), "LoadImaged of .* works on files"),
        (Orientation("RAS"), "Orientation of .* needs the scanner's axes"),
        (Spacing((1.0, 1.0), lazy=True), "Spacing of .* is lazy"),
        (Resized(["image", "label"], (3, 3)), r"Resized of .* has the keys \['image', 'label'\]"),
        (3, "gives int, which is not a transform"),
    ],
)
@pytest.mark.parametrize("straight_through", [False, True])
def test_what_has_no_place_in_an_audit_is_refused(transform: Any, text: str, straight_through: bool) -> None:
    with pytest.raises(InputError, match=f"^preprocess.monai: .*{text}"):
        MonaiChain("t.py:build", compose=[ScaleIntensity(), transform], straight_through=straight_through)


def test_failures_of_transforms_are_one_sentence() -> None:
    images = values()
    with pytest.raises(InputError, match=r"Lambda fails on an image of shape \[1, 9, 11\]: RuntimeError") as caught:
        chain(Lambda(lambda image: image @ torch.zeros(3, 3)))(images)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="Lambda returned str, not an image"):
        chain(Lambda(lambda image: "image"))(images)
    with pytest.raises(InputError, match="of one batch have the shapes"):
        chain(Lambda(lambda image: image[..., : 3 + int(image.sum()) % 5]))(images)
    with pytest.raises(InputError, match=r"'label'.* next to the image"):
        MonaiChain("t.py:f", compose=[ScaleIntensityRanged("image", 0, 1, 0, 1), lambda data: data["label"]])(images)
    with pytest.raises(InputError, match="are not loaded"):
        MonaiChain("t.py:f", "00")(images)
    with pytest.raises(InputError, match="cannot pass a gradient straight through"):
        gradient(chain(Lambda(lambda image: image.detach()[0]), straight_through=True), values())


def test_images_are_not_written_to_and_stand_for_themselves() -> None:
    made, images = (
        chain(NormalizeIntensity(nonzero=True, channel_wise=True), HistogramNormalized("image").transform),
        values(),
    )
    before = images.clone()
    together = made(images)
    assert torch.equal(images, before)
    assert torch.equal(together, torch.cat([made(image[None]) for image in images]))
    assert together.dtype == images.dtype and np.isfinite(together.numpy()).all()
