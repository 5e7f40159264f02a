"""Copies hold the numbers that were given, what the original said of them, what they are, and nothing of a patient."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin

from palpate.data.formats.registry import header_of, read_scan, write_copy
from palpate.data.formats.scan import Note
from palpate.errors import InputError
from tests.data.pictures import chunk, noise, png_bytes, save, shared
from tests.data.volumes import AFFINE, changed, write

NOTE = Note("pgd", "2/255", "identity")
PATIENT = b"MUSTERMANN"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(channels: int, dtype: str, seed: int = 0) -> np.ndarray:
    return noise(channels, 9, 11, dtype=dtype, seed=seed)


def last(stored: np.ndarray) -> np.ndarray:
    return stored[0] if len(stored) == 1 else stored.transpose(1, 2, 0)


def copied(source: Path, stored: np.ndarray, name: str) -> Path:
    """A copy that palpate reads back as given, of the same header; made twice, byte for byte the same."""
    target = source.with_name(name)
    write_copy(source, stored, target, NOTE)
    first = target.read_bytes()
    write_copy(source, stored, target, NOTE)
    assert target.read_bytes() == first
    scan = read_scan(target)
    assert scan.header == header_of(source)
    np.testing.assert_array_equal(scan.stored, stored)
    assert scan.stored.dtype == stored.dtype and scan.stored.flags.writeable
    assert PATIENT not in first and PATIENT not in (gzip.decompress(first) if first[:2] == b"\x1f\x8b" else b"")
    return target


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_png(tmp_path: Path, channels: int, dtype: str) -> None:
    source = tmp_path / "a.png"
    text = chunk(b"tEXt", b"Comment\0" + PATIENT) + chunk(b"gAMA", (45455).to_bytes(4, "big"))
    depth = np.dtype(dtype).itemsize * 8
    source.write_bytes(
        png_bytes(picture(channels, dtype).transpose(1, 2, 0), depth=depth, colour={1: 0, 3: 2}[channels], extra=text)
    )
    stored = picture(channels, dtype, seed=1)
    target = copied(source, stored, "b.png")
    with Image.open(target) as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        assert image.text == {"Software": "palpate", "Comment": NOTE.text} and image.info["gamma"] == 0.45455
        if (channels, dtype) != (3, "uint16"):  # which Pillow halves
            np.testing.assert_array_equal(np.asarray(image), last(stored))


def test_png_keeps_its_colour_profile(tmp_path: Path) -> None:
    stored = picture(3, "uint8")
    source = save(tmp_path / "a.png", last(stored), icc_profile=PROFILE, dpi=(300, 300))
    with Image.open(copied(source, stored, "b.png")) as image:
        assert image.info["icc_profile"] == PROFILE and image.info["dpi"] == pytest.approx((300, 300), rel=1e-4)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiff(tmp_path: Path, channels: int, dtype: str, order: Any, compression: str | None) -> None:
    source = tmp_path / "a.tif"
    tifffile.imwrite(
        source,
        last(picture(channels, dtype)),
        photometric="rgb" if channels == 3 else "minisblack",
        byteorder=order,
        compression=compression,
        description=PATIENT.decode(),
        resolution=(300, 150),
        resolutionunit=3,
        iccprofile=PROFILE,
        extratags=[(274, "H", 1, 6, True), (315, "s", 0, PATIENT.decode(), True)],
    )
    stored = picture(channels, dtype, seed=1)
    target = copied(source, stored, "b.tif")
    np.testing.assert_array_equal(tifffile.imread(target), last(stored))
    with tifffile.TiffFile(target) as file:
        page = file.pages[0]
        tags = {tag.name: tag.value for tag in page.tags}
        assert file.byteorder == order and (page.compression == 1) == (compression is None)
    assert tags["ImageDescription"] == NOTE.text and tags["Software"] == "palpate"
    assert tags["Orientation"] == 6 and tags["ResolutionUnit"] == 3 and tags["InterColorProfile"] == PROFILE
    assert tags["XResolution"][0] / tags["XResolution"][1] == 300
    assert tags["YResolution"][0] / tags["YResolution"][1] == 150


def test_a_packed_tiff_that_only_pillow_reads_comes_back_in_deflate(tmp_path: Path) -> None:
    stored = picture(1, "uint16")
    target = copied(save(tmp_path / "a.tif", stored[0], compression="tiff_lzw"), stored, "b.tif")
    with tifffile.TiffFile(target) as file:
        assert file.pages[0].compression == 8


@pytest.mark.parametrize("options", [{"subsampling": n} for n in (0, 1, 2)] + [{"keep_rgb": True}, {"progressive": 1}])
def test_jpeg_is_compressed_as_its_source(tmp_path: Path, options: dict[str, Any]) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = PATIENT.decode(), 6
    smooth = np.add.outer(np.arange(48), np.arange(64))[..., None] + np.arange(3) * 20
    options = {"exif": exif, "icc_profile": PROFILE, "comment": PATIENT, **options}
    source = save(tmp_path / "a.jpg", smooth.astype(np.uint8), quality=71, **options)
    scan = read_scan(source)
    assert not scan.header.lossless
    target = tmp_path / "b.jpg"
    write_copy(source, scan.stored, target, NOTE)
    assert PATIENT not in target.read_bytes()
    assert header_of(target) == scan.header
    assert np.abs(read_scan(target).stored.astype(int) - scan.stored).max() <= 3
    with Image.open(source) as one, Image.open(target) as other:
        assert isinstance(one, JpegImagePlugin.JpegImageFile) and isinstance(other, JpegImagePlugin.JpegImageFile)
        assert other.quantization == one.quantization
        assert [part[1:3] for part in other.layer] == [part[1:3] for part in one.layer]
        assert other.info.get("adobe_transform") == one.info.get("adobe_transform")
        assert other.info.get("progressive") == one.info.get("progressive")
        assert other.info["comment"] == NOTE.text.encode() and other.info["icc_profile"] == PROFILE
        assert dict(other.getexif()) == {0x0112: 6}


def test_a_grey_jpeg_stays_grey(tmp_path: Path) -> None:
    source = save(tmp_path / "a.jpg", noise(16, 24), quality=60)
    write_copy(source, read_scan(source).stored, tmp_path / "b.jpg", NOTE)
    with Image.open(tmp_path / "b.jpg") as image, Image.open(source) as original:
        assert image.mode == "L" and image.quantization == original.quantization  # type: ignore[attr-defined]


# -- volumes -----------------------------------------------------------------------------------------------------------


def voxels(dtype: str, *shape: int, seed: int = 0) -> np.ndarray:
    """Random numbers over the whole range of a type."""
    draw = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (draw.standard_normal(shape) * 1000).astype(dtype)
    ends = np.iinfo(dtype)
    return draw.integers(ends.min, ends.max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("name", ["b.nii", "b.nii.gz"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_nifti(tmp_path: Path, dtype: str, scaled: bool, name: str) -> None:
    source = write(tmp_path / "a.nii", voxels(dtype, 3, 5, 4))
    changed(source, "descrip", PATIENT, "db_name", PATIENT, "aux_file", PATIENT, "cal_max", 7.0, "sform_code", 1)
    if scaled:
        changed(source, "scl_slope", 0.1, "scl_inter", -1024.0)
    stored = voxels(dtype, 1, 3, 5, 4, seed=1)
    target = copied(source, stored, name)
    original, copy = nibabel.load(source), nibabel.load(target)
    np.testing.assert_array_equal(copy.dataobj.get_unscaled(), stored[0])
    assert (copy.dataobj.slope, copy.dataobj.inter) == (original.dataobj.slope, original.dataobj.inter)
    np.testing.assert_array_equal(copy.affine, AFFINE)
    same = set(copy.header.keys()) - {"descrip", "db_name", "aux_file"}
    for field in same:
        np.testing.assert_array_equal(copy.header[field], original.header[field], err_msg=field)
    assert copy.header["descrip"].item() == b"Synthetic: palpate pgd 2/255; not for diagnosis"
    assert copy.header["db_name"].item() == copy.header["aux_file"].item() == b""


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_nifti_values_are_what_nibabel_gives(tmp_path: Path, dtype: str) -> None:
    path = changed(write(tmp_path / "a.nii", voxels(dtype, 30, 50, 40)), "scl_slope", 0.1, "scl_inter", -1024.3)
    np.testing.assert_array_equal(read_scan(path).values[0], nibabel.load(path).get_fdata().astype(np.float32))


def test_nifti_extensions_are_left_out(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(voxels("int16", 3, 5, 4), AFFINE)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", PATIENT * 9))
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "a.nii.gz")
    target = copied(tmp_path / "a.nii.gz", voxels("int16", 1, 3, 5, 4), "b.nii.gz")
    assert not nibabel.load(target).header.extensions


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_versions_orders_and_a_fourth_axis(tmp_path: Path, kind: Any, order: str) -> None:
    header = kind.header_class(endianness=order)
    header.set_data_dtype("int16")
    image = kind(voxels("int16", 3, 5, 4, 1), AFFINE, header)
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "a.nii")
    copy = nibabel.load(copied(tmp_path / "a.nii", voxels("int16", 1, 3, 5, 4), "b.nii"))
    assert isinstance(copy, kind) and copy.header.endianness == order and copy.shape == (3, 5, 4, 1)


PLACED = {"space": "left-posterior-superior", "space directions": np.diag([0.5, 2.0, 3.0]), "space origin": [1.0, 2, 3]}


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", ">u2", "int32", "float32", ">f8"])
def test_nrrd_volume(tmp_path: Path, dtype: str, encoding: str) -> None:
    kind = np.dtype(dtype)
    fields = {**PLACED, "kinds": ["domain"] * 3, "encoding": encoding, "content": PATIENT.decode(), "DWMRI": "x"}
    nrrd.write(str(tmp_path / "a.nrrd"), voxels(kind.name, 3, 5, 4).astype(kind), {**fields, "who": PATIENT.decode()})
    header = header_of(tmp_path / "a.nrrd")
    assert header.spacing == (0.5, 2.0, 3.0) and (header.lattice is None) == (kind.kind == "f")
    stored = voxels(kind.name, 1, 3, 5, 4, seed=1)
    data, said = nrrd.read(str(copied(tmp_path / "a.nrrd", stored, "b.nrrd")))
    np.testing.assert_array_equal(data, stored[0])
    assert data.dtype == kind and said["palpate"] == NOTE.text and said["encoding"] == encoding
    assert set(said) - {"endian"} == {*fields, "palpate", "type", "dimension", "sizes"} - {"content", "DWMRI"}
    for name, value in PLACED.items():
        np.testing.assert_array_equal(said[name], value)


def test_nrrd_pictures_are_height_by_width(tmp_path: Path) -> None:
    grey, colour = noise(9, 11, dtype="uint16"), noise(9, 11, 3)
    nrrd.write(str(tmp_path / "g.nrrd"), grey.T, {"spacings": [0.2, 0.7], "units": ["mm", "mm"]})
    nrrd.write(str(tmp_path / "c.nrrd"), colour.transpose(2, 1, 0), {"kinds": ["RGB-color", "domain", "domain"]})
    scan = read_scan(tmp_path / "g.nrrd")
    np.testing.assert_array_equal(scan.stored, grey[None])
    assert scan.header.spacing == (0.7, 0.2)
    np.testing.assert_array_equal(read_scan(tmp_path / "c.nrrd").stored, colour.transpose(2, 0, 1))
    copied(tmp_path / "g.nrrd", noise(1, 9, 11, dtype="uint16", seed=1), "gg.nrrd")
    copied(tmp_path / "c.nrrd", noise(3, 9, 11, seed=1), "cc.nrrd")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["seg3d_mr_hippocampus", "seg_fundus_vessels", "seg_polyp_kvasir", "seg_cxr_lungs"])
def test_real_files_come_back(tmp_path: Path, name: str) -> None:
    files = sorted(path for path in shared(name).rglob("*") if path.name.endswith((".png", ".jpg", ".nii.gz")))
    for source in files[:: len(files) // 6]:
        scan = read_scan(source)
        target = tmp_path / source.name
        write_copy(source, scan.stored, target, NOTE)
        again = read_scan(target)
        assert again.header == scan.header
        if scan.header.lossless:
            np.testing.assert_array_equal(again.values, scan.values)


# -- what does not fit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [noise(1, 9, 10), noise(3, 9, 11), noise(1, 9, 11, dtype="uint16")])
def test_numbers_that_do_not_fit_the_source(tmp_path: Path, stored: np.ndarray) -> None:
    source = save(tmp_path / "a.png", noise(9, 11))
    with pytest.raises(InputError, match=r"a\.png stores \(1, 9, 11\) numbers of type uint8, and the copy has"):
        write_copy(source, stored, tmp_path / "b.png", NOTE)
    assert not (tmp_path / "b.png").exists()


def test_an_original_is_never_replaced(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", noise(9, 11))
    before = source.read_bytes()
    with pytest.raises(InputError, match=r"a\.png is the original"):
        write_copy(source, noise(1, 9, 11, seed=1), tmp_path / "." / "a.png", NOTE)
    assert source.read_bytes() == before
