"""Measures of masks against scipy's distance transforms, hand-worked cases, and what we say of empty masks."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy import ndimage

from palpate.annotations import Masks
from palpate.errors import InputError
from palpate.measures.segmentation import SegmentationReader
from palpate.measures.surfaces import surfaces
from palpate.tasks.segmentation import Segmentation


def logits_of(labels, structures):
    return torch.nn.functional.one_hot(labels, structures + 1).movedim(-1, 1).float() * 5


def read(found, true, spacing=None, names=("lung",), tolerance=1.0):
    """Measures by name and structure of one image."""
    task = Segmentation(len(names))
    spaced = spacing is not None
    sizes = torch.tensor([spacing]) if spaced else None
    reader = SegmentationReader(task, names, spaced, true.ndim, tolerance)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (row,) = reader.measure(logits_of(found.clamp(max=len(names))[None], len(names)), Masks(true[None], sizes))
    assert len(row) == len(reader.measures)
    return {(m.name, m.part): value for m, value in zip(reader.measures, row, strict=True)}


def surface(mask):
    return mask & ~ndimage.binary_erosion(mask, border_value=0)


def distances(one, other, spacing):
    """From each surface pixel of one mask to the other's surface, by a dense distance transform."""
    return ndimage.distance_transform_edt(~surface(other), sampling=spacing)[surface(one)]


def blob(shape, seed):
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 1.5) > 0.02


@pytest.mark.parametrize("shape", [(31, 40), (12, 14, 10)])
def test_surfaces_have_the_bits_of_monai(shape):
    """One comparison for both figures, also where a mask touches the image's edge."""
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_dice import compute_surface_dice

    spacing = [0.7, 1.9, 3.1][: len(shape)]
    for seed in range(12):
        found, true = blob(shape, seed), blob(shape, seed + 100)
        found[: seed % 3] = True
        masks = [torch.from_numpy(mask)[None, None] for mask in (found, true)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            far = compute_hausdorff_distance(*masks, include_background=True, percentile=95, spacing=spacing)
            near = compute_surface_dice(*masks, [1.0], include_background=True, spacing=spacing)
        assert surfaces(found, true, spacing, 1.0) == (float(far), float(near))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("shape", "spacing"), [((20, 24), (0.7, 1.9)), ((20, 24), None), ((10, 12, 9), (0.8, 0.8, 3.0)), ((9, 9, 9), None)]
)
def test_surfaces_and_overlaps_agree_with_dense_transforms(shape, spacing, seed):
    found, true = blob(shape, seed), blob(shape, seed + 100)
    figures = read(torch.from_numpy(found).long(), torch.from_numpy(true).long(), spacing, tolerance=1.5)
    there, back = (distances(a, b, spacing or [1.0] * len(shape)) for a, b in ((found, true), (true, found)))
    expected = {
        "dice": 2 * (found & true).sum() / (found.sum() + true.sum()),
        "iou": (found & true).sum() / (found | true).sum(),
        "hd95": max(np.percentile(there, 95), np.percentile(back, 95)),
        "surface_dice": ((there <= 1.5).sum() + (back <= 1.5).sum()) / (there.size + back.size),
    }
    for name, value in expected.items():
        assert figures[name, "lung"] == pytest.approx(value, rel=1e-5), name
    size, pixel = ("area", 1.0) if len(shape) == 2 else ("volume", 1 if spacing is None else 1e-3)
    pixel *= math.prod(spacing or (1.0,))
    assert figures[size, "lung"] == pytest.approx(found.sum() * pixel)
    assert figures[f"{size}_error", "lung"] == pytest.approx(abs(int(found.sum()) - int(true.sum())) * pixel)


def test_a_shifted_plate_is_off_by_its_shift_in_mm():
    true = torch.zeros(8, 8, 12, dtype=torch.int64)
    true[2:6, 2:6, 3] = 1
    found = true.roll(4, 2)
    figures = read(found, true, (1.0, 1.0, 2.5))
    assert figures["hd95", "lung"] == pytest.approx(4 * 2.5)
    assert figures["surface_dice", "lung"] == 0
    assert read(found, true, (1.0, 1.0, 0.25))["surface_dice", "lung"] == 1
    assert figures["volume", "lung"] == pytest.approx(16 * 2.5 / 1000) and figures["volume_error", "lung"] == 0


