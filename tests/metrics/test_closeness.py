from __future__ import annotations

import math

import numpy as np
import pytest

from palpate.metrics.closeness import closeness
from tests.metrics.handmade import panel, record

NAN = float("nan")


def test_medians_the_worst_and_the_largest_by_hand():
    rows = [
        record(row, psnr=psnr, ssim=ssim, linf=linf)
        for row, (psnr, ssim, linf) in enumerate([(40.0, 0.9, 1.0), (50.0, 0.99, 0.5), (48.0, NAN, 1.0)])
    ]
    found = closeness(panel(rows).outcomes, 1.0)
    assert (found.images, found.psnr, found.lowest_psnr, found.linf) == (3, 48.0, 40.0, 1.0)
    assert found.ssim == pytest.approx(0.945)


def test_images_that_did_not_change_do_not_count():
    rows = [record(0, psnr=NAN, ssim=1.0, linf=0.0), record(1, psnr=30.0, ssim=0.5)]
    found = closeness(panel(rows).outcomes, 1.0)
    assert (found.images, found.psnr, found.ssim) == (1, 30.0, 0.5)


def test_an_image_counts_once_per_attack_and_other_budgets_not():
    rows = [record(0, attack=name, eps=eps, psnr=eps) for name in ("pgd", "fgsm") for eps in (1.0, 2.0)]
    assert closeness(panel(rows).outcomes, 2.0).images == 2 and closeness(panel(rows).outcomes, 2.0).psnr == 2.0


@pytest.mark.parametrize("rows", [[], [record(0, psnr=NAN, ssim=NAN, linf=0.0)], [record(0, psnr=math.inf, ssim=NAN)]])
def test_nothing_to_measure(rows):
    found = closeness(panel(rows).outcomes, 1.0)
    assert np.isnan([found.psnr, found.lowest_psnr, found.ssim]).all()
