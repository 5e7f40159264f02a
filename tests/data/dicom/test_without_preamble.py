"""DICOM files that begin with their first element, as old archives hold them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from palpate.data.formats.dicom import Dicom, DicomSeries, patient_key
from palpate.data.formats.registry import format_of, read_scan
from palpate.data.formats.scan import Note
from palpate.errors import InputError
from tests.data.dicom.making import ct_series, image, noise, saved
from tests.data.specimens import specimens

PLAIN = Dicom()
NOTE = Note("pgd", "2 HU", "abc")


def bare(path: Path, *, meta: bool, implicit: bool = False) -> Path:
    """The file without its preamble, and without group 0002 by default."""
    dataset = dcmread(path)
    if implicit:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        dataset.save_as(path, implicit_vr=True, little_endian=True)
    content = path.read_bytes()[132:]
    if not meta:
        (length,) = struct.unpack("<I", content[8:12])
        content = content[12 + length :]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("meta", "implicit"), [(True, False), (False, False), (False, True), (True, True)])
def test_read_as_with_a_preamble(tmp_path: Path, meta: bool, implicit: bool) -> None:
    path = saved(tmp_path / "x", image(noise(9, 7), PatientID="someone"))
    whole, key = read_scan(path), patient_key(path)
    bare(path, meta=meta, implicit=implicit)
    assert format_of(path).name == "DICOM"
    scan = read_scan(path)
    assert scan.header == whole.header and np.array_equal(scan.stored, whole.stored)
    assert key is not None and patient_key(path) == key


@pytest.mark.parametrize("meta", [True, False])
def test_a_series_and_its_copy(tmp_path: Path, meta: bool) -> None:
    volume = noise(3, 6, 5).astype(np.int16)
    folder = ct_series(tmp_path / "ct", volume)
    whole = read_scan(folder)
    for path in folder.iterdir():
        bare(path, meta=meta)
    scan = read_scan(folder)
    assert scan.header == whole.header and np.array_equal(scan.stored, whole.stored)
    DicomSeries().write(folder, scan.stored, tmp_path / "copy", NOTE)
    copies = sorted((tmp_path / "copy").iterdir())
    assert len(copies) == 3 and all(path.read_bytes()[128:132] == b"DICM" for path in copies)
    assert np.array_equal(read_scan(tmp_path / "copy").stored, scan.stored)


def test_a_file_that_is_no_image_is_not_claimed(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.dcm", image(noise(9, 7)))
    dataset = dcmread(path)
    del dataset.Rows
    dataset.save_as(path)
    bare(path, meta=False)
    assert not PLAIN.claims(path, path.read_bytes()[:1024])
    for content in (b"\x08\0\x05\0CS\x0a\0ISO_IR 100", b"\x08\0" * 200, b"\x02\0\0\0UL\4\0" + bytes(300)):
        path.write_bytes(content)
        assert not PLAIN.claims(path, content)
        with pytest.raises(InputError, match="palpate reads"):
            format_of(path)


def test_truncated_ones_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = bare(saved(tmp_path / "x.dcm", image(noise(9, 7))), meta=False)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="truncated"):
        read_scan(path)


def test_other_formats_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    for name, content in specimens(tmp_path / "made").items():
        path = tmp_path / f"it{Path(name).suffix}"
        path.write_bytes(content)
        assert PLAIN.claims(path, content[:1024]) == (Path(name).suffix == ".dcm"), name
