import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label

from palpate.data.formats.images import read_image
from palpate.data.formats.registry import header_of
from palpate.data.formats.volumes import read_volume_header
from palpate.data.phantoms import (
    LUNGS,
    thorax_set,
    thorax_slice,
    thorax_volume,
    write_thorax_folder,
    write_thorax_volumes,
)
from palpate.errors import InputError, StorageError


def rng(seed):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def slices():
    return [thorax_slice(rng(seed)) for seed in range(24)]


@pytest.fixture(scope="module")
def volume():
    return thorax_volume(rng(3))


def test_the_seed_alone_decides():
    first, again, other = (thorax_set(3, seed, size=64) for seed in (3, 3, 4))
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()


def test_a_longer_set_begins_with_the_shorter_one():
    short, long = thorax_set(2, 0, size=64), thorax_set(4, 0, size=64)
    assert all((few == many[:2]).all() for few, many in zip(short, long, strict=True))


def test_shapes_types_and_spacing(slices, volume):
    assert slices[0].image.shape == slices[0].lungs.shape == slices[0].lesions.shape == (128, 128)
    assert (slices[0].image.dtype, slices[0].lungs.dtype, slices[0].lesions.dtype) == (np.int16, np.uint8, np.bool_)
    assert slices[0].spacing == (2.75, 2.75)
    assert volume.image.shape == volume.lungs.shape == volume.lesions.shape == (48, 64, 64)
    assert volume.spacing == (6.0, 5.5, 5.5)
    images, lungs, lesions = thorax_set(0, seed=1)
    assert images.shape == lungs.shape == lesions.shape == (0, 128, 128)


def test_hounsfield_units_are_those_of_the_tissues(slices):
    for made in slices:
        assert made.image.min() >= -1024 and made.image.max() <= 3071
        assert np.abs(made.image[:4].mean() + 1000) < 20, "air above the patient"
        healthy = made.image[(made.lungs > 0) & ~made.lesions]
        assert -920 < np.median(healthy) < -700
        assert (made.image > 300).sum() > 100, "bone"
        soft = (made.image > -150) & (made.image < 250)
        assert 0.1 < soft.mean() < 0.6


def test_lesions_lie_in_the_lungs_and_are_denser_than_they_are(slices):
    sick = [made for made in slices if made.lesions.sum() > 30]
    assert len(sick) >= 8 and any(not made.kinds and not made.lesions.any() for made in slices)
    for made in sick:
        assert (made.lungs[made.lesions] > 0).all()
        healthy = (made.lungs > 0) & ~made.lesions
        assert made.image[made.lesions].mean() > made.image[healthy].mean() + 80


def test_left_is_the_patients_left_on_the_right_of_the_image(slices):
    assert LUNGS == ("left lung", "right lung")
    for made in slices:
        left, right = (np.argwhere(made.lungs == number)[:, 1].mean() for number in (1, 2))
        assert left > right + 30
    # The heart lies more to the left, so that the left lungs are the smaller ones on the whole.
    assert sum((made.lungs == 1).sum() - (made.lungs == 2).sum() for made in slices) < 0


def test_each_lung_is_one_piece_in_the_volume(volume):
    for number in (1, 2):
        pieces, count = label(volume.lungs == number)
        sizes = np.bincount(pieces.reshape(-1))[1:]
        assert sizes.max() > 0.97 * sizes.sum(), count
    millilitres = (volume.lungs > 0).sum() * np.prod(volume.spacing) / 1000
    assert 1500 < millilitres < 8000


def test_the_volume_stands_upright(volume):
    """The first slices are the lowest: liver and spleen fill the chest there, and lungs narrow to the apex above."""
    area = (volume.lungs > 0).sum((1, 2))
    assert area[24] > 2 * area[2] and area[24] > 2 * area[-6] and area[-1] == 0
    back = np.argwhere(volume.image[24] > 400)[:, 0].mean()
    assert back > 32, "the spine lies below the middle of the image"


def test_noise_is_grain_without_slow_drift():
    made = thorax_slice(rng(5))
    corner = made.image[:24, :24].astype(float)
    assert corner.std() > 3
    assert np.abs(np.corrcoef(corner[:, :-4].ravel(), corner[:, 4:].ravel())[0, 1]) < 0.2


def test_the_folder_reads_like_any_users_data(tmp_path):
    folder = tmp_path / "new" / "demo"
    write_thorax_folder(folder, count=3, seed=9)
    with (folder / "images.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    images, lungs, lesions = thorax_set(3, seed=9)
    assert [row["image"] for row in rows] == [f"images/phantom_{i:04d}.png" for i in range(3)]
    for row, image, mask, sick in zip(rows, images, lungs, lesions, strict=True):
        assert (read_image(folder / row["image"])[0].astype(int) - 1024 == image).all()
        stored = read_image(folder / row["mask"])[0]
        assert ((stored == 3) == sick).all() and (stored[~sick] == mask[~sick]).all()
        for name in row.values():
            with Image.open(folder / name) as stored:
                assert stored.text["Description"] == "palpate digital phantom, synthetic"


def test_a_folder_may_hold_hounsfield_units(tmp_path):
    write_thorax_folder(tmp_path, count=1, seed=9, hounsfield=True)
    header = header_of(tmp_path / "images" / "phantom_0000.tif")
    assert (header.format, header.dtype, header.shape) == ("TIFF", "int16", (1, 128, 128))
    assert (read_image(tmp_path / "images" / "phantom_0000.tif")[0] == thorax_set(1, seed=9)[0][0]).all()
    with Image.open(tmp_path / "images" / "phantom_0000.tif") as stored:
        assert stored.tag_v2[270] == "palpate digital phantom, synthetic"


def test_volumes_are_stored_with_their_size_and_sides(tmp_path):
    write_thorax_volumes(tmp_path, count=1, seed=4)
    stored = nibabel.load(tmp_path / "images" / "phantom_0000.nii.gz")
    masks = nibabel.load(tmp_path / "masks" / "phantom_0000.nii.gz")
    assert stored.shape == masks.shape == (64, 64, 48)
    assert nibabel.aff2axcodes(stored.affine) == ("L", "P", "S")
    assert bytes(stored.header["descrip"]).startswith(b"palpate digital phantom, synthetic")
    assert sorted(read_volume_header(tmp_path / "images" / "phantom_0000.nii.gz").spacing) == [5.5, 5.5, 6.0]
    labels = np.asarray(masks.dataobj)
    # In the world's coordinates, which grow to the patient's right, the left lung lies below the right one.
    left, right = ((masks.affine[:3, :3] @ np.argwhere(labels == number).mean(0))[0] for number in (1, 2))
    assert left < right - 50
    hounsfield = np.asarray(stored.dataobj)
    assert np.median(hounsfield[labels == 2]) < -700 and hounsfield.min() >= -1024


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file, no folder")
    with pytest.raises(StorageError, match="taken"):
        write_thorax_folder(Path(taken), count=1, seed=0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: thorax_slice(rng(0), size=32), "64 or more"),
        (lambda: thorax_volume(rng(0), size=16), "32 or more"),
        (lambda: thorax_volume(rng(0), depth=4), "16 or more"),
        (lambda: thorax_set(-1, 0), "count of 0 or more"),
    ],
)
def test_what_cannot_be_drawn_is_said(call, says):
    with pytest.raises(InputError, match=says):
        call()