def test_units_are_said():
    def units(spaced, dimensions):
        return [(m.name, m.unit) for m in SegmentationReader(Segmentation(1), ("a",), spaced, dimensions).measures[2:]]

    none = ("surface_dice", "")
    assert units(True, 3) == [("hd95", "mm"), none, ("volume", "ml"), ("volume_error", "ml")]
    assert units(False, 3) == [("hd95", "voxel"), none, ("volume", "voxel"), ("volume_error", "voxel")]
    assert units(True, 2) == [("hd95", "mm"), none, ("area", "mm2"), ("area_error", "mm2")]
    assert units(False, 2) == [("hd95", "px"), none, ("area", "px"), ("area_error", "px")]


def test_spacing_is_not_looked_at_unless_asked():
    true = torch.zeros(1, 6, 6, dtype=torch.int64)
    true[0, 1:3, 1:3] = 1
    outputs = logits_of(true.roll(2, 2), 1)
    reader = SegmentationReader(Segmentation(1), ("a",), False)
    with_spacing = reader.measure(outputs, Masks(true, torch.tensor([[3.0, 3.0]])))
    assert with_spacing == reader.measure(outputs, true) and with_spacing[0][2] == 2


def test_empty_masks_are_defined():
    nothing, something = torch.zeros(5, 9, dtype=torch.int64), torch.zeros(5, 9, dtype=torch.int64)
    something[1:3, 1:4] = 1
    neither = read(nothing, nothing, (3.0, 2.0))
    assert all(math.isnan(neither[name, "lung"]) for name in ("dice", "iou", "hd95", "surface_dice"))
    assert neither["area", "lung"] == neither["area_error", "lung"] == 0
    diagonal = math.hypot(4 * 3.0, 8 * 2.0)
    for found, true, area in ((nothing, something, 0.0), (something, nothing, 36.0)):
        figures = read(found, true, (3.0, 2.0))
        assert [figures[name, "lung"] for name in ("dice", "iou", "surface_dice")] == [0, 0, 0]
        assert figures["hd95", "lung"] == pytest.approx(diagonal)
        assert figures["area", "lung"] == area and figures["area_error", "lung"] == 36


def test_ignored_pixels_are_taken_out_of_both_masks():
    true = torch.zeros(6, 6, dtype=torch.int64)
    true[1:4, 1:4] = 1
    found = true.clone()
    found[1:4, 5] = 1
    true[:, 5] = 255
    figures = read(found, true)
    assert figures["dice", "lung"] == 1 and figures["hd95", "lung"] == 0 and figures["area", "lung"] == 9


def test_structures_and_samples_are_measured_apart():
    true = torch.zeros(2, 6, 6, dtype=torch.int64)
    true[0, :2, :2], true[0, 4:, 4:], true[1, 2:4, 2:4] = 1, 2, 2
    reader = SegmentationReader(Segmentation(2), ("left", "right"), True, tolerance=0.5)
    rows = reader.measure(logits_of(true, 2), Masks(true, torch.tensor([[1.0, 1.0], [2.0, 3.0]])))
    perfect = (1.0, 1.0, 0.0, 1.0)
    assert rows[0] == (*perfect, 4.0, 0.0, *perfect, 4.0, 0.0)
    assert all(math.isnan(value) for value in rows[1][:4]) and rows[1][6:] == (*perfect, 24.0, 0.0)
    assert [m.part for m in reader.measures] == ["left"] * 6 + ["right"] * 6
    assert reader.truth(Masks(true)) == reader.found(logits_of(true, 2)) == [(), ()]


def test_a_prediction_is_measured_on_the_grid_of_the_masks():
    true = torch.zeros(1, 8, 8, dtype=torch.int64)
    true[:, :, 4:] = 1
    outputs = torch.tensor([[-1.0, 1.0], [-1.0, 1.0]]).reshape(1, 1, 2, 2)
    (row,) = SegmentationReader(Segmentation(1, resample=True), ("a",), False).measure(outputs, true)
    assert row == (1.0, 1.0, 0.0, 1.0, 32.0, 0.0)


def test_what_cannot_be_measured_is_said():
    task, true = Segmentation(1), torch.zeros(1, 4, 4, dtype=torch.int64)
    with pytest.raises(InputError, match="no spacing"):
        SegmentationReader(task, ("a",), True).measure(logits_of(true, 1), Masks(true))
    with pytest.raises(InputError, match="3D"):
        SegmentationReader(task, ("a",), False, 3).measure(logits_of(true, 1), true)
    for arguments, words in (
        ((("a", "b"), True), "2 names for 1"),
        ((("a",), True, 1), "axes"),
        ((("a",), True, 2, -1.0), "tolerance"),
    ):
        with pytest.raises(InputError, match=words):
            SegmentationReader(task, *arguments)
