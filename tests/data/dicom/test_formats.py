"""One DICOM file: stored numbers bit for bit, what they mean, and copies that hold exactly what was written."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from palpate.data.formats.dicom import Dicom
from palpate.data.formats.scan import Format, Header
from tests.data.dicom.making import NOTE, enhanced, image, noise, saved
from tests.data.pictures import shared

FILES = (
    *("ct_head_cq500", "ct_abdomen_pancreas_j2k", "ct_small_128", "ct_chest_lidc", "mr_abdomen_siemens_overlay"),
    *("mr_small_64", "mr_head_enhanced_multiframe", "mr_brain_t1_tumor", "cr_chest_j2k_monochrome1", "cr_chest_jpeg"),
    "us_rgb_j2k",
)
PLAIN: Format = Dicom()


def round_trip(path: Path, header: Header | None = None) -> Header:
    """Read, write and read again; the copy holds the same numbers and says the same of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scan = PLAIN.read(path)
        assert PLAIN.header(path) == scan.header and scan.stored.shape == scan.header.shape
        assert scan.stored.dtype.name == scan.header.dtype and scan.stored.flags.writeable
        copy = path.parent / "out" / "copy.dcm"
        copy.parent.mkdir(exist_ok=True)
        PLAIN.write(path, scan.stored, copy, NOTE)
        again = PLAIN.read(copy)
    np.testing.assert_array_equal(again.stored, scan.stored)
    assert again.header == scan.header
    return scan.header


@pytest.mark.shared
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("identifiers", [False, True])
def test_real_files_keep_every_stored_number(tmp_path: Path, name: str, identifiers: bool) -> None:
    path = shared("dicom") / f"{name}.dcm"
    scan = PLAIN.read(path)
    note = type(NOTE)(NOTE.attack, NOTE.eps, NOTE.identity, identifiers)
    PLAIN.write(path, scan.stored, tmp_path / "copy.dcm", note)
    again = PLAIN.read(tmp_path / "copy.dcm")
    np.testing.assert_array_equal(again.stored, scan.stored)
    np.testing.assert_array_equal(again.values, scan.values)
    assert again.header == scan.header


@pytest.mark.shared
def test_real_files_hold_what_their_list_says() -> None:
    folder = shared("dicom")
    with open(folder / "files.csv", encoding="utf-8", newline="") as handle:
        rows = {row["file"]: row for row in csv.DictReader(handle)}
    for name in FILES:
        row, scan = rows[f"{name}.dcm"], PLAIN.read(folder / f"{name}.dcm")
        # Decoders of lossy JPEG may differ by one grey level (ISO 10918-2).
        slack = 1 if row["transfer_syntax"].startswith("JPEG Baseline") else 0
        assert abs(int(scan.stored.min()) - int(row["pixel_min"])) <= slack, name
        assert abs(int(scan.stored.max()) - int(row["pixel_max"])) <= slack, name
        assert scan.header.dtype == row["dtype"] and scan.header.modality == row["modality"][:2]
        assert scan.header.inverted == (row["photometric"] == "MONOCHROME1")
        if row["rescale_slope"]:
            assert scan.values.min() == float(row["rescaled_min"]), name
            assert scan.values.max() == float(row["rescaled_max"]), name


@pytest.mark.shared
def test_what_a_real_head_ct_says() -> None:
    header = PLAIN.header(shared("dicom") / "ct_head_cq500.dcm")
    assert (header.unit, header.slope, header.intercept, header.step) == ("HU", 1, -1024, 1)
    assert header.lattice == (-8192, 8191) and header.bounds == (-9216, 7167)  # 14 bits, signed
    assert header.spacing == (0.478516, 0.478516) and header.window == (-10, 90)


@pytest.mark.parametrize("bits", [1, 7, 8])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_eight_bits_allocated(tmp_path: Path, bits: int, dtype: str) -> None:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype == "int8" else (0, 2**bits - 1)
    pixels = noise(5, 7, low=low, high=high, dtype=dtype)
    path = saved(tmp_path / "x.dcm", image(pixels, bits))
    np.testing.assert_array_equal(PLAIN.read(path).stored[0], pixels)
    header = round_trip(path)
    assert header.lattice == (low, high) and header.dtype == dtype and header.shape == (1, 5, 7)


