"""DICOM SEG: frames land on the slices that they were drawn on, structures stay apart, and other grids are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from palpate.data.formats.dicom import DicomSeries, read_segmentation
from palpate.errors import InputError
from tests.data.dicom.making import FRAME, ct_series, ct_slice, enhanced, image, item, noise, saved, segmentation
from tests.data.pictures import shared

ROWS, COLUMNS, SLICES = 5, 7, 6
PLACES = [place * 2.5 - 5 for place in range(SLICES)]
VOLUME = noise(SLICES, ROWS, COLUMNS, high=900, dtype="int16")


def mask(seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.random.default_rng(seed).random((ROWS, COLUMNS)) > 0.5


@pytest.fixture
def series(tmp_path: Path) -> Path:
    return ct_series(tmp_path / "ct", VOLUME)


def test_frames_in_any_order_land_on_their_slices(tmp_path: Path, series: Path) -> None:
    frames = [(1, PLACES[4], mask(0)), (2, PLACES[1], mask(1)), (1, PLACES[1], mask(2)), (2, PLACES[5], mask(3))]
    path = saved(tmp_path / "seg.dcm", segmentation(frames, {1: "Liver", 2: "Tumour", 3: "Spleen"}))
    masks = read_segmentation(path, series)
    assert masks.names == ("Liver", "Tumour", "Spleen") and masks.spacing == (2.5, 0.5, 0.75)
    assert masks.labels.shape == (3, SLICES, ROWS, COLUMNS) and masks.labels.dtype == np.uint8
    expected = np.zeros((3, SLICES, ROWS, COLUMNS), dtype=np.uint8)
    expected[0, 4], expected[1, 1], expected[0, 1], expected[1, 5] = mask(0), mask(1), mask(2), mask(3)
    np.testing.assert_array_equal(masks.labels, expected)
    assert (masks.labels[0] & masks.labels[1]).any()  # overlapping structures stay apart


def test_frames_without_a_position_go_by_the_slice_that_they_refer_to(tmp_path: Path, series: Path) -> None:
    files = [pydicom.dcmread(path) for path in series.iterdir()]
    uid = next(file.SOPInstanceUID for file in files if file.ImagePositionPatient[2] == PLACES[2])
    path = saved(tmp_path / "seg.dcm", segmentation([(1, None, mask(0))], {1: "Liver"}, [uid]))
    labels = read_segmentation(path, series).labels
    np.testing.assert_array_equal(labels[0, 2], mask(0))
    assert labels.sum() == mask(0).sum()
    strange = saved(tmp_path / "other.dcm", segmentation([(1, None, mask(0))], {1: "Liver"}, ["1.2.3"]))
    with pytest.raises(InputError, match=r"frame 1 refers to no slices of .* and does not say where it is") as caught:
        read_segmentation(strange, series)
    assert uid not in str(caught.value)


def test_a_single_slice(tmp_path: Path) -> None:
    picture = saved(tmp_path / "ct.dcm", ct_slice(VOLUME[0], 3))
    path = saved(tmp_path / "seg.dcm", segmentation([(1, 3.0, mask(0)), (4, 3.0, mask(1))], {1: "Left", 4: "Right"}))
    masks = read_segmentation(path, picture)
    assert masks.labels.shape == (2, ROWS, COLUMNS) and masks.spacing == (0.5, 0.75)
    np.testing.assert_array_equal(masks.labels, [mask(0), mask(1)])


def test_a_picture_without_a_place_goes_by_its_reference(tmp_path: Path) -> None:
    dataset = image(noise(ROWS, COLUMNS))
    picture = saved(tmp_path / "us.dcm", dataset)
    path = saved(tmp_path / "seg.dcm", segmentation([(1, None, mask(0))], {1: "Cyst"}, [dataset.SOPInstanceUID]))
    np.testing.assert_array_equal(read_segmentation(path, picture).labels[0], mask(0))


def test_an_enhanced_image_whose_frames_are_sorted(tmp_path: Path) -> None:
    places = [5.0, -5.0, 0.0]
    dataset = enhanced(noise(3, ROWS, COLUMNS), places)
    picture = saved(tmp_path / "ct.dcm", dataset)
    path = saved(tmp_path / "seg.dcm", segmentation([(1, -5.0, mask(0)), (1, 5.0, mask(1))], {1: "Liver"}))
    np.testing.assert_array_equal(
        read_segmentation(path, picture).labels[0], [mask(0), np.zeros_like(mask(0)), mask(1)]
    )
    referring = segmentation([(1, None, mask(2))], {1: "Liver"}, [dataset.SOPInstanceUID])
    sources = referring.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence
    sources[0].ReferencedFrameNumber = 3  # the file's third frame lies in the middle
    path = saved(tmp_path / "frame.dcm", referring)
    np.testing.assert_array_equal(read_segmentation(path, picture).labels[0, 1], mask(2))


def test_a_label_map(tmp_path: Path, series: Path) -> None:
    numbers = np.stack([mask(0) * 1 + mask(1) * 2, mask(2) * 3]).astype(np.uint8)
    dataset = segmentation(
        [(1, PLACES[0], mask(0)), (1, PLACES[3], mask(0))], {0: "Background", 1: "A", 2: "B", 3: "C"}
    )
    dataset.SegmentationType, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = "LABELMAP", 8, 8, 7
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.7"
    dataset.PixelData = numbers.tobytes() + b"\0" * (numbers.size % 2)
    masks = read_segmentation(saved(tmp_path / "seg.dcm", dataset), series)
    assert masks.names == ("A", "B", "C")
    for number in (1, 2, 3):
        np.testing.assert_array_equal(masks.labels[number - 1][[0, 3]], numbers == number)
    del dataset.SegmentSequence[3]
    with pytest.raises(InputError, match="holds the label 3, which it does not describe"):
        read_segmentation(saved(tmp_path / "seg.dcm", dataset), series)


def test_names_that_are_missing_or_stand_twice(tmp_path: Path, series: Path) -> None:
    path = saved(tmp_path / "seg.dcm", segmentation([(1, PLACES[0], mask(0))], {1: "Lesion", 2: "", 5: "Lesion"}))
    assert read_segmentation(path, series).names == ("Lesion 1", "segment 2", "Lesion 2")


def changed(dataset: pydicom.Dataset, **attributes: Any) -> pydicom.Dataset:
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def shared_group(dataset: pydicom.Dataset, **attributes: Any) -> pydicom.Dataset:
    return changed(dataset, SharedFunctionalGroupsSequence=[item(**attributes)])


def one() -> pydicom.Dataset:
    return segmentation([(1, PLACES[1], mask(0))], {1: "Liver"})


def moved(*position: float) -> pydicom.Dataset:
    dataset = one()
    dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence = [item(ImagePositionPatient=list(position))]
    return dataset


MEASURES, TURNED = item(PixelSpacing=[0.5, 0.75]), item(ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
STRAIGHT = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
REFUSED = [
    ("stores fractions", lambda: changed(one(), SegmentationType="FRACTIONAL")),
    ("is not a complete segmentation", lambda: changed(one(), SegmentationType="OTHER")),
    ("is DICOM, but not a segmentation", lambda: image(noise(ROWS, COLUMNS))),
    (
        "has 5 x 8 pixels, and its image .* 5 x 7",
        lambda: segmentation([(1, 0.0, mask(0)[:, [0, *range(7)]])], {1: "x"}),
    ),
    ("its pixels have other sizes", lambda: shared_group(one(), PixelMeasuresSequence=[item(PixelSpacing=[1, 1])])),
    (
        "rows or columns have other directions",
        lambda: shared_group(one(), PixelMeasuresSequence=[MEASURES], PlaneOrientationSequence=[TURNED]),
    ),
    ("frame 1 is on no slice of .* nearest is 1.00 mm away", lambda: moved(-10, -20, -1.5)),
    ("first pixel is shifted by 3.00 mm", lambda: moved(-7, -20, -2.5)),
    ("in another frame of reference", lambda: changed(one(), FrameOfReferenceUID="1.2.3")),
    ("names no structure", lambda: changed(one(), SegmentSequence=[])),
    ("frame 1 has no structure", lambda: segmentation([(9, PLACES[1], mask(0))], {1: "Liver"})),
]


@pytest.mark.parametrize(("message", "made"), REFUSED)
def test_what_was_not_drawn_on_this_image_is_refused(tmp_path: Path, series: Path, message: str, made: Any) -> None:
    path = saved(tmp_path / "seg.dcm", made())
    with pytest.raises(InputError, match=message) as caught:
        read_segmentation(path, series)
    assert str(path) in str(caught.value) and FRAME not in str(caught.value)


def test_too_many_structures_are_refused_before_they_are_read(tmp_path: Path, series: Path, monkeypatch: Any) -> None:
    path = saved(tmp_path / "seg.dcm", one())
    monkeypatch.setattr("palpate.data.formats.dicom.segmentation.MAX_LABELS", SLICES * ROWS * COLUMNS - 1)
    with pytest.raises(InputError, match="holds 1 structures of 6 x 5 x 7 voxels"):
        read_segmentation(path, series)


@pytest.mark.shared
def test_a_real_segmentation_on_slices_made_at_its_places(tmp_path: Path) -> None:
    path = shared("dicom") / "seg_liver.dcm"
    original = pydicom.dcmread(path)
    frames = original.PerFrameFunctionalGroupsSequence
    common = original.SharedFunctionalGroupsSequence[0]
    for number, frame in enumerate(frames):
        geometry = {
            "ImagePositionPatient": frame.PlanePositionSequence[0].ImagePositionPatient,
            "ImageOrientationPatient": common.PlaneOrientationSequence[0].ImageOrientationPatient,
            "PixelSpacing": common.PixelMeasuresSequence[0].PixelSpacing,
            "FrameOfReferenceUID": original.FrameOfReferenceUID,
        }
        saved(tmp_path / f"{9 - number}.dcm", ct_slice(np.zeros((512, 512), "int16"), 0, **geometry))
    masks = read_segmentation(path, tmp_path)
    assert masks.names == ("Liver",) and masks.spacing == pytest.approx((1.0, 0.810547, 0.810547))
    assert masks.labels.shape == DicomSeries().header(tmp_path).shape
    np.testing.assert_array_equal(masks.labels[0], original.pixel_array)
