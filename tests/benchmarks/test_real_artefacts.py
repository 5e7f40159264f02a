"""The statistics that compare simulated and real artefacts."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.real_artefacts import Box, _apart, contrast, glints, sharpness


def tissue() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 4, (100, 100, 1))
    image = np.clip(np.array([150.0, 90.0, 80.0]) + noise, 20, 255)
    image[:, :10] = 0
    return image.astype(np.float32)


def test_a_box_is_compared_with_the_tissue_around_it_and_not_with_the_frame() -> None:
    image = tissue()
    same = contrast(Box(image, (12, 40, 32, 60)))
    image[40:60, 12:32] += 51
    brighter = contrast(Box(image, (12, 40, 32, 60)))
    assert same is not None and brighter is not None
    assert abs(same[2]) < 0.5
    assert brighter[2] == pytest.approx(20, abs=0.5)
    assert brighter[4] < -5 < same[4]


def test_spots_are_found_in_the_middle_and_new_ones_are_told_from_old_ones() -> None:
    image = tissue()
    image[40:44, 50:56] = 250
    image[5:9, 50:56] = 250
    after = image.copy()
    after[60:64, 30:33] = 250
    assert [box.sides for box in glints(image)] == [(50, 40, 56, 44)]
    assert [box.sides for box in glints(after, before=image)] == [(30, 60, 33, 64)]


def test_blur_takes_sharpness_and_shifted_channels_are_apart() -> None:
    image = tissue()
    smooth = image.copy()
    smooth[1:] = (image[1:] + image[:-1]) / 2
    box = (30, 30, 70, 70)
    before, after = sharpness(Box(image, box)), sharpness(Box(smooth, box))
    assert before is not None and after is not None and after < before - 0.2
    fine = np.random.default_rng(1).normal(size=(40, 40))
    assert _apart(fine[:, 3:], fine[:, :-3]) == "3.0"


def test_the_page_shows_the_tables_of_the_benchmark() -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "explanation" / "artefact_realism.md").read_text()
    for table in (root / "benchmarks" / "results" / "real_artefacts.md").read_text().strip().split("\n\n"):
        assert table in page