@pytest.mark.parametrize("bits", [10, 12, 15, 16])
@pytest.mark.parametrize("dtype", ["uint16", "int16"])
def test_sixteen_bits_allocated(tmp_path: Path, bits: int, dtype: str) -> None:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype == "int16" else (0, 2**bits - 1)
    pixels = noise(5, 7, low=low, high=high, dtype=dtype)
    path = saved(tmp_path / "x.dcm", image(pixels, bits, RescaleSlope="0.5", RescaleIntercept="-7"))
    np.testing.assert_array_equal(PLAIN.read(path).values[0], (pixels * 0.5 - 7).astype(np.float32))
    header = round_trip(path)
    assert header.lattice == (low, high) and header.step == 0.5 and header.dtype == dtype
    written = pydicom.dcmread(tmp_path / "out" / "copy.dcm")
    assert (written.BitsAllocated, written.BitsStored, written.HighBit) == (16, bits, bits - 1)


def test_monochrome1_is_told_and_never_inverted(tmp_path: Path) -> None:
    pixels = noise(5, 7)
    path = saved(tmp_path / "x.dcm", image(pixels, PhotometricInterpretation="MONOCHROME1"))
    assert round_trip(path).inverted
    np.testing.assert_array_equal(PLAIN.read(path).stored[0], pixels)
    assert pydicom.dcmread(tmp_path / "out" / "copy.dcm").PhotometricInterpretation == "MONOCHROME1"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("identifiers", [False, True])
def test_other_encodings_of_the_file(tmp_path: Path, syntax: Any, identifiers: bool) -> None:
    pixels = noise(5, 7, low=-2000, high=2047, dtype="int16")
    dataset = image(pixels, 12, PixelPaddingValue=-2000, WindowCenter=40, WindowWidth=400, PatientName="Doe^Jane")
    dataset["PixelPaddingValue"].VR = "SS"
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = pixels.astype(">i2").tobytes()
    path = saved(tmp_path / "x.dcm", dataset)
    scan = PLAIN.read(path)
    np.testing.assert_array_equal(scan.stored[0], pixels)
    assert scan.stored.dtype.isnative and scan.header.lattice == (-2048, 2047)
    note = type(NOTE)(NOTE.attack, NOTE.eps, NOTE.identity, identifiers)
    PLAIN.write(path, scan.stored, tmp_path / "copy.dcm", note)
    np.testing.assert_array_equal(PLAIN.read(tmp_path / "copy.dcm").stored, scan.stored)
    written = pydicom.dcmread(tmp_path / "copy.dcm")
    assert written.PixelPaddingValue == -2000 and (written.WindowCenter, written.WindowWidth) == (40, 400)


def test_padding_beyond_the_bits_stored_widens_the_lattice_to_all_bits(tmp_path: Path) -> None:
    pixels = noise(5, 7, low=-100, high=2000, dtype="int16")
    pixels[0, 0] = -3000
    path = saved(tmp_path / "x.dcm", image(pixels, 12, PixelPaddingValue=-3000))
    assert round_trip(path).lattice == (-32768, 32767)
    np.testing.assert_array_equal(PLAIN.read(path).stored[0], pixels)
    assert pydicom.dcmread(tmp_path / "out" / "copy.dcm").BitsStored == 16


def test_an_overlay_in_the_unused_bits_is_no_part_of_the_pixels(tmp_path: Path) -> None:
    pixels = noise(5, 7, high=4095, dtype="uint16")
    dataset = image(pixels | (noise(5, 7, high=1, dtype="uint16") << 12), 12)
    dataset.add_new(0x60000100, "US", 16)
    dataset.add_new(0x60000102, "US", 12)
    path = saved(tmp_path / "x.dcm", dataset)
    np.testing.assert_array_equal(PLAIN.read(path).stored[0], pixels)
    round_trip(path)


@pytest.mark.parametrize(("dtype", "bits"), [("uint8", 8), ("uint16", 16), ("uint16", 12)])
def test_rgb(tmp_path: Path, dtype: str, bits: int) -> None:
    pixels = noise(5, 7, 3, high=2**bits - 1, dtype=dtype)
    path = saved(tmp_path / "x.dcm", image(pixels, bits))
    header = round_trip(path)
    assert header.shape == (3, 5, 7) and header.lattice == (0, 2**bits - 1) and header.window is None
    np.testing.assert_array_equal(PLAIN.read(path).stored, pixels.transpose(2, 0, 1))


def test_rgb_by_planes(tmp_path: Path) -> None:
    pixels = noise(4, 7, 3)
    dataset = image(pixels, PlanarConfiguration=1, PixelData=pixels.transpose(2, 0, 1).tobytes())
    path = saved(tmp_path / "x.dcm", dataset)
    np.testing.assert_array_equal(PLAIN.read(path).stored, pixels.transpose(2, 0, 1))
    round_trip(path)


