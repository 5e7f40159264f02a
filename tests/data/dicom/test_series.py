"""A folder of slices: sorted along the normal, refused where it is not one even volume, written back as a folder."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from palpate.data.formats.dicom import Dicom, DicomSeries
from palpate.data.formats.dicom.series import slices_of
from palpate.data.formats.registry import header_of
from palpate.data.formats.scan import Format
from palpate.errors import InputError, StorageError
from tests.data.dicom.making import NOTE, ct_series, ct_slice, image, noise, saved
from tests.data.pictures import shared

SERIES: Format = DicomSeries()


def volume(slices: int = 6) -> np.ndarray[Any, Any]:
    return noise(slices, 5, 7, low=-2048, high=2047, dtype="int16")


def test_slices_are_sorted_by_position_whatever_their_names(tmp_path: Path) -> None:
    stored = volume()
    scan = SERIES.read(ct_series(tmp_path / "ct", stored))
    np.testing.assert_array_equal(scan.stored[0], stored)
    header = scan.header
    assert header == SERIES.header(tmp_path / "ct") and header.format == "DICOM series"
    assert header.shape == (1, 6, 5, 7) and header.spacing == (2.5, 0.5, 0.75)
    assert header.unit == "HU" and header.window == (-160, 240) and header.lattice == (-32768, 32767)
    np.testing.assert_array_equal(scan.values[0], stored - 1024.0)


def test_slices_of_another_direction_are_sorted_along_their_normal(tmp_path: Path) -> None:
    stored = volume(3)
    turned = [0, 1, 0, 0, 0, -1]  # sagittal: rows run to the back, columns down; the normal is -x
    for place, along in enumerate((30, 20, 10)):
        position = {"ImagePositionPatient": [along, 0, 0], "ImageOrientationPatient": turned}
        saved(tmp_path / f"{place}.dcm", ct_slice(stored[place], 0, **position))
    scan = SERIES.read(tmp_path)
    np.testing.assert_array_equal(scan.stored[0], stored)
    assert scan.header.spacing == (10, 0.5, 0.75)


def test_a_tilted_gantry_keeps_its_order_and_the_distance_across_the_slices(tmp_path: Path) -> None:
    stored = volume(4)
    for place in range(4):
        shifted = {"ImagePositionPatient": [0, place * 1.5, place * 2.0]}
        saved(tmp_path / f"{9 - place}.dcm", ct_slice(stored[place], 0, **shifted))
    scan = SERIES.read(tmp_path)
    np.testing.assert_array_equal(scan.stored[0], stored)
    assert scan.header.spacing == (2.0, 0.5, 0.75)


def test_rounded_positions_are_even_enough(tmp_path: Path) -> None:
    stored = volume(5)
    for place, along in enumerate((0, 0.62, 1.25, 1.88, 2.5)):
        saved(tmp_path / f"{place}.dcm", ct_slice(stored[place], along))
    assert SERIES.header(tmp_path).spacing == (0.625, 0.5, 0.75)


def test_a_single_slice_is_a_volume_of_one(tmp_path: Path) -> None:
    saved(tmp_path / "a.dcm", ct_slice(volume(1)[0], 0, SliceThickness=3))
    header = SERIES.header(tmp_path)
    assert header.shape == (1, 1, 5, 7) and header.spacing == (3, 0.5, 0.75)


def test_colour_slices(tmp_path: Path) -> None:
    stored = noise(3, 4, 6, 3)
    for place in range(3):
        where = {"ImagePositionPatient": [0, 0, place], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        saved(tmp_path / f"{place}.dcm", image(stored[place], **where))
    np.testing.assert_array_equal(SERIES.read(tmp_path).stored, stored.transpose(3, 0, 1, 2))


def test_what_is_no_dicom_is_passed_over(tmp_path: Path) -> None:
    ct_series(tmp_path / "ct", volume())
    (tmp_path / "ct" / "notes.txt").write_text("x" * 300)
    (tmp_path / "ct" / "empty.dcm").write_bytes(b"")
    (tmp_path / "ct" / "more").mkdir()
    saved(tmp_path / "ct" / "more" / "other.dcm", ct_slice(volume(1)[0], 99))
    saved(tmp_path / "ct" / ".hidden.dcm", ct_slice(volume(1)[0], 99))
    directory = image(noise(4, 6))
    directory.SOPClassUID = "1.2.840.10008.1.3.10"
    saved(tmp_path / "ct" / "DICOMDIR", directory)
    assert SERIES.claims(tmp_path / "ct", b"") and SERIES.header(tmp_path / "ct").shape == (1, 6, 5, 7)


def test_claims_folders_that_hold_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 300)
    assert not SERIES.claims(tmp_path, b"")
    path = saved(tmp_path / "b.dcm", image(noise(4, 6)))
    assert SERIES.claims(tmp_path, b"") and not SERIES.claims(path, path.read_bytes()[:132])


def test_the_copy_is_a_folder_of_one_new_series(tmp_path: Path) -> None:
    stored = volume()
    source = ct_series(tmp_path / "ct", stored)
    scan = SERIES.read(source)
    changed = scan.stored.copy()
    changed[0, :, 2, 3] = [-2, -1, 0, 1, 2, 3]
    SERIES.write(source, changed, tmp_path / "copy", NOTE)
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [f"000{n}.dcm" for n in range(1, 7)]
    again = SERIES.read(tmp_path / "copy")
    np.testing.assert_array_equal(again.stored, changed)
    assert again.header == scan.header
    assert [each.path.name for each in slices_of(tmp_path / "copy")[1]] == [f"000{n}.dcm" for n in range(1, 7)]
    files = [pydicom.dcmread(path) for path in sorted((tmp_path / "copy").iterdir())]
    originals = [pydicom.dcmread(path) for path in source.iterdir()]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({str(file[keyword].value) for file in files}) == 1
    assert len({file.SOPInstanceUID for file in files}) == 6 and [file.InstanceNumber for file in files] == [
        *range(1, 7)
    ]
    uids = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID")
    assert not {str(f[k].value) for f in files for k in uids} & {str(f[k].value) for f in originals for k in uids}
    assert not list(tmp_path.glob(".*"))


def test_equal_notes_make_equal_folders_and_replace_each_other(tmp_path: Path) -> None:
    source = ct_series(tmp_path / "ct", volume())
    stored = SERIES.read(source).stored
    SERIES.write(source, stored, tmp_path / "copy", NOTE)
    first = {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()}
    SERIES.write(source, stored, tmp_path / "copy", NOTE)
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == first


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    source = ct_series(tmp_path / "ct", volume())
    stored = SERIES.read(source).stored
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(StorageError, match="thesis contains other files than slices"):
        SERIES.write(source, stored, tmp_path / "thesis", NOTE)
    with pytest.raises(InputError, match="is the original"):
        SERIES.write(source, stored, source, NOTE)
    assert (tmp_path / "thesis" / "chapter.tex").exists() and len(list(source.iterdir())) == 6


def test_a_copy_that_fails_leaves_nothing_and_keeps_what_stood_there(tmp_path: Path, monkeypatch: Any) -> None:
    source = ct_series(tmp_path / "ct", volume())
    stored = SERIES.read(source).stored
    SERIES.write(source, stored, tmp_path / "copy", NOTE)
    before = {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()}
    calls = []

    def full(path: Path, data: bytes) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise StorageError("The disk is full")
        path.write_bytes(data)

    monkeypatch.setattr("palpate.data.formats.dicom.series.write_atomically", full)
    with pytest.raises(StorageError, match="disk is full"):
        SERIES.write(source, stored + np.int16(1) - np.int16(1), tmp_path / "copy", NOTE)
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == before
    assert not list(tmp_path.glob(".*"))


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no DICOM file"):
        SERIES.read(tmp_path)
    with pytest.raises(InputError, match="cannot be opened"):
        SERIES.read(tmp_path / "none")


def spoiled(folder: Path, name: str, dataset: pydicom.Dataset) -> Path:
    ct_series(folder, volume())
    saved(folder / name, dataset)
    return folder


OTHER = volume(1)[0]
REFUSED = [
    ("holds slices of 2 series", ct_slice(OTHER, 10, SeriesInstanceUID=generate_uid(entropy_srcs=["other"]))),
    ("different sizes \\(5 x 7 and 6 x 7\\)", ct_slice(noise(6, 7, dtype="int16", high=9), 10)),
    ("have different directions", ct_slice(OTHER, 10, ImageOrientationPatient=[1, 0, 0, 0, 0, -1])),
    ("are at one position \\(0.00 mm", ct_slice(OTHER, 0)),
    ("slices are missing between .* at 7.50 mm and zz.dcm at 12.50 mm: 5.00 mm, where", ct_slice(OTHER, 12.5)),
    ("the spacing is uneven between .* and zz.dcm at 9.00 mm: 1.50 mm, where .* 2.50 mm", ct_slice(OTHER, 9)),
    (
        "zz.dcm is a localizer .* and the other 6 files",
        ct_slice(OTHER, 10, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
    ),
    ("is a copy of zz.dcm. Remove", ct_slice(volume()[2], 0, WindowWidth=401)),
    ("in different units \\(HU and OD\\)", ct_slice(OTHER, 10, RescaleType="OD")),
    ("with different bits", ct_slice(OTHER.astype("uint16"), 10)),
    ("with different bits", ct_slice(OTHER, 10, PhotometricInterpretation="MONOCHROME1")),
    ("pixels of different spacing", ct_slice(OTHER, 10, PixelSpacing=[1, 1])),
    ("zz.dcm holds no pixel data", ct_slice(OTHER, 10, PixelData=None)),
    ("zz.dcm does not give its position", ct_slice(OTHER, 10, ImagePositionPatient=None)),
    ("zz.dcm does not give its position", ct_slice(OTHER, 10, ImageOrientationPatient=[0, 0, 0, 0, 0, 0])),
    ("different sizes", ct_slice(volume(2), 10)),
]


@pytest.mark.parametrize(("message", "dataset"), REFUSED)
def test_what_is_not_one_even_volume_is_refused(tmp_path: Path, message: str, dataset: pydicom.Dataset) -> None:
    folder = spoiled(tmp_path / "ct", "zz.dcm", dataset)
    for action in (SERIES.header, SERIES.read):
        with pytest.raises(InputError, match=message) as caught:
            action(folder)
        assert str(folder) in str(caught.value)
        for uid in ("SeriesInstanceUID", "SOPInstanceUID", "StudyInstanceUID"):
            assert str(dataset[uid].value) not in str(caught.value)


def test_a_copy_of_a_slice_is_named_as_a_copy(tmp_path: Path) -> None:
    folder = ct_series(tmp_path / "ct", volume())
    first = sorted(folder.iterdir())[0]
    (folder / f"{first.stem}(1).dcm").write_bytes(first.read_bytes())
    with pytest.raises(InputError, match=rf"{first.stem}\(1\)\.dcm is a copy of {first.name}\. Remove the copies"):
        SERIES.read(folder)


def test_a_slice_without_the_rescale_of_the_others_is_refused(tmp_path: Path) -> None:
    for place, slab in enumerate(volume()):
        slope = {} if place == 1 else {"RescaleSlope": 1.5, "RescaleIntercept": 0.0}
        made = ct_slice(slab, place * 2.5, Modality="PT", Units="BQML", **slope)
        if not slope:
            for keyword in ("RescaleSlope", "RescaleIntercept"):
                if keyword in made:
                    delattr(made, keyword)
        saved(tmp_path / "pet" / f"{place}.dcm", made)
    with pytest.raises(InputError, match=r"1\.dcm has no RescaleSlope, and other slices have one \(1 of "):
        SERIES.read(tmp_path / "pet")


def test_slices_with_rescales_of_their_own_are_read_exactly(tmp_path: Path) -> None:
    numbers = volume()
    maps = [(1.0 + 0.1 * place, 7.0 * place) for place in range(len(numbers))]
    for place, (slope, intercept) in enumerate(maps):
        more = {"RescaleSlope": slope, "RescaleIntercept": intercept, "Modality": "PT", "Units": "BQML"}
        saved(tmp_path / "pet" / f"{place}.dcm", ct_slice(numbers[place], place * 2.5, **more))
    read = SERIES.read(tmp_path / "pet")
    expected = np.stack([slab * slope + intercept for slab, (slope, intercept) in zip(numbers, maps, strict=True)])
    np.testing.assert_array_equal(read.values[0], expected.astype(np.float32))
    assert (read.header.unit, read.header.lattice, read.header.lossless) == ("Bq/ml", None, False)
    assert header_of(tmp_path / "pet").form.dtype == "float32"
    SERIES.write(tmp_path / "pet", read.stored, tmp_path / "copy", NOTE)
    np.testing.assert_array_equal(SERIES.read(tmp_path / "copy").stored, read.stored)
    SERIES.write(tmp_path / "pet", read.stored + 0.3, tmp_path / "copy", NOTE)
    apart = np.abs(SERIES.read(tmp_path / "copy").stored - read.stored - 0.3)
    assert (apart.max(axis=(0, 2, 3)) <= np.array([slope for slope, _ in maps]) / 2 + 1e-9).all()


@pytest.mark.parametrize(
    ("old", "new"), [(b"1.2.826.0.1", b"1.2.8_6.0.1"), (b"\x20\x00\x32\x00DS", b"\x20\x00\x32\x00D?")]
)
def test_damaged_attributes_of_a_slice_give_one_sentence_and_no_warning(tmp_path: Path, old: bytes, new: bytes) -> None:
    folder = ct_series(tmp_path / "ct", volume())
    path = sorted(folder.iterdir())[0]
    path.write_bytes(path.read_bytes()[:400] + path.read_bytes()[400:].replace(old, new))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r"\.dcm is a truncated or damaged|holds slices of 2 series") as caught:
            DicomSeries().read(folder)
    assert "1.2." not in str(caught.value)


def test_multi_frame_files_are_named_themselves(tmp_path: Path) -> None:
    saved(tmp_path / "a.dcm", ct_slice(volume(2), 0))
    with pytest.raises(InputError, match=r"a\.dcm holds several frames\. Name the file itself"):
        SERIES.header(tmp_path)


def test_too_many_files_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: Any) -> None:
    ct_series(tmp_path / "ct", volume())
    monkeypatch.setattr("palpate.data.formats.dicom.series.MAX_SLICES", 5)
    with pytest.raises(InputError, match="holds 6 DICOM files"):
        SERIES.header(tmp_path / "ct")
    monkeypatch.undo()
    monkeypatch.setattr("palpate.data.formats.dicom.series.MAX_VOXELS", 6 * 5 * 7 - 1)
    with pytest.raises(InputError, match="voxels, and palpate reads up to 209"):
        SERIES.header(tmp_path / "ct")


@pytest.mark.shared
def test_a_real_slice_as_a_series_of_one(tmp_path: Path) -> None:
    shutil.copy(shared("dicom") / "ct_head_cq500.dcm", tmp_path / "slice.dcm")
    scan = SERIES.read(tmp_path)
    single = Dicom().read(tmp_path / "slice.dcm")
    np.testing.assert_array_equal(scan.stored[:, 0], single.stored)
    assert scan.header.spacing == (20.0, 0.478516, 0.478516) and scan.header.unit == "HU"
