"""Every DICOM file that cannot be read, or cannot be trusted, gives one sentence that names it and the fix."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from palpate.data.formats.dicom import Dicom
from palpate.data.formats.scan import Format
from palpate.errors import InputError
from tests.data.dicom.making import NOTE, enhanced, image, item, noise, saved
from tests.data.dicom.making import segmentation as seg

PLAIN: Format = Dicom()
PIXELS = noise(6, 8)


def compressed(uid: str, frame: bytes = b"\xff\xd8\xff\xd9", **attributes: Any) -> Dataset:
    dataset = image(PIXELS, **attributes)
    dataset.file_meta.TransferSyntaxUID = uid
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    return dataset


def stacked(places: list[float], **attributes: Any) -> Dataset:
    return enhanced(noise(len(places), 4, 6), places, **attributes)


def rescaled_frames() -> Dataset:
    dataset = stacked([0.0, 1.0])
    del dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    for slope, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence, start=1):
        frame.PixelValueTransformationSequence = [item(RescaleSlope=slope, RescaleIntercept=0)]
    return dataset


def turned_frames() -> Dataset:
    dataset = stacked([0.0, 1.0])
    turned = item(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    dataset.PerFrameFunctionalGroupsSequence[1].PlaneOrientationSequence = [turned]
    return dataset


def floating() -> Dataset:
    dataset = image(PIXELS, BitsAllocated=32)
    del dataset.PixelData
    dataset.FloatPixelData = PIXELS.astype("<f4").tobytes()
    return dataset


REFUSED: list[tuple[str, Callable[[], Dataset]]] = [
    ("holds no pixel data", lambda: image(PIXELS, PixelData=None)),
    ("stores floating-point pixels", floating),
    ("is a DICOM segmentation. Name it as the mask", lambda: seg([(1, 0.0, PIXELS > 99)], {1: "liver"})),
    ("declares 0 x 6 pixels", lambda: image(PIXELS, Columns=0)),
    ("declares 8 x 0 pixels", lambda: image(PIXELS, Rows=None)),
    ("declares 65535 x 65535 pixels, and palpate reads up to", lambda: image(PIXELS, Rows=65535, Columns=65535)),
    ("declares 20000000 frames of 6 x 8 pixels", lambda: image(PIXELS, NumberOfFrames=20_000_000)),
    ("declares -1 frames", lambda: image(PIXELS, NumberOfFrames=-1)),
    ("is truncated: its header declares 480 bytes", lambda: image(PIXELS, NumberOfFrames=10)),
    ("stores 32 of 32 bits", lambda: image(PIXELS.astype("uint32"))),
    ("stores 9 of 8 bits", lambda: image(PIXELS, 9)),
    ("highest bit is 7, where 6 bits end at 5", lambda: image(PIXELS // 4, 6, HighBit=7)),
    ("bits stored allow 0 to 15: readers disagree", lambda: image(PIXELS, 4)),
    ("maps its pixels by a table", lambda: image(PIXELS, ModalityLUTSequence=[item(ModalityLUTType="HU")])),
    ("RescaleSlope is not a number that can map pixels", lambda: image(PIXELS, RescaleSlope=0)),
    ("stores HSV colours", lambda: image(noise(4, 6, 3), PhotometricInterpretation="HSV")),
    ("stores unnamed colours", lambda: image(PIXELS, PhotometricInterpretation=None)),
    ("stores another number of samples per pixel than RGB has", lambda: image(PIXELS, PhotometricInterpretation="RGB")),
    ("its colour table has no", lambda: image(PIXELS, PhotometricInterpretation="PALETTE COLOR")),
    ("2 different rescale slopes and intercepts", rescaled_frames),
    ("frame 1 and frame 2 have different directions", turned_frames),
    ("frame 1 and frame 3 are at one position", lambda: stacked([0.0, 1.0, 0.0])),
    ("slices are missing between frame 3 at 2.00 mm and frame 4", lambda: stacked([0.0, 1.0, 2.0, 4.0, 5.0])),
    ("stored as JPEG-LS Lossless.*pip install pyjpegls", lambda: compressed(JPEGLSLossless)),
    ("stored as JPEG Extended.*pip install python-gdcm", lambda: compressed("1.2.840.10008.1.2.4.51", BitsStored=12)),
    ("stored as JPEG Lossless.*pip install python-gdcm", lambda: compressed("1.2.840.10008.1.2.4.70")),
    ("stored as MPEG2.*does not read", lambda: compressed("1.2.840.10008.1.2.4.100")),
]


@pytest.mark.parametrize(("message", "made"), REFUSED)
def test_refused_from_the_header_or_on_reading(tmp_path: Path, message: str, made: Callable[[], Dataset]) -> None:
    path = saved(tmp_path / "x.dcm", made())
    with pytest.raises(InputError, match=message) as caught:
        PLAIN.read(path)
    assert str(path) in str(caught.value)


def test_jpeg_2000_without_a_decoder_says_what_to_install(tmp_path: Path, monkeypatch: Any) -> None:
    path = saved(tmp_path / "x.dcm", compressed(JPEG2000Lossless))
    decoder = pydicom.pixels.get_decoder(JPEG2000Lossless)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(InputError, match=r"JPEG 2000.*pip install 'palpate\[jpeg2000\]'"):
        PLAIN.header(path)


def sized(rows: int, columns: int) -> bytes:
    """The start of a JPEG that declares a size."""
    return b"\xff\xd8\xff\xc0\x00\x0b\x08" + rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + bytes(50)


def siz(rows: int, columns: int) -> bytes:
    """The start of a JPEG 2000 codestream that declares a size."""
    words = b"".join(number.to_bytes(4, "big") for number in (columns, rows, 0, 0))
    return b"\xff\x4f\xff\x51\x00\x29\x00\x00" + words + bytes(50)


def rle_bomb() -> bytes:
    return b"\x01\0\0\0\x40\0\0\0" + bytes(56) + b"\x81\0" * 200_000


@pytest.mark.parametrize(
    ("uid", "frame"),
    [
        (JPEGBaseline8Bit, sized(60000, 60000)),
        (JPEG2000Lossless, siz(60000, 60000)),
        (JPEG2000Lossless, b"nothing that is known"),
        (RLELossless, rle_bomb()),
    ],
)
def test_a_frame_that_would_decode_to_more_than_its_header_says(tmp_path: Path, uid: str, frame: bytes) -> None:
    path = saved(tmp_path / "x.dcm", compressed(uid, frame))
    with pytest.raises(InputError, match="an encoded frame has another size than 6 x 8"):
        PLAIN.read(path)


def test_a_deflated_bomb_is_not_inflated_beyond_the_bound(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("palpate.data.formats.dicom.files.MAX_INFLATED", 2**17)
    dataset = image(PIXELS)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    path = saved(tmp_path / "x.dcm", dataset)
    content = path.read_bytes()
    meta = content[: 144 + int.from_bytes(content[140:144], "little")]
    engine = zlib.compressobj(9, wbits=-15)
    path.write_bytes(meta + engine.compress(bytes(2**26)) + engine.flush())
    assert path.stat().st_size < 2**17
    tracemalloc.start()
    for action in (PLAIN.header, PLAIN.read):
        with pytest.raises(InputError, match="inflates to more than 131,072 bytes"):
            action(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_a_header_that_declares_far_more_than_the_file_holds_allocates_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.dcm", image(PIXELS, Rows=8192, Columns=8192))
    tracemalloc.start()
    with pytest.raises(InputError, match="is truncated"):
        PLAIN.read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_a_file_that_holds_far_more_than_its_header_declares_is_not_read(tmp_path: Path, monkeypatch: Any) -> None:
    path = saved(tmp_path / "x.dcm", image(PIXELS, PixelData=bytes(2**21)))
    assert PLAIN.read(path).header.shape == (1, 6, 8)  # some surplus does no harm
    monkeypatch.setattr("palpate.data.formats.dicom.header.MAX_SURPLUS", 2**20)
    tracemalloc.start()
    with pytest.raises(InputError, match="holds 2,097,164 bytes of pixels, and its header declares 48"):
        PLAIN.read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_attributes_that_no_one_asks_for_are_not_read(tmp_path: Path) -> None:
    dataset = image(PIXELS)
    dataset.private_block(0x0009, "ACME", create=True).add_new(0x01, "OB", bytes(2**24))
    path = saved(tmp_path / "x.dcm", dataset)
    PLAIN.write(path, PLAIN.read(path).stored, tmp_path / "first.dcm", NOTE)  # imports
    tracemalloc.start()
    stored = PLAIN.read(path).stored
    PLAIN.write(path, stored, tmp_path / "copy.dcm", NOTE)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "text.dcm").write_text("DICM" * 20)
    for name, message in (
        ("none.dcm", "does not exist"),
        ("empty.dcm", "is empty"),
        ("text.dcm", "is not a DICOM file"),
    ):
        with pytest.raises(InputError, match=message):
            PLAIN.header(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        PLAIN.header(tmp_path)


def test_errors_hold_no_words_of_the_file(tmp_path: Path) -> None:
    with config.disable_value_validation():
        dataset = image(PIXELS, PhotometricInterpretation="JANE DOE OF 7 ELM ST", PatientName="DOE^JANE")
        path = saved(tmp_path / "x.dcm", dataset)
    with pytest.raises(InputError, match="stores unnamed colours") as caught:
        PLAIN.header(path)
    assert "DOE" not in str(caught.value)


def test_numbers_that_do_not_fit_the_source_are_not_written(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.dcm", image(noise(6, 8, high=4095, dtype="uint16"), 12))
    stored = PLAIN.read(path).stored
    for numbers, message in (
        (stored[:, :5], r"the copy has \(1, 5, 8\)"),
        (stored.astype("float32"), "of type float32"),
        (stored + np.uint16(1), "from 0 to 4095, and those to be written reach from 1 to 4096"),
    ):
        with pytest.raises(InputError, match=message):
            PLAIN.write(path, numbers, tmp_path / "copy.dcm", NOTE)
    with pytest.raises(InputError, match="is the original"):
        PLAIN.write(path, stored, path, NOTE)
    assert not (tmp_path / "copy.dcm").exists()


def small(folder: Path) -> list[bytes]:
    """Valid small files of several kinds."""
    rle, j2k, deflated = (image(noise(40, 48)) for _ in range(3))
    rle.compress(RLELossless, generate_instance_uid=False)
    j2k.compress(JPEG2000Lossless, generate_instance_uid=False)
    deflated.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    kinds = [image(PIXELS), image(noise(6, 8, 3)), stacked([0.0, 1.0]), rle, j2k, deflated]
    return [saved(folder / f"{n}.dcm", dataset).read_bytes() for n, dataset in enumerate(kinds)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    pytest.importorskip("openjpeg")
    return small(tmp_path_factory.mktemp("small"))


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_files_only_ever_give_one_sentence(
    files: list[bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(data.draw(st.sampled_from(files)))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 4))):
        if len(content) > 132:
            content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzzed.dcm"
    path.write_bytes(bytes(content))
    refusal = ""
    try:
        scan = PLAIN.read(path)
        PLAIN.write(path, scan.stored, path.with_name("copy.dcm"), NOTE)
        np.testing.assert_array_equal(PLAIN.read(path.with_name("copy.dcm")).stored, scan.stored)
    except InputError as error:
        refusal = str(error)
    assert not refusal or (str(path.parent) in refusal and "NameError" not in refusal)
