"""PSNR and SSIM against their definitions, worked out by NumPy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics.regression import compute_ssim_and_cs
from scipy import ndimage

from palpate.measures.quality import psnr, ssim

CT = (-1024.0, 3071.0)


def pairs(*shape: int, bounds: tuple[float, float] = CT) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    share = torch.rand(shape, generator=generator)
    noise = 0.05 * torch.randn(shape, generator=generator)
    clean = bounds[0] + share * (bounds[1] - bounds[0])
    return bounds[0] + (share + noise).clamp(0, 1) * (bounds[1] - bounds[0]), clean


def plain_ssim(image: np.ndarray, clean: np.ndarray, extent: float) -> float:
    """The definition on one plane (rows, columns) of values above 0: windows inside the image."""

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, 1.5, radius=5)[5:-5, 5:-5]

    c1, c2 = (0.01 * extent) ** 2, (0.03 * extent) ** 2
    mx, my = mean(image), mean(clean)
    vx, vy, both = mean(image**2) - mx**2, mean(clean**2) - my**2, mean(image * clean) - mx * my
    return float(((2 * mx * my + c1) * (2 * both + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def test_psnr_is_its_definition() -> None:
    images, clean = pairs(3, 1, 16, 12)
    error = ((images - clean).double().numpy() ** 2).mean((1, 2, 3))
    assert np.allclose(psnr(images, clean, CT).numpy(), 10 * np.log10(4095**2 / error))


def test_psnr_of_one_step_everywhere_is_48_decibels() -> None:
    clean = torch.full((1, 3, 8, 8), 100.0)
    assert float(psnr(clean + 1, clean, (0.0, 255.0))) == pytest.approx(20 * np.log10(255))


def test_an_unchanged_image_has_no_psnr_and_full_ssim() -> None:
    _, clean = pairs(2, 1, 16, 16)
    changed = clean.clone()
    changed[1] += 1
    ratios = psnr(changed, clean, CT)
    assert ratios.isnan().tolist() == [True, False]
    assert ssim(changed, clean, CT)[0] == pytest.approx(1)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_its_definition(channels: int) -> None:
    images, clean = pairs(2, channels, 20, 17)
    found = ssim(images, clean, CT)
    for row in range(2):
        planes = [
            plain_ssim((images[row, c] + 1024).double().numpy(), (clean[row, c] + 1024).double().numpy(), 4095)
            for c in range(channels)
        ]
        assert float(found[row]) == pytest.approx(np.mean(planes), abs=1e-5)
    assert float(found.max()) < 0.999


def test_ssim_of_a_volume_is_the_mean_of_its_planes() -> None:
    images, clean = pairs(1, 2, 4, 15, 13)
    planes = [ssim(images[:, :, k], clean[:, :, k], CT) for k in range(4)]
    assert float(ssim(images, clean, CT)) == pytest.approx(float(torch.stack(planes).mean()))


def test_each_sample_is_measured_on_its_own() -> None:
    images, clean = pairs(3, 1, 14, 14)
    for measure in (psnr, ssim):
        together = measure(images, clean, CT)
        assert together.shape == (3,) and together.dtype == torch.float64
        assert float(measure(images[1:2], clean[1:2], CT)) == pytest.approx(float(together[1]))


def test_images_smaller_than_the_window_have_no_ssim() -> None:
    images, clean = pairs(2, 1, 10, 40)
    assert ssim(images, clean, CT).isnan().all()
    assert psnr(images, clean, CT).isfinite().all()


@pytest.mark.parametrize("shape", [(40, 1, 28, 28), (2, 3, 64, 48), (2, 1, 3, 15, 13)])
def test_ssim_has_the_bits_of_monai(shape: tuple[int, ...]) -> None:
    images, clean = pairs(*shape)
    found = ssim(images, clean, CT)
    for row in range(len(images)):
        planes = [one[row].flatten(1, -3).unbind(1) if one.ndim > 4 else (one[row],) for one in (images, clean)]
        total = torch.zeros((), dtype=torch.float64)
        for plane, origin in zip(*planes, strict=True):
            given = [((one + 1024) / 4095)[None] for one in (plane, origin)]
            total += compute_ssim_and_cs(*given, 2, (11, 11), (1.5, 1.5))[0].double().mean()
        assert torch.equal(found[row], total / len(planes[0]))
