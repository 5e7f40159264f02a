"""Volumes: read exactly as stored, and every header that cannot be trusted is refused before its voxels are read."""

from __future__ import annotations

import gzip
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palpate.data.formats.registry import read_scan, write_copy
from palpate.data.formats.scan import Note
from palpate.data.formats.volumes import MAX_VOXELS, is_volume, read_volume, read_volume_header, same_grid
from palpate.data.table import Folder, Table
from palpate.errors import InputError
from tests.data.volumes import AFFINE, changed, scan, write


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_voxels_are_read_as_stored(tmp_path: Path, name: str, dtype: str) -> None:
    voxels = scan(3, 5, 4).astype(dtype)
    volume = read_volume(write(tmp_path / name, voxels))
    assert volume.array.dtype == np.float32 and volume.array.shape == (1, 3, 5, 4) and volume.kind == dtype
    np.testing.assert_array_equal(volume.array[0], voxels.astype(np.float32))
    assert volume.spacing == pytest.approx((0.5, 2.0, 3.0))


def test_slope_and_intercept_give_the_values_of_the_scanner(tmp_path: Path) -> None:
    stored = scan(3, 5, 4)
    path = changed(write(tmp_path / "ct.nii", stored), "scl_slope", 2.0, "scl_inter", -1024.0)
    np.testing.assert_array_equal(read_volume(path).array[0], stored * 2.0 - 1024.0)


def test_axes_keep_the_order_and_direction_of_the_file(tmp_path: Path) -> None:
    turned = np.array([[0.0, 0, -3, 5], [0.5, 0, 0, 6], [0, -2.0, 0, 7], [0, 0, 0, 1]])
    voxels = scan(3, 5, 4)
    volume = read_volume(write(tmp_path / "v.nii.gz", voxels, turned))
    np.testing.assert_array_equal(volume.array[0], voxels)
    assert volume.spacing == pytest.approx((0.5, 2.0, 3.0))


def test_the_second_version_of_the_format(tmp_path: Path) -> None:
    voxels = scan(3, 5, 4)
    image = nibabel.Nifti2Image(voxels, AFFINE)
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "v.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "v.nii.gz").array[0], voxels)


def test_the_other_order_of_bytes(tmp_path: Path) -> None:
    voxels = scan(3, 5, 4)
    image = nibabel.Nifti1Image(voxels.astype(">i2"), AFFINE, nibabel.Nifti1Header(endianness=">"))
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "v.nii")
    volume = read_volume(tmp_path / "v.nii")
    np.testing.assert_array_equal(volume.array[0], voxels)
    assert volume.spacing == pytest.approx((0.5, 2.0, 3.0)) and volume.array.dtype.isnative


def test_the_header_alone_says_shape_kind_and_spacing(tmp_path: Path) -> None:
    path = write(tmp_path / "v.nii", scan(3, 5, 4))
    path.write_bytes(path.read_bytes()[:352])  # no voxel is left
    header = read_volume_header(path)
    assert (header.shape, header.kind) == ((3, 5, 4), "int16") and header.spacing is not None
    with pytest.raises(InputError, match=r"v\.nii is not a complete NIfTI volume"):
        read_volume(path)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("micron", 1e-3), ("meter", 1e3)])
def test_spacing_is_in_millimetres_whatever_the_unit_of_the_file(tmp_path: Path, unit: str, factor: float) -> None:
    path = write(tmp_path / "v.nii", scan(3, 5, 4), unit=unit)
    assert read_volume(path).spacing == pytest.approx((0.5 * factor, 2.0 * factor, 3.0 * factor))


def test_spacing_that_no_one_has_written_is_unknown(tmp_path: Path) -> None:
    ones = np.eye(4)
    blank = write(tmp_path / "blank.nii", scan(3, 5, 4), ones, unit="unknown")
    assert read_volume(blank).spacing is None and read_volume_header(blank).spacing is None
    isotropic = write(tmp_path / "mm.nii", scan(3, 5, 4), ones, unit="mm")
    assert read_volume(isotropic).spacing == (1.0, 1.0, 1.0)
    unlabelled = write(tmp_path / "sizes.nii", scan(3, 5, 4), unit="unknown")
    assert read_volume(unlabelled).spacing == pytest.approx((0.5, 2.0, 3.0))


def test_one_frame_behind_a_fourth_axis_is_a_volume(tmp_path: Path) -> None:
    voxels = scan(3, 5, 4)
    np.testing.assert_array_equal(read_volume(write(tmp_path / "v.nii", voxels[..., None])).array[0], voxels)


