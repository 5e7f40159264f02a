"""DICOM in tables: SEG files as masks, series as volumes, patients as groups that name no one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from palpate.data.annotations.labels import ClassLabels, MaskLabels
from palpate.data.layouts.csv_table import CsvTable
from palpate.data.listing import About
from palpate.data.table import Table, read_table
from palpate.errors import InputError
from tests.data.dicom.making import ct_series, ct_slice, noise, saved, segmentation
from tests.data.pictures import shared

ROWS, COLUMNS, SLICES = 5, 7, 4
PLACES = [place * 2.5 - 5 for place in range(SLICES)]
VOLUME = noise(SLICES, ROWS, COLUMNS, high=900, dtype="int16")
LEFT, RIGHT = np.zeros((2, SLICES, ROWS, COLUMNS), dtype=bool)
LEFT[1:3, :, :3], RIGHT[2:, 1:4, 3:] = True, True


def drawn(path: Path, names: dict[int, str], *masks: np.ndarray) -> Path:
    """A SEG of one mask a segment, in the order of the numbers."""
    frames = [
        (number, place, plane)
        for number, mask in zip(names, masks, strict=True)
        for place, plane in zip(PLACES, mask, strict=True)
    ]
    return saved(path, segmentation(frames, names))


def table(folder: Path, line: str = "ct,seg.dcm", **options: object) -> Table:
    (folder / "labels.csv").write_text(f"file,mask\n{line}\n")
    return read_table(CsvTable(folder / "labels.csv"), MaskLabels(**options))  # type: ignore[arg-type]


def test_segments_are_matched_by_name(tmp_path: Path) -> None:
    ct_series(tmp_path / "ct", VOLUME)
    drawn(tmp_path / "seg.dcm", {1: "Right lung", 2: "LEFT LUNG"}, RIGHT, LEFT)
    told = table(tmp_path, names=["left lung", "right lung"])
    assert told[0].name == "ct" and told.shape_of(0) == (1, SLICES, ROWS, COLUMNS)
    np.testing.assert_array_equal(told.image(0)[0], VOLUME.astype(np.float32) - 1024)
    np.testing.assert_array_equal(told.annotation(0).labels, LEFT + 2 * RIGHT)
    assert told.annotation(0).spacing == told.spacing(0) == pytest.approx((2.5, 0.5, 0.75))
    three = table(tmp_path, names=["right lung", "heart", "left lung"]).annotation(0)
    np.testing.assert_array_equal(three.labels, RIGHT + 3 * LEFT)


def test_segments_are_matched_by_number_where_told(tmp_path: Path) -> None:
    ct_series(tmp_path / "ct", VOLUME)
    drawn(tmp_path / "seg.dcm", {2: "a", 7: "b"}, RIGHT, LEFT)
    np.testing.assert_array_equal(table(tmp_path, values=(7, 2)).annotation(0).labels, LEFT + 2 * RIGHT)
    with pytest.raises(InputError, match=r"has the segments 2 a, 7 b, and data\.values names 3"):
        table(tmp_path, values=(3,)).annotation(0)


def test_a_segment_that_is_no_structure(tmp_path: Path) -> None:
    ct_series(tmp_path / "ct", VOLUME)
    drawn(tmp_path / "seg.dcm", {1: "left", 2: "heart"}, LEFT, RIGHT)
    with pytest.raises(InputError, match="has the segment 'heart', and the structures are left, right"):
        table(tmp_path, names=["left", "right"]).annotation(0)


def test_segments_that_overlap(tmp_path: Path) -> None:
    ct_series(tmp_path / "ct", VOLUME)
    drawn(tmp_path / "seg.dcm", {1: "whole", 2: "part"}, LEFT | RIGHT, RIGHT)
    with pytest.raises(InputError, match=r"whole and part overlap in .* Set task\.exclusive = false"):
        table(tmp_path, names=["whole", "part"]).annotation(0)
    annotation = table(tmp_path, names=["whole", "part"], exclusive=False).annotation(0)
    assert annotation.overlapping
    np.testing.assert_array_equal(annotation.labels, [LEFT | RIGHT, RIGHT])


def test_a_mask_of_single_slices(tmp_path: Path) -> None:
    saved(tmp_path / "a.dcm", ct_slice(VOLUME[0], PLACES[1]))
    saved(tmp_path / "seg.dcm", segmentation([(1, PLACES[1], LEFT[1])], {1: "left"}))
    np.testing.assert_array_equal(table(tmp_path, "a.dcm,seg.dcm", names=["left"]).annotation(0).labels, LEFT[1])


def test_the_identity_follows_the_segments(tmp_path: Path) -> None:
    ct_series(tmp_path / "ct", VOLUME)
    drawn(tmp_path / "seg.dcm", {1: "a", 2: "b"}, LEFT, RIGHT)
    first, second = (table(tmp_path, names=names).fingerprint() for names in (["a", "b"], ["b", "a"]))
    assert first != second
    drawn(tmp_path / "seg.dcm", {1: "a", 2: "b"}, LEFT, RIGHT[::-1])
    assert table(tmp_path, names=["a", "b"]).fingerprint() != first


def test_class_folders_of_files_and_of_series(tmp_path: Path) -> None:
    ct_series(tmp_path / "ill/scan", VOLUME, SeriesInstanceUID="1.2.3")
    saved(tmp_path / "well/IM0001", ct_slice(VOLUME[0], 0))
    saved(tmp_path / "well/patient/a.dcm", ct_slice(VOLUME[0], 0, SeriesInstanceUID="1.2.4"))
    saved(tmp_path / "well/patient/b.dcm", ct_slice(VOLUME[1], 0, SeriesInstanceUID="1.2.5"))
    (tmp_path / "well/notes.txt").write_text("no image")
    found = Table.from_folders(tmp_path)
    assert [case.name for case in found] == ["ill/scan", "well/IM0001", "well/patient/a.dcm", "well/patient/b.dcm"]
    assert found.shape_of(0) == (1, SLICES, ROWS, COLUMNS) and found.shape_of(1) == (1, ROWS, COLUMNS)


def test_patients_are_told_apart_and_not_named(tmp_path: Path) -> None:
    for number, patient in enumerate(["MEIER^1", "ZOLA^2", "MEIER^1", None]):
        more = {} if patient is None else {"PatientID": patient}
        saved(tmp_path / f"x/{number}.dcm", ct_slice(VOLUME[0], 0, SeriesInstanceUID=f"1.{number}", **more))
    saved(tmp_path / "y/4.dcm", ct_slice(VOLUME[0], 0, PatientID="ZOLA^2"))
    grouped = Table.from_folders(tmp_path).by_patient()
    assert [case.group for case in grouped] == ["patient 1", "patient 2", "patient 1", "x/3.dcm", "patient 2"]
    assert not any(name in repr(grouped) for name in ("MEIER", "ZOLA"))


def test_the_scanner_stands_in_the_header(tmp_path: Path) -> None:
    for name in ("a", "b"):
        scanner = {"Manufacturer": "Acme", "ManufacturerModelName": "One"}
        saved(tmp_path / f"{name}.dcm", ct_slice(VOLUME[0], 0, **scanner))
    (tmp_path / "labels.csv").write_text("file,label,device\na.dcm,0,\nb.dcm,1,Other\n")
    told = read_table(CsvTable(tmp_path / "labels.csv", tmp_path, about=About(scanner="device")), ClassLabels())
    assert [told.scanner(row) for row in range(2)] == ["Acme One", "Other"]


@pytest.mark.shared
def test_a_real_segmentation(tmp_path: Path) -> None:
    path = shared("dicom") / "seg_liver.dcm"
    original = pydicom.dcmread(path)
    common = original.SharedFunctionalGroupsSequence[0]
    for number, frame in enumerate(original.PerFrameFunctionalGroupsSequence):
        geometry = {
            "ImagePositionPatient": frame.PlanePositionSequence[0].ImagePositionPatient,
            "ImageOrientationPatient": common.PlaneOrientationSequence[0].ImageOrientationPatient,
            "PixelSpacing": common.PixelMeasuresSequence[0].PixelSpacing,
            "FrameOfReferenceUID": original.FrameOfReferenceUID,
        }
        saved(tmp_path / f"ct/{9 - number}.dcm", ct_slice(np.zeros((512, 512), "int16"), 0, **geometry))
    (tmp_path / "seg.dcm").symlink_to(path.resolve())
    np.testing.assert_array_equal(table(tmp_path, names=["liver"]).annotation(0).labels, original.pixel_array)
