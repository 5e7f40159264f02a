import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label

from palpate.data.phantoms import COUNTS, GRADES, KINDS, fundus, fundus_set, phantom, write_fundus_folder
from palpate.errors import InputError, StorageError


def rng(seed):
    return np.random.default_rng(seed)


def test_the_seed_alone_decides():
    first, grades = fundus_set(6, seed=3)
    again, _ = fundus_set(6, seed=3)
    other, _ = fundus_set(6, seed=4)
    assert (first == again).all()
    assert grades.tolist() == [0, 1, 2, 3, 4, 0]
    assert all((one != two).any() for one, two in zip(first, other, strict=True))
    assert (first[0] != first[5]).any(), "two phantoms of one grade and one set"


def test_a_longer_set_begins_with_the_shorter_one():
    short, _ = fundus_set(3, seed=0, size=64)
    long, _ = fundus_set(7, seed=0, size=64)
    assert (long[:3] == short).all()


def test_shapes_types_and_chosen_grades():
    images, grades = fundus_set(5, seed=1, size=96, grades=(4, 0))
    assert images.shape == (5, 96, 96, 3) and images.dtype == np.uint8
    assert grades.dtype == np.int64 and grades.tolist() == [4, 0, 4, 0, 4]
    empty, none = fundus_set(0, seed=1)
    assert empty.shape == (0, 128, 128, 3) and none.shape == (0,)


def test_the_field_of_view_is_round_bright_and_red_on_black():
    images, _ = fundus_set(10, seed=2)
    y, x = np.mgrid[:128, :128] - 63.5
    radius = np.hypot(x, y) / 64
    assert images[:, radius > 1.05].max() <= 16
    inside = images[:, radius < 0.8].astype(float).mean(1)
    assert (inside[:, 0] > 1.3 * inside[:, 1]).all() and (inside[:, 1] > 1.2 * inside[:, 2]).all()
    assert (inside[:, 0] > 110).all()


def test_eyes_are_left_and_right():
    """The brightest green lies in the disc, left of the middle in some phantoms and right in others."""
    images, _ = fundus_set(12, seed=5, grades=(0,))
    columns = images[:, 32:96, :, 1].astype(float).mean(1)
    sides = {int(np.convolve(column, np.ones(9), "same").argmax() > 64) for column in columns}
    assert sides == {0, 1}


@pytest.mark.parametrize("grade", GRADES)
def test_lesions_are_as_many_as_the_grade_says_and_all_visible(grade):
    for seed in range(4):
        made = phantom(grade, rng(seed), size=192)
        for kind, (low, high) in COUNTS[grade].items():
            assert low <= made.counts[kind] <= high
            # Lesions never touch, so islands of the label map count them; new vessels are webs and may break up.
            islands = label(made.lesions == 1 + KINDS.index(kind), np.ones((3, 3)))[1]
            assert islands >= made.counts[kind] if kind == "new vessels" else islands == made.counts[kind]


def test_ranges_of_neighbouring_grades_do_not_overlap():
    """Blots and dots together tell any two grades apart."""
    for below, above in pairwise(COUNTS):
        most = below["microaneurysm"][1] + below["haemorrhage"][1]
        assert most < above["microaneurysm"][0] + above["haemorrhage"][0]


def test_lesions_change_the_light_as_blood_and_lipid_do():
    made = phantom(4, rng(0))
    green = made.image[..., 1].astype(float)
    healthy = np.median(green[(made.lesions == 0) & ~made.vessels & (green > 20)])
    assert np.median(green[made.lesions == 1 + KINDS.index("haemorrhage")]) < healthy - 20
    assert np.median(green[made.lesions == 1 + KINDS.index("exudate")]) > healthy + 20


def test_vessels_are_there_and_darker_than_the_retina_beside_them():
    made = phantom(0, rng(1))
    assert 0.03 < made.vessels.mean() < 0.25
    y, x = np.mgrid[:128, :128] - 63.5
    field = np.hypot(x, y) < 50
    green = made.image[..., 1].astype(float)
    assert green[made.vessels & field].mean() < green[~made.vessels & field].mean() - 8


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    fundus(2, rng(0))
    assert (np.random.get_state()[1] == before).all()


def test_the_folder_reads_like_any_users_data(tmp_path):
    write_fundus_folder(tmp_path / "new" / "demo", count=6, seed=9)
    folder = tmp_path / "new" / "demo"
    with (folder / "labels.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    images, grades = fundus_set(6, seed=9)
    assert [row["file"] for row in rows] == [f"images/phantom_{i:04d}.png" for i in range(6)]
    assert [int(row["grade"]) for row in rows] == grades.tolist()
    for row, image in zip(rows, images, strict=True):
        with Image.open(folder / row["file"]) as stored:
            assert (np.asarray(stored) == image).all()
            assert stored.text["Description"] == "palpate digital phantom, synthetic"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file, no folder")
    with pytest.raises(StorageError, match="taken"):
        write_fundus_folder(Path(taken), count=1, seed=0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fundus(5, rng(0)), "no grade 5"),
        (lambda: fundus(-1, rng(0)), "no grade -1"),
        (lambda: fundus(0, rng(0), size=32), "size of 64 or more"),
        (lambda: fundus_set(-1, 0), "count of 0 or more"),
        (lambda: fundus_set(2, 0, grades=()), "at least one grade"),
        (lambda: fundus_set(2, 0, grades=(0, 9)), "no grade 9"),
    ],
)
def test_what_cannot_be_drawn_is_said(call, says):
    with pytest.raises(InputError, match=says):
        call()
