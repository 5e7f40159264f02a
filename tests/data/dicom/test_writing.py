"""What copies say of themselves, and that none holds what identifies a patient unless the user asks for it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import config
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit
from pydicom.valuerep import validate_value

from palpate.data.formats.dicom import Dicom, DicomSeries, patient_key
from palpate.data.formats.dicom.kept import KEPT, NAMES, NUMBERS, TERMS
from palpate.data.formats.scan import Note
from tests.data.dicom.making import NOTE, SERIES, STUDY, ct_series, ct_slice, enhanced, image, item, noise, saved
from tests.data.pictures import shared

MARK, DIGITS = "PLANTED", "77177177"
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_TEXTS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
_DATES = {"AS": "077Y", "DA": "19770717", "DT": "19770717171717", "TM": "171717"}
_KEPT_AS_IT_IS = {"PhotometricInterpretation", "PixelRepresentation"}
WITH = Note(NOTE.attack, NOTE.eps, NOTE.identity, identifiers=True)


def plant(dataset: Dataset, deep: bool = True) -> int:
    """Put marks into every attribute that holds text, dates, UIDs, bytes or items, and into private ones."""
    planted = 0
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 in (0x0000, 0x0002, 0x7FE0, 0xFFFE) or keyword in (*NAMES, *_KEPT_AS_IT_IS) or tag == 0x00080005:
            continue
        value: object = None
        if vr in _TEXTS:
            value = MARK
        elif vr in _DATES:
            value = _DATES[vr]
        elif vr == "UI" and keyword != "SOPClassUID":
            value = f"1.2.{DIGITS}.3"
        elif vr in ("DS", "IS") and keyword not in (*NUMBERS, "NumberOfFrames"):
            value = DIGITS
        elif vr in ("OB", "OW", "UN", "OB or OW"):
            value = MARK.encode() + b"\0"
        elif vr == "SQ" and deep and keyword not in ("ModalityLUTSequence",):
            value = [item(PatientName=MARK, PatientID=MARK, TextValue=MARK, UID=f"1.2.{DIGITS}.3", Date="19770717")]
        if value is not None and (tag not in dataset or keyword in KEPT):
            if vr == "SQ" and keyword in dataset:
                continue
            if keyword in dataset and keyword not in (*TERMS, "Modality", "ImageType"):
                continue
            dataset.add_new(tag, "OB" if vr in ("OW", "OB or OW") else vr, value)
            planted += 1
    block = dataset.private_block(0x0009, f"{MARK} CREATOR", create=True)
    block.add_new(0x01, "LO", MARK)
    block.add_new(0x02, "SQ", [item(PatientName=MARK)])
    for uid in UIDS:
        setattr(dataset, uid, f"1.2.{DIGITS}.9")
    dataset.PatientName, dataset.PatientID = f"{MARK}^JANE", MARK
    dataset.preamble = (MARK.encode() * 20)[:128]
    return planted


def leaks(content: bytes) -> list[bytes]:
    return [mark for mark in (MARK.encode(), DIGITS.encode(), b"19770717", b"171717", b"077Y") if mark in content]


@pytest.mark.parametrize("kind", ["single", "enhanced", "series"])
def test_no_planted_identifier_is_in_the_copy(tmp_path: Path, kind: str) -> None:
    pixels = noise(3, 4, 6, dtype="uint16")
    with config.disable_value_validation():
        dataset = enhanced(pixels, [0.0, 1.0, 2.0]) if kind == "enhanced" else ct_slice(pixels[0], 0)
        if kind == "enhanced":
            for frame in (*dataset.SharedFunctionalGroupsSequence, *dataset.PerFrameFunctionalGroupsSequence):
                plant(frame, deep=False)
                for group in [element for element in frame if element.VR == "SQ"]:
                    group.value[0].update({0x00204000: pydicom.DataElement(0x00204000, "LT", MARK)})
                    group.value[0].private_block(0x0009, MARK, create=True).add_new(0x01, "LO", MARK)
            dataset.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0].StackID = MARK
        assert plant(dataset) > 2000
        path = saved(tmp_path / MARK / f"{MARK}.dcm", dataset)
    assert len(leaks(path.read_bytes())) == 5  # the marks do stand in the original
    if kind == "series":
        stored = DicomSeries().read(path.parent).stored
        DicomSeries().write(path.parent, stored, tmp_path / "copy", NOTE)
        copies = list((tmp_path / "copy").iterdir())
    else:
        scan = Dicom().read(path)
        Dicom().write(path, scan.stored, tmp_path / "copy.dcm", NOTE)
        copies = [tmp_path / "copy.dcm"]
    for copy in copies:
        assert not leaks(copy.read_bytes()) and MARK not in copy.name
        assert not any(element.tag.is_private for element in pydicom.dcmread(copy).iterall())
    assert MARK not in repr(Dicom().header(copies[0]))


def test_headers_hold_no_planted_identifier(tmp_path: Path) -> None:
    with config.disable_value_validation():
        dataset = ct_slice(noise(4, 6, dtype="uint16"), 0)
        plant(dataset)
        path = saved(tmp_path / "x.dcm", dataset)
    text = repr(Dicom().header(path))
    assert MARK not in text and DIGITS not in text


@pytest.mark.shared
def test_no_identifier_of_a_real_file_is_in_its_copy(tmp_path: Path) -> None:
    names = ("PatientName", "PatientID", "PatientBirthDate", "InstitutionName", "StudyDate", "AccessionNumber", *UIDS)
    for path in sorted(shared("dicom").glob("*.dcm")):
        if path.name.startswith("seg"):
            continue
        original = pydicom.dcmread(path, stop_before_pixels=True)
        Dicom().write(path, Dicom().read(path).stored, tmp_path / "copy.dcm", NOTE)
        copy = pydicom.dcmread(tmp_path / "copy.dcm", stop_before_pixels=True)
        written = {str(element.value) for element in copy.iterall() if element.VR != "SQ"}
        for name in names:
            assert not original.get(name) or str(original[name].value) not in written, (path.name, name)


def test_the_copy_says_that_it_is_derived_and_of_no_patient(tmp_path: Path) -> None:
    dataset = ct_slice(noise(4, 6, dtype="uint16"), 0, PatientName="Doe^Jane", BurnedInAnnotation="NO", KVP="120")
    path = saved(tmp_path / "x.dcm", dataset)
    Dicom().write(path, Dicom().read(path).stored, tmp_path / "copy.dcm", NOTE)
    copy = pydicom.dcmread(tmp_path / "copy.dcm")
    assert list(copy.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert copy.DerivationDescription == NOTE.text and "PGD" in NOTE.text and "2 HU" in NOTE.text
    assert copy.SeriesDescription == "palpate synthetic PGD 2 HU"
    assert copy.DerivationCodeSequence[0].CodeValue == "113042"
    assert copy.ContributingEquipmentSequence[0].Manufacturer == "palpate"
    assert (copy.PatientName, copy.PatientID, copy.PatientIdentityRemoved) == ("SYNTHETIC^PALPATE", "SYNTHETIC", "YES")
    assert copy.DeidentificationMethod and copy.BurnedInAnnotation == "NO" and copy.KVP == 120
    assert copy.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian and copy.SOPClassUID == dataset.SOPClassUID
    assert copy.file_meta.MediaStorageSOPInstanceUID == copy.SOPInstanceUID
    for uid in UIDS:
        assert copy[uid].value != dataset[uid].value
    for keyword in ("StudyDate", "StudyTime", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        assert copy[keyword].value == ""


def strictly_read(path: Path) -> list[str]:
    """The attributes of a file, every value checked against its representation; invalid ones raise."""
    elements = list(pydicom.dcmread(path).iterall())
    for element in elements:
        for value in element.value if element.VM > 1 else [element.value]:
            text = str(value) if element.VR in ("DS", "IS", "PN") and value is not None else value
            validate_value(element.VR, text, config.RAISE)
    return [element.keyword for element in elements]


@pytest.mark.parametrize("kind", ["CT", "MR", "enhanced CT", "enhanced MR", "RGB"])
def test_copies_pass_the_checks_of_pydicom_and_have_what_every_image_must(tmp_path: Path, kind: str) -> None:
    pixels = noise(2, 4, 6, dtype="uint16")
    frame_type = item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], PixelPresentation="MONOCHROME")
    if kind == "RGB":
        dataset = image(noise(4, 6, 3))
    elif kind.startswith("enhanced"):
        dataset = enhanced(pixels, [0.0, 1.0], kind[-2:])
        setattr(dataset.SharedFunctionalGroupsSequence[0], f"{kind[-2:]}ImageFrameTypeSequence", [frame_type])
    else:
        dataset = ct_slice(pixels[0], 0, Modality=kind)
    path = saved(tmp_path / "x.dcm", dataset)
    Dicom().write(path, Dicom().read(path).stored, tmp_path / "copy.dcm", NOTE)
    names = strictly_read(tmp_path / "copy.dcm")
    # Type 1 and 2 of the patient, general study, general series and general image modules (PS3.3 C.7).
    for keyword in (
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime"),
        *("ReferringPhysicianName", "StudyID", "AccessionNumber", "Modality", "SeriesInstanceUID", "SeriesNumber"),
        *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "ContentDate", "ContentTime", "ImageType"),
    ):
        assert keyword in names, keyword
    if kind in ("CT", "MR"):
        assert {"CT": "KVP", "MR": "ScanOptions"}[kind] in names and "FrameOfReferenceUID" in names
    if kind.startswith("enhanced"):
        copy = pydicom.dcmread(tmp_path / "copy.dcm")
        shared_group = copy.SharedFunctionalGroupsSequence[0]
        assert shared_group[f"{kind[-2:]}ImageFrameTypeSequence"][0].FrameType == copy.ImageType
        assert list(copy.ImageType) == ["DERIVED", "PRIMARY", "OTHER", "NONE"]
        organization = copy.DimensionOrganizationSequence[0].DimensionOrganizationUID
        assert copy.DimensionIndexSequence[0].DimensionOrganizationUID == organization


def test_numbers_that_are_none_are_left_behind(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.dcm", ct_slice(noise(4, 6, dtype="uint16"), 0, TableHeight="123.25", KVP="120"))
    path.write_bytes(path.read_bytes().replace(b"123.25", b"n/a   "))
    Dicom().write(path, Dicom().read(path).stored, tmp_path / "copy.dcm", NOTE)
    assert "TableHeight" not in strictly_read(tmp_path / "copy.dcm")


@pytest.mark.shared
def test_copies_of_real_files_pass_the_checks_of_pydicom(tmp_path: Path) -> None:
    for path in sorted(shared("dicom").glob("*.dcm")):
        if not path.name.startswith("seg"):
            Dicom().write(path, Dicom().read(path).stored, tmp_path / "copy.dcm", NOTE)
            assert "PixelData" in strictly_read(tmp_path / "copy.dcm")


def test_with_identifiers_the_original_is_kept_and_still_marked(tmp_path: Path) -> None:
    dataset = ct_slice(noise(4, 6, dtype="uint16"), 0, PatientName="Doe^Jane", PatientID="4711", StudyDate="20200102")
    dataset.IconImageSequence = [item(Rows=1)]
    dataset.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "secret")
    path = saved(tmp_path / "x.dcm", dataset)
    Dicom().write(path, Dicom().read(path).stored, tmp_path / "copy.dcm", WITH)
    copy = pydicom.dcmread(tmp_path / "copy.dcm")
    assert (copy.PatientName, copy.PatientID, copy.StudyDate) == ("Doe^Jane", "4711", "20200102")
    assert copy[0x00091001].value == "secret" and "IconImageSequence" not in copy
    assert copy.ImageType[0] == "DERIVED" and copy.DerivationDescription == NOTE.text
    assert copy.get("PatientIdentityRemoved") is None
    assert copy.SourceImageSequence[0].ReferencedSOPInstanceUID == dataset.SOPInstanceUID
    for uid in UIDS:
        assert copy[uid].value != dataset[uid].value


def test_equal_notes_make_equal_files_and_other_notes_or_pixels_other_ones(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.dcm", ct_slice(noise(4, 6, dtype="uint16"), 0))
    stored = Dicom().read(path).stored

    def written(note: Note, pixels: np.ndarray) -> tuple[bytes, Dataset]:  # type: ignore[type-arg]
        Dicom().write(path, pixels, tmp_path / "copy.dcm", note)
        return (tmp_path / "copy.dcm").read_bytes(), pydicom.dcmread(tmp_path / "copy.dcm")

    first, one = written(NOTE, stored)
    assert written(NOTE, stored)[0] == first
    _, other = written(Note(NOTE.attack, NOTE.eps, "another row"), stored)
    assert all(one[uid].value != other[uid].value for uid in UIDS)
    _, changed = written(NOTE, stored // 2)
    assert changed.SeriesInstanceUID == one.SeriesInstanceUID and changed.SOPInstanceUID != one.SOPInstanceUID


def test_long_and_strange_notes_are_cut_to_what_dicom_holds(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.dcm", image(noise(4, 6)))
    note = Note("attack\\of\n" + "many words " * 200, "½ σ", "x")
    Dicom().write(path, Dicom().read(path).stored, tmp_path / "copy.dcm", note)
    copy = pydicom.dcmread(tmp_path / "copy.dcm")
    assert len(copy.SeriesDescription) <= 64 and len(copy.DerivationDescription) <= 1024
    assert copy.SeriesDescription.startswith("palpate synthetic attack of many words")
    assert copy.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7" and copy.ConversionType == "WSD"
    with warnings.catch_warnings():  # a source without a character set holds no letter beyond ASCII
        warnings.simplefilter("error")
        Dicom().write(path, Dicom().read(path).stored, tmp_path / "copy.dcm", Note("ünlike", "½ σ", "x", True))
    assert "nlike" in pydicom.dcmread(tmp_path / "copy.dcm").SeriesDescription


def test_a_source_that_was_lossy_stays_marked_as_lossy(tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image
    from pydicom.encaps import encapsulate

    buffer = BytesIO()
    Image.fromarray(noise(16, 24)).save(buffer, "JPEG", quality=90)
    dataset = image(noise(16, 24))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    path = saved(tmp_path / "x.dcm", dataset)
    scan = Dicom().read(path)
    np.testing.assert_array_equal(scan.stored[0], np.asarray(Image.open(buffer)))
    for note in (NOTE, WITH):
        Dicom().write(path, scan.stored, tmp_path / "copy.dcm", note)
        assert pydicom.dcmread(tmp_path / "copy.dcm").LossyImageCompression == "01"
        np.testing.assert_array_equal(Dicom().read(tmp_path / "copy.dcm").stored, scan.stored)
    assert scan.header.lossless  # a copy is uncompressed: it holds exactly what is written


def test_files_of_one_patient_have_one_key(tmp_path: Path) -> None:
    def key(name: str, **attributes: str) -> str | None:
        return patient_key(saved(tmp_path / name, image(noise(4, 6), **attributes)))

    assert key("a.dcm", PatientID="17 ") == key("b.dcm", PatientID="17") is not None
    assert key("a.dcm", PatientID="17") != key("c.dcm", PatientID="18")
    assert key("a.dcm", PatientID="17") != key("d.dcm", PatientID="17", IssuerOfPatientID="elsewhere")
    assert key("e.dcm") is None and key("f.dcm", PatientID="") is None
    folder = ct_series(tmp_path / "ct", noise(3, 4, 6, dtype="int16", high=9), PatientID="17")
    assert patient_key(folder) == key("a.dcm", PatientID="17")
    (tmp_path / "none").mkdir()
    assert patient_key(tmp_path / "none") is None
    Dicom().write(tmp_path / "a.dcm", Dicom().read(tmp_path / "a.dcm").stored, tmp_path / "copy.dcm", NOTE)
    assert patient_key(tmp_path / "copy.dcm") is None
    assert STUDY not in str(key("a.dcm", PatientID="17")) and SERIES not in str(key("a.dcm", PatientID="17"))