@pytest.mark.parametrize(
    ("sizes", "shape", "place"),
    [
        ((3, 5, 4, 2), (2, 3, 5, 4), 3),
        ((3, 5, 4, 1, 2), (2, 3, 5, 4), 4),  # as ITK writes vectors
        ((2, 3, 5, 17), (2, 3, 5, 17), 0),
        ((2, 5, 6, 4), (2, 5, 6, 4), 0),
        ((3, 5, 1, 2), (2, 3, 5), 3),
        ((3, 5, 1), (1, 3, 5), None),
        ((3, 5), (1, 3, 5), None),
        ((1, 5, 4), (1, 1, 5, 4), None),
    ],
)
def test_channels_and_slices_are_read_and_written_back(
    tmp_path: Path, sizes: tuple[int, ...], shape: tuple[int, ...], place: int | None
) -> None:
    voxels = scan(*sizes)
    path = write(tmp_path / "v.nii.gz", voxels)
    held = read_scan(path)
    assert held.stored.shape == held.header.shape == shape
    expected = voxels if place is None else np.moveaxis(voxels, place, 0)
    np.testing.assert_array_equal(held.stored, expected.reshape(shape))
    write_copy(path, held.stored + 1, tmp_path / "copy.nii.gz", Note("pgd", "1", "x"))
    copy: Any = nibabel.load(tmp_path / "copy.nii.gz")
    np.testing.assert_array_equal(np.asarray(copy.dataobj), voxels + 1)
    np.testing.assert_array_equal(copy.affine, nibabel.load(path).affine)  # type: ignore[attr-defined]


def test_the_spacing_is_that_of_the_axes_in_space(tmp_path: Path) -> None:
    assert read_volume(write(tmp_path / "last.nii", scan(3, 5, 4, 2))).spacing == (0.5, 2.0, 3.0)
    assert read_volume(write(tmp_path / "slice.nii", scan(3, 5, 1, 2))).spacing == (0.5, 2.0)
    assert read_volume(write(tmp_path / "plane.nii", scan(3, 5))).spacing == (0.5, 2.0)
    first = changed(write(tmp_path / "first.nii", scan(2, 3, 5, 17)), "pixdim", [1, 1, 0.5, 2, 3, 1, 1, 1])
    assert read_volume(first).spacing == (0.5, 2.0, 3.0)


def test_a_mask_of_a_volume_with_channels_lies_on_its_grid(tmp_path: Path) -> None:
    image = read_volume_header(write(tmp_path / "image.nii", scan(3, 5, 4, 2)))
    assert same_grid(image, read_volume_header(write(tmp_path / "mask.nii", scan(3, 5, 4))))
    plane = read_volume_header(write(tmp_path / "plane.nii", scan(3, 5)))
    assert same_grid(plane, read_volume_header(write(tmp_path / "slice.nii", scan(3, 5, 1))))


def test_grids_differ_by_what_their_corners_say(tmp_path: Path) -> None:
    first = read_volume_header(write(tmp_path / "a.nii", scan(3, 5, 4)))
    rounded, moved, turned = AFFINE.copy(), AFFINE.copy(), AFFINE @ np.diag([-1.0, 1, 1, 1])
    rounded[:3, 3] += 1e-4
    moved[0, 3] += 1.0
    assert same_grid(first, read_volume_header(write(tmp_path / "b.nii", scan(3, 5, 4), rounded)))
    for other in (moved, turned):
        assert not same_grid(first, read_volume_header(write(tmp_path / "c.nii", scan(3, 5, 4), other)))


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(17, 5, 4, 17), (3, 5, 4, 2, 2), (17, 5, 4, 1, 20)])
def test_a_series_of_volumes_in_one_file(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    path = write(tmp_path / "fmri.nii.gz", scan(*sizes))
    with pytest.raises(InputError, match=r"fmri\.nii\.gz holds .* a series of volumes\. .*up to 16 .*Save each"):
        read_volume(path)


def test_one_axis_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"p\.nii has one axis \(3\)"):
        read_volume(write(tmp_path / "p.nii", scan(3)))


@pytest.mark.parametrize(
    ("dtype", "words"), [(np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]), "colours"), ("complex64", "complex64")]
)
def test_voxels_that_are_no_single_numbers(tmp_path: Path, dtype: object, words: str) -> None:
    image = nibabel.Nifti1Image(np.zeros((3, 5, 4), dtype=dtype), AFFINE)
    image.to_filename(tmp_path / "v.nii")
    with pytest.raises(InputError, match=rf"v\.nii stores .*{words}.*one number per voxel\. Convert it"):
        read_volume(tmp_path / "v.nii")


@pytest.mark.parametrize(("value", "word", "fix"), [(np.nan, "NaN", "nan = 0"), (np.inf, "infinity", "Repair it")])
def test_voxels_that_are_not_finite(tmp_path: Path, value: float, word: str, fix: str) -> None:
    voxels = scan(3, 5, 4).astype(np.float32)
    voxels[1, 2, 3] = value
    with pytest.raises(InputError, match=rf"v\.nii holds {word} in 1 of 60 voxels\..*{fix}"):
        read_volume(write(tmp_path / "v.nii", voxels))