def test_ybr_becomes_rgb_by_the_equations_of_the_standard(tmp_path: Path) -> None:
    pixels = noise(4, 6, 3)
    path = saved(tmp_path / "x.dcm", image(pixels, PhotometricInterpretation="YBR_FULL"))
    y, cb, cr = (pixels[..., n].astype(float) - (128 if n else 0) for n in range(3))
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb])  # PS3.3 C.7.6.3.1.2
    assert np.abs(PLAIN.read(path).stored - rgb.clip(0, 255)).max() <= 1
    round_trip(path)
    assert pydicom.dcmread(tmp_path / "out" / "copy.dcm").PhotometricInterpretation == "RGB"


@pytest.mark.parametrize("bits", [8, 16])
def test_palette_colours_become_rgb(tmp_path: Path, bits: int) -> None:
    indices = noise(5, 7, high=3)
    table = noise(3, 4, high=2**bits - 1, dtype=f"uint{bits}")
    dataset = image(indices, PhotometricInterpretation="PALETTE COLOR")
    for name, entries in zip(("Red", "Green", "Blue"), table, strict=True):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [4, 0, bits])
        dataset[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(dataset, f"{name}PaletteColorLookupTableData", entries.tobytes())
    path = saved(tmp_path / "x.dcm", dataset)
    np.testing.assert_array_equal(PLAIN.read(path).stored, table[:, indices])
    header = round_trip(path)
    assert header.shape == (3, 5, 7) and header.lattice == (0, 2**bits - 1)


@pytest.mark.parametrize("frames", [1, 4])
def test_frames_are_a_volume(tmp_path: Path, frames: int) -> None:
    pixels = noise(frames, 5, 7)
    path = saved(tmp_path / "x.dcm", image(pixels, PixelSpacing=[0.5, 0.75], SpacingBetweenSlices=2))
    header = round_trip(path)
    assert header.shape == ((1, 4, 5, 7) if frames == 4 else (1, 5, 7))
    assert header.spacing == ((2, 0.5, 0.75) if frames == 4 else (0.5, 0.75))
    np.testing.assert_array_equal(PLAIN.read(path).stored.reshape(pixels.shape), pixels)


def test_frames_of_colour_are_a_volume_of_three_channels(tmp_path: Path) -> None:
    pixels = noise(4, 5, 7, 3)
    path = saved(tmp_path / "x.dcm", image(pixels, PixelSpacing=[0.5, 0.75]))
    assert round_trip(path).spacing is None  # no one says how far apart the frames are
    np.testing.assert_array_equal(PLAIN.read(path).stored, pixels.transpose(3, 0, 1, 2))


@pytest.mark.parametrize("identifiers", [False, True])
def test_enhanced_frames_are_sorted_by_position_and_written_back_in_place(tmp_path: Path, identifiers: bool) -> None:
    places = [5.0, -5.0, 2.5, 0.0, -2.5]
    pixels = noise(5, 4, 6, high=4095, dtype="uint16")
    path = saved(tmp_path / "x.dcm", enhanced(pixels, places))
    scan = PLAIN.read(path)
    np.testing.assert_array_equal(scan.stored[0], pixels[np.argsort(places)])
    header = scan.header
    assert header.spacing == (2.5, 0.5, 0.75) and header.window == (-160, 240)
    assert (header.unit, header.slope, header.intercept) == ("HU", 1, -1024)
    changed = scan.stored.copy()
    changed[0, 1] += 1  # the frame at -2.5 mm, the file's fifth
    note = type(NOTE)(NOTE.attack, NOTE.eps, NOTE.identity, identifiers)
    PLAIN.write(path, changed, tmp_path / "copy.dcm", note)
    again = PLAIN.read(tmp_path / "copy.dcm")
    assert again.header == header
    np.testing.assert_array_equal(again.stored, changed)
    written = pydicom.dcmread(tmp_path / "copy.dcm")
    np.testing.assert_array_equal(written.pixel_array[4], pixels[4] + 1)
    np.testing.assert_array_equal(written.pixel_array[:4], pixels[:4])
    assert [f.PlanePositionSequence[0].ImagePositionPatient[2] for f in written.PerFrameFunctionalGroupsSequence] == (
        places
    )


def test_an_enhanced_mr_has_no_unit(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.dcm", enhanced(noise(2, 4, 6), [0.0, 1.0], kind="MR"))
    header = round_trip(path)
    assert header.unit == "" and header.modality == "MR" and header.rescaled


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.3]}, (0.2, 0.3)),
        ({"NominalScannedPixelSpacing": [0.2, 0.3]}, (0.2, 0.3)),
        ({"PixelSpacing": [0.1, 0.4], "ImagerPixelSpacing": [0.2, 0.3]}, (0.1, 0.4)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.2, 0.3]}, (0.2, 0.3)),
        ({"PixelSpacing": [0, 0]}, None),
        ({}, None),
    ],
)
def test_spacing(tmp_path: Path, attributes: dict[str, Any], expected: tuple[float, float] | None) -> None:
    assert round_trip(saved(tmp_path / "x.dcm", image(noise(4, 6), **attributes))).spacing == expected


