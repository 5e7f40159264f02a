"""The body and burnt-in text: on drawings whose masks are known, and on real files where they are at hand."""

from pathlib import Path

import numpy as np
import pytest

from palpate.data.annotations.regions import body, burnt_in_text
from palpate.data.formats.registry import format_of

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
LETTER_E = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 1], [1, 0, 0], [1, 1, 1]], dtype=bool)


def disc(side, radius, centre=None):
    rows, columns = np.mgrid[:side, :side]
    y, x = centre or (side / 2, side / 2)
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def chest(side=128):
    """A CT slice in HU: air, a body with two lungs, a table below and noise; and its true body."""
    truth = disc(side, 45)
    values = np.where(truth, 40.0, -1000.0)
    for x in (45, 83):
        values[disc(side, 14, (64, x))] = -850
    values[118:119, 10:118] = 200
    return (values + np.random.default_rng(0).normal(0, 10, values.shape))[None].astype(np.float32), truth


def overlap(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def test_the_body_of_a_slice_is_whole_and_without_the_table():
    values, truth = chest()
    found = body(values, unit="HU")
    assert overlap(found, truth) > 0.99
    assert not found[118].any()
    assert found[64, 45] and found[64, 83]


def test_a_volume_that_cuts_the_lungs_off_has_them_filled():
    values, truth = chest()
    found = body(np.stack([values] * 6, axis=1), unit="HU")
    assert found.shape == (6, 128, 128)
    assert all(plane[64, 45] and overlap(plane, truth) > 0.98 for plane in found)


@pytest.mark.parametrize("depth", [255, 4095])
def test_the_field_of_view_of_a_camera(depth):
    truth = disc(128, 60)
    values = np.random.default_rng(0).uniform(0.2, 0.6, (3, 128, 128)) * truth + 0.01
    found = body((values * depth).astype(np.uint16))
    assert overlap(found, truth) > 0.98


def test_inverted_images_have_a_bright_background():
    values, truth = chest()
    assert overlap(body(-values, inverted=True), truth) > 0.95
    assert overlap(body(-values), truth) < 0.6


def test_an_image_of_one_value_has_no_body_and_no_text():
    flat = np.full((1, 32, 32), 7.0)
    assert not body(flat).any()
    assert not burnt_in_text(flat).any()


def written(picture, at, level):
    """The picture with four letters of 15 x 9 pixels, and where they stand."""
    letters = np.zeros(picture.shape[1:], dtype=bool)
    glyph = np.kron(LETTER_E, np.ones((3, 3), dtype=bool))
    for place in range(4):
        y, x = at[0], at[1] + 14 * place
        letters[y : y + 15, x : x + 9] = glyph
    return np.where(letters, np.asarray(level, dtype=np.float32).reshape(-1, 1, 1), picture), letters


def tissue(side=256):
    smooth = 90 + 40 * np.sin(np.mgrid[:side, :side] / 20).sum(0)
    return np.stack([smooth * 1.2, smooth * 0.6, smooth * 0.5]).clip(0, 255).astype(np.float32)


@pytest.mark.parametrize("level", [[255, 255, 255], [30, 220, 60]], ids=["white", "green"])
def test_letters_are_found_on_tissue_and_little_else(level):
    picture, letters = written(tissue(), (30, 20), level)
    found = burnt_in_text(picture)
    assert found[letters].mean() > 0.99
    assert found.mean() < 6 * letters.mean()
    assert not found[100:].any()


def test_letters_are_found_in_a_grey_image_and_large_anatomy_is_not_text():
    picture = np.where(disc(256, 90), 120.0, 0.0)[None].astype(np.float32)
    # A bright ring, as a skull is.
    picture[0][disc(256, 90) & ~disc(256, 84)] = 250.0
    written_on, letters = written(picture, (5, 5), [255])
    found = burnt_in_text(written_on)
    assert found[letters].all()
    assert not found[60:200].any()


def test_the_margin_grows_what_was_found():
    picture, _ = written(tissue(), (30, 20), [255, 255, 255])
    bare, grown = burnt_in_text(picture, margin=0), burnt_in_text(picture, margin=3)
    assert 0 < bare.sum() < grown.sum()
    assert grown[bare].all()


def test_frames_are_read_one_by_one():
    picture, letters = written(tissue(), (30, 20), [255, 255, 255])
    found = burnt_in_text(np.stack([tissue(), picture], axis=1))
    assert not found[0].any()
    assert found[1][letters].mean() > 0.99


@pytest.mark.shared
def test_text_of_a_real_ultrasound_frame():
    path = DATA / "dicom" / "us_rgb_j2k.dcm"
    if not path.exists():
        pytest.skip("the shared DICOM files are not here")
    values = format_of(path).read(path).values
    found = burnt_in_text(values)
    # Above and below the picture stands nothing but white text on black.
    outside = np.ones(found.shape, dtype=bool)
    outside[found.shape[0] // 5 : found.shape[0] * 7 // 10] = False
    white = (values.min(0) > 128) & outside
    assert white.sum() > 1000
    assert found[white].mean() > 0.9
    assert found.mean() < 0.3


@pytest.mark.shared
def test_the_drawn_inset_of_a_real_endoscopy_frame():
    path = next(iter((DATA / "seg_polyp_kvasir").rglob("images/cjyzjzssvd8pq0838f4nolj5l.jpg")), None)
    if path is None:
        pytest.skip("the shared endoscopy frames are not here")
    values = format_of(path).read(path).values.astype(int)
    drawn = values[1] > values[0] + 80
    found = burnt_in_text(values)
    assert drawn.mean() > 0.05
    assert found[drawn].mean() > 0.99
    assert found.mean() < 0.25