def test_absurd_sizes_are_refused_from_the_header(tmp_path: Path) -> None:
    path = write(tmp_path / "v.nii", scan(3, 5, 4))
    side = round(MAX_VOXELS ** (1 / 3)) + 2
    changed(path, "dim", [3, side, side, side, 1, 1, 1, 1])
    with pytest.raises(InputError, match=rf"v\.nii: its header declares {side} x .*up to 536,870,912"):
        read_volume(path)


@pytest.mark.parametrize("shape", [(3, 0, 4), (3, -5, 4)])
def test_an_axis_without_voxels(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = changed(write(tmp_path / "v.nii", scan(3, 5, 4)), "dim", [3, *shape, 1, 1, 1, 1])
    with pytest.raises(InputError, match=rf"v\.nii: its header declares 3 x {shape[1]} x 4 voxels"):
        read_volume(path)


@pytest.mark.parametrize("offset", [-1.0, 1e12, np.nan])
def test_voxels_that_begin_nowhere(tmp_path: Path, offset: float) -> None:
    path = changed(write(tmp_path / "v.nii", scan(3, 5, 4)), "vox_offset", offset)
    with pytest.raises(InputError, match=r"v\.nii: its header puts the voxels at byte"):
        read_volume(path)


@pytest.mark.parametrize("size", [0.0, -2.0, np.nan])
def test_voxels_without_a_size(tmp_path: Path, size: float) -> None:
    path = changed(write(tmp_path / "v.nii", scan(3, 5, 4)), "pixdim", [1, 0.5, size, 3, 0, 0, 0, 0])
    with pytest.raises(InputError, match=r"v\.nii: its voxels have the size 0\.5 x .* x 3\. Write .* \(pixdim\)"):
        read_volume_header(path)


def test_voxels_with_two_sizes(tmp_path: Path) -> None:
    path = changed(write(tmp_path / "v.nii", scan(3, 5, 4)), "pixdim", [1, 0.5, 2.5, 3, 0, 0, 0, 0])
    with pytest.raises(InputError, match=r"0\.5 x 2\.5 x 3 by pixdim, and 0\.5 x 2 x 3 by its affine"):
        read_volume_header(path)


def test_damaged_and_truncated_gzip(tmp_path: Path) -> None:
    path = write(tmp_path / "v.nii.gz", scan(30, 30, 30))
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-4], whole[:-8] + b"\0" * 8, b"\x1f\x8b" + b"\0" * 50):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"v\.nii\.gz is not a complete NIfTI volume .* Copy it again"):
            read_volume(path)


@pytest.mark.parametrize("content", [b"short", b"\0" * 600, b"\x89PNG\r\n\x1a\n" + b"x" * 600])
def test_a_file_that_is_no_volume(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.nii"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"v\.nii is not a (complete|single-file) NIfTI"):
        read_volume(path)


@given(flips=st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_whatever_a_header_holds_is_read_or_refused_in_a_sentence(flips: list[tuple[int, int]]) -> None:
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "v.nii", scan(3, 5, 4))
        content = bytearray(path.read_bytes())
        for place, value in flips:
            content[place] = value
        path.write_bytes(bytes(content))
        try:
            array = read_volume(path).array
        except InputError:
            return  # any other error fails the test
        assert array.dtype == np.float32 and np.isfinite(array).all()
        assert array.shape == (1, *read_volume_header(path).shape)


def test_a_unit_that_does_not_exist(tmp_path: Path) -> None:
    path = changed(write(tmp_path / "v.nii", scan(3, 5, 4)), "xyzt_units", 6)
    with pytest.raises(InputError, match=r"v\.nii is not a complete NIfTI volume \(its header holds an unknown code"):
        read_volume_header(path)


def test_a_missing_and_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"v\.nii does not exist"):
        read_volume(tmp_path / "v.nii")
    (tmp_path / "v.nii").write_bytes(b"")
    with pytest.raises(InputError, match=r"v\.nii is empty"):
        read_volume(tmp_path / "v.nii")
    (tmp_path / "d.nii").mkdir()
    with pytest.raises(InputError, match=r"d\.nii is not a complete NIfTI volume"):
        read_volume(tmp_path / "d.nii")


def test_a_compressed_file_without_the_ending_of_one(tmp_path: Path) -> None:
    path = write(tmp_path / "v.nii", scan(3, 5, 4))
    path.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_volume(path).array[0], scan(3, 5, 4))


# -- in a table --------------------------------------------------------------------------------------------------------


def test_tables_of_classes_hold_volumes_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.nii.gz", scan(3, 5, 4))
    (tmp_path / "labels.csv").write_text("file,label\na.nii.gz,0\nb,1\n")
    table = Table.from_csv(tmp_path / "labels.csv", tmp_path)
    assert isinstance(table.source, Folder) and [case.name for case in table] == ["a.nii.gz", "b.nii.gz"]
    assert table.shape() == table.shape_of(1) == table.image(1).shape == (1, 3, 5, 4)
    assert table.form().describe() == "grey, 3 x 5 x 4 voxels, float32"
    assert is_volume("A.NII.GZ") and not is_volume("a.gz")