@pytest.mark.parametrize(
    ("attributes", "unit"),
    [
        ({"Modality": "CT", "RescaleIntercept": -1024, "RescaleSlope": 1}, "HU"),
        ({"Modality": "CT"}, ""),
        ({"Modality": "CT", "RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "US"}, ""),
        ({"Modality": "OT", "RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "HU"}, "HU"),
        ({"Modality": "CR", "RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "OD"}, "OD"),
        ({"Modality": "CR", "RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "DOE JANE"}, ""),
        ({"Modality": "PT", "RescaleIntercept": 0, "RescaleSlope": 2, "Units": "BQML"}, "Bq/ml"),
    ],
)
def test_units(tmp_path: Path, attributes: dict[str, Any], unit: str) -> None:
    assert round_trip(saved(tmp_path / "x.dcm", image(noise(4, 6), **attributes))).unit == unit


def test_what_the_file_says_of_its_scanner_and_kind(tmp_path: Path) -> None:
    dataset = image(noise(4, 6), Manufacturer=" ACME ", ManufacturerModelName="Ray 3000", Modality=None)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    header = round_trip(saved(tmp_path / "x.dcm", dataset))
    assert header.scanner == "ACME Ray 3000" and header.modality == "CT"


@pytest.mark.parametrize("width", [0, -3])
def test_a_window_without_width_is_none(tmp_path: Path, width: int) -> None:
    path = saved(tmp_path / "x.dcm", image(noise(4, 6), WindowCenter=40, WindowWidth=width))
    assert round_trip(path).window is None


def test_the_first_of_several_windows(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.dcm", image(noise(4, 6), WindowCenter=[40, 300], WindowWidth=[400, 1500]))
    assert round_trip(path).window == (-160, 240)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("shape", [(40, 48), (3, 40, 48), (40, 48, 3)])
def test_lossless_compression(tmp_path: Path, syntax: Any, shape: tuple[int, ...]) -> None:
    pytest.importorskip("openjpeg")
    pixels = noise(*shape)
    dataset = image(pixels)
    dataset.compress(syntax, generate_instance_uid=False)
    path = saved(tmp_path / "x.dcm", dataset)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    expected = pixels.transpose(2, 0, 1) if shape[-1] == 3 else pixels[None]
    np.testing.assert_array_equal(PLAIN.read(path).stored, expected)
    round_trip(path)
    assert not pydicom.dcmread(tmp_path / "out" / "copy.dcm").file_meta.TransferSyntaxUID.is_compressed


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("dtype", ["uint16", "int16"])
def test_jpeg_2000_of_more_than_eight_bits(tmp_path: Path, bits: int, dtype: str) -> None:
    pytest.importorskip("openjpeg")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype == "int16" else (0, 2**bits - 1)
    pixels = noise(40, 48, low=low, high=high, dtype=dtype)
    dataset = image(pixels, bits)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    path = saved(tmp_path / "x.dcm", dataset)
    np.testing.assert_array_equal(PLAIN.read(path).stored[0], pixels)
    round_trip(path)


def test_deflated_files(tmp_path: Path) -> None:
    pixels = noise(16, 24)
    dataset = image(pixels)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    path = saved(tmp_path / "x.dcm", dataset)
    np.testing.assert_array_equal(PLAIN.read(path).stored[0], pixels)
    round_trip(path)


def test_the_header_does_not_touch_the_pixels(tmp_path: Path) -> None:
    dataset = image(noise(64, 64))
    dataset.compress(RLELossless, generate_instance_uid=False)
    path = saved(tmp_path / "x.dcm", dataset)
    content = path.read_bytes()
    path.write_bytes(content[:-3000] + bytes(3000))  # nothing could decode this
    assert PLAIN.header(path).shape == (1, 64, 64)


def test_claims_go_by_content(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", image(noise(4, 6)))
    (tmp_path / "y.dcm").write_bytes(b"\x89PNG" + bytes(200))
    assert PLAIN.claims(path, path.read_bytes()[:132]) and PLAIN.claims(path, path.read_bytes()[:16])
    assert not PLAIN.claims(tmp_path / "y.dcm", (tmp_path / "y.dcm").read_bytes()[:132])
    assert not PLAIN.claims(tmp_path, b"") and not PLAIN.claims(tmp_path / "none.dcm", b"")
