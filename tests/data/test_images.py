"""Pixels come back as they were stored, or not at all."""

from __future__ import annotations

import contextlib
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageFile

from palpate.data.formats.forms import Form
from palpate.data.formats.images import bit_range, read_form, read_image
from palpate.data.formats.registry import read_scan, write_copy
from palpate.data.formats.scan import Note
from palpate.errors import InputError
from tests.data.pictures import chunk, noise, png_bytes, save, shared


@st.composite
def pixels(draw: st.DrawFn) -> np.ndarray:
    """Stored values (C, H, W), 8 or 16 bit, grey or RGB."""
    dtype = draw(st.sampled_from(["uint8", "uint16"]))
    shape = (draw(st.sampled_from([1, 3])), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    return draw(arrays.arrays(dtype, shape, elements=st.integers(0, int(np.iinfo(dtype).max))))


def read_bytes(data: bytes) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"  # no suffix: the content says what it is
        path.write_bytes(data)
        image = read_image(path)
        assert read_form(path) == Form(image.shape, image.dtype.name)
    return image


def check_same(image: np.ndarray, stored: np.ndarray) -> None:
    np.testing.assert_array_equal(image, stored)
    assert image.dtype == stored.dtype and image.dtype.isnative
    assert image.flags.writeable and image.flags.c_contiguous


@settings(max_examples=60, deadline=None)
@given(stored=pixels(), row_filter=st.sampled_from([0, 1, 2]))
def test_png_round_trip(stored: np.ndarray, row_filter: int) -> None:
    data = png_bytes(
        stored.transpose(1, 2, 0),
        depth=stored.itemsize * 8,
        colour={1: 0, 3: 2}[len(stored)],
        row_filter=row_filter,
    )
    check_same(read_bytes(data), stored)


@settings(max_examples=60, deadline=None)
@given(
    stored=pixels(),
    compression=st.sampled_from([None, "zlib", "packbits"]),
    order=st.sampled_from(["<", ">"]),
    planar=st.booleans(),
    predictor=st.booleans(),
)
def test_tiff_round_trip(
    stored: np.ndarray, compression: str | None, order: str, planar: bool, predictor: bool
) -> None:
    colour = len(stored) == 3
    separate = colour and planar
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tif"
        if compression == "packbits":  # tifffile writes it with an extra package only
            if stored.itemsize == 2:
                return
            Image.fromarray(stored.transpose(1, 2, 0).squeeze(2) if not colour else stored.transpose(1, 2, 0)).save(
                path, compression="packbits"
            )
        else:
            tifffile.imwrite(
                path,
                stored if separate else (stored.transpose(1, 2, 0) if colour else stored[0]),
                photometric="rgb" if colour else "minisblack",
                planarconfig="separate" if separate else None,
                compression=compression,
                predictor=predictor and compression == "zlib",
                byteorder=order,
            )
        check_same(read_image(path), stored)
        assert read_form(path) == Form(stored.shape, stored.dtype.name)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_lzw_grey_is_exact(tmp_path: Path, dtype: str) -> None:
    stored = noise(7, 5, dtype=dtype)
    check_same(read_image(save(tmp_path / "a.tif", stored, compression="tiff_lzw")), stored[None])


def test_lzw_rgb_is_exact_with_8_bit(tmp_path: Path) -> None:
    stored = noise(7, 5, 3)
    check_same(read_image(save(tmp_path / "a.tif", stored, compression="tiff_lzw")), stored.transpose(2, 0, 1))


def test_bigtiff_and_tiles(tmp_path: Path) -> None:
    stored = noise(40, 33, dtype="uint16")
    tifffile.imwrite(tmp_path / "a.tif", stored, bigtiff=True, tile=(16, 16))
    check_same(read_image(tmp_path / "a.tif"), stored[None])


@pytest.mark.parametrize("colour", [1, 3])
def test_jpeg_is_what_its_decoder_gives(tmp_path: Path, colour: int) -> None:
    stored = noise(16, 24, 3) if colour == 3 else noise(16, 24)
    path = save(tmp_path / "a.jpg", stored, quality=95)
    decoded = np.asarray(Image.open(path))
    check_same(read_image(path), decoded.transpose(2, 0, 1) if colour == 3 else decoded[None])
    assert read_form(path) == Form((colour, 16, 24), "uint8")


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_palette_becomes_rgb(tmp_path: Path, ending: str) -> None:
    colours = np.array([[0, 0, 0], [250, 3, 7], [9, 120, 255]], dtype=np.uint8)
    indices = noise(6, 5) % 3
    image = Image.fromarray(indices, mode="P")
    image.putpalette(colours.ravel().tolist())
    image.save(tmp_path / f"a.{ending}")
    check_same(read_image(tmp_path / f"a.{ending}"), colours[indices].transpose(2, 0, 1))


def test_orientation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "a.jpg", noise(8, 24), exif=exif)
    assert read_image(path).shape == (1, 8, 24)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_opaque_alpha_is_left_out(tmp_path: Path, mode: str) -> None:
    stored = noise(4, 5, len(mode))
    stored[..., -1] = 255
    Image.fromarray(stored, mode=mode).save(tmp_path / "a.png")
    check_same(read_image(tmp_path / "a.png"), stored[..., :-1].transpose(2, 0, 1))
    assert read_form(tmp_path / "a.png").shape == (len(mode) - 1, 4, 5)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_refused(tmp_path: Path, mode: str) -> None:
    stored = noise(4, 5, len(mode))
    stored[..., -1] = 255
    stored[2, 3, -1] = 254
    Image.fromarray(stored, mode=mode).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png has transparent pixels.*without alpha"):
        read_image(tmp_path / "a.png")


def test_transparent_palette_colour_is_refused_only_where_it_is_used(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((2, 2), np.uint8), mode="P")
    image.putpalette([1, 2, 3, 4, 5, 6])
    image.save(tmp_path / "unused.png", transparency=1)
    image.save(tmp_path / "used.png", transparency=0)
    assert read_image(tmp_path / "unused.png")[:, 0, 0].tolist() == [1, 2, 3]
    with pytest.raises(InputError, match="transparent"):
        read_image(tmp_path / "used.png")


@pytest.mark.parametrize("alpha", [255, 7])
def test_alpha_of_a_tiff(tmp_path: Path, alpha: int) -> None:
    stored = noise(4, 5, 4)
    stored[..., 3] = alpha
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["unassalpha"])
    if alpha == 255:
        check_same(read_image(tmp_path / "a.tif"), stored[..., :3].transpose(2, 0, 1))
    else:
        with pytest.raises(InputError, match="transparent"):
            read_image(tmp_path / "a.tif")


# -- what cannot be read without changing it is refused, with the reason -----------------------------------------------


def refused(path: Path, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).rstrip().endswith(".")


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.png", "does not exist")


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    refused(tmp_path, "cannot be opened")


def test_empty_file(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.png", b""), "is empty")


def test_text_file(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.png", b"not an image"), "not an image that palpate knows")


def test_dicom_is_named(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.png", bytes(128) + b"DICM" + bytes(100)), "looks like DICOM")


def test_jpeg_2000_is_named(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.png", b"\0\0\0\x0cjP  "), "looks like JPEG 2000")


def test_sub_byte_grey_png(tmp_path: Path) -> None:
    image = Image.fromarray(noise(4, 4) > 99)
    image.save(tmp_path / "a.png")
    refused(tmp_path / "a.png", "1-bit grey")


def test_16_bit_with_alpha(tmp_path: Path) -> None:
    data = png_bytes(noise(3, 3, 4, dtype="uint16"), depth=16, colour=6)
    refused(write(tmp_path / "a.png", data), "16 bit with an alpha channel")


@pytest.mark.parametrize(("colour", "key"), [(0, b"\0\7"), (2, b"\0\7\0\7\0\7")])
def test_16_bit_with_a_transparent_colour(tmp_path: Path, colour: int, key: bytes) -> None:
    stored = noise(3, 3, 1 if colour == 0 else 3, dtype="uint16")
    data = png_bytes(stored, depth=16, colour=colour, extra=chunk(b"tRNS", key))
    refused(write(tmp_path / "a.png", data), "transparent colour")


def test_animation(tmp_path: Path) -> None:
    first, second = (Image.fromarray(noise(4, 4, seed=seed)) for seed in (0, 1))
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    refused(tmp_path / "a.png", "animation of 2 frames")


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.fromarray(noise(8, 8, 4), mode="CMYK").save(tmp_path / "a.jpg")
    refused(tmp_path / "a.jpg", "CMYK")


def test_several_pages(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(3, 8, 8), photometric="minisblack")
    refused(tmp_path / "a.tif", "holds 3 pages")


@pytest.mark.parametrize("options", [{"imagej": True}, {"photometric": "minisblack"}])
def test_stack_behind_one_page(tmp_path: Path, options: dict[str, object]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(3, 8, 8, dtype="uint16"), truncate=True, **options)
    refused(tmp_path / "a.tif", "holds 3 pages")


def test_missing_tile_is_not_read_as_black(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(40, 40), tile=(16, 16), compression="zlib")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = file.pages[0].tags[name]
            size = 4 if tag.dtype == 4 else 2  # 32 or 16 bit
            data[tag.valueoffset + size : tag.valueoffset + 2 * size] = bytes(size)
    refused(write(path, bytes(data)), "truncated: parts of its pixels are missing")


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint32", "int8"])
def test_other_types_of_tiff(tmp_path: Path, dtype: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), dtype))
    refused(tmp_path / "a.tif", dtype)


def test_white_is_zero(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(4, 4), photometric="miniswhite")
    refused(tmp_path / "a.tif", "white as 0")


def test_several_unnamed_channels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(4, 4, 5), photometric="minisblack", planarconfig="contig")
    refused(tmp_path / "a.tif", "5 samples per pixel")


def test_turned_tiff_that_only_pillow_can_read(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", noise(4, 6), compression="tiff_lzw", tiffinfo={274: 6})
    refused(tmp_path / "a.tif", "cannot read exactly")


def test_turned_tiff_keeps_its_stored_order(tmp_path: Path) -> None:
    stored = noise(4, 6)
    check_same(read_image(save(tmp_path / "a.tif", stored, tiffinfo={274: 6})), stored[None])


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (0, 5)])
def test_absurd_sizes_are_refused_before_decoding(tmp_path: Path, width: int, height: int) -> None:
    data = bytearray(png_bytes(noise(2, 2, 1), depth=8, colour=0))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data[8 : 8 + 25] = chunk(b"IHDR", header)
    refused(write(tmp_path / "a.png", bytes(data)), "header declares")


def test_absurd_jpeg(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", noise(16, 16))
    data = path.read_bytes().replace(b"\x00\x10\x00\x10\x01", b"\xff\xff\xff\xff\x01")
    refused(write(path, data), "header declares")


def test_absurd_tiff(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", noise(16, 16))
    data = (tmp_path / "a.tif").read_bytes()
    wide = struct.pack("<HHII", 256, 4, 1, 2**30)
    start = next(i for i in range(len(data)) if data[i : i + 2] == struct.pack("<H", 256))
    refused(write(tmp_path / "a.tif", data[:start] + wide + data[start + 12 :]), "header declares")


FORMATS = {
    "grey8.png": lambda path: save(path, noise(9, 11)),
    "rgb8.png": lambda path: save(path, noise(9, 11, 3)),
    "grey16.png": lambda path: save(path, noise(9, 11, dtype="uint16")),
    "rgb16.png": lambda path: write(path, png_bytes(noise(9, 11, 3, dtype="uint16"), depth=16, colour=2)),
    "plain.tif": lambda path: tifffile.imwrite(path, noise(9, 11, 3, dtype="uint16"), photometric="rgb"),
    "deflate.tif": lambda path: tifffile.imwrite(path, noise(9, 11), compression="zlib"),
    "lzw.tif": lambda path: save(path, noise(9, 11, dtype="uint16"), compression="tiff_lzw"),
    "jpeg.tif": lambda path: save(path, noise(9, 11, 3), compression="jpeg"),
    "colour.jpg": lambda path: save(path, noise(9, 11, 3)),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_anywhere_is_refused_or_whole(tmp_path: Path, name: str) -> None:
    FORMATS[name](tmp_path / name)
    data, stored = (tmp_path / name).read_bytes(), read_image(tmp_path / name)
    cut = tmp_path / "cut"
    refusals = 0
    for length in range(1, len(data), 3):
        cut.write_bytes(data[:length])
        try:
            image = read_image(cut)
        except InputError:
            refusals += 1
        else:
            np.testing.assert_array_equal(image, stored)  # only what follows the pixels was lost
    assert refusals > len(data) // 6


def test_truncation_is_seen_although_another_library_asked_for_leniency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = save(tmp_path / "a.jpg", noise(64, 64, 3))
    write(path, path.read_bytes()[:2000])
    refused(path, "truncated or damaged")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["grey16.png", "rgb16.png", "deflate.tif", "plain.tif", "colour.jpg"]),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
)
def test_any_changed_byte_gives_an_image_or_a_sentence(name: str, place: float, value: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        FORMATS[name](path)
        data = bytearray(path.read_bytes())
        data[int(place * len(data))] = value
        path.write_bytes(bytes(data))
        with contextlib.suppress(InputError):
            assert read_image(path).ndim == 3


def test_bit_ranges() -> None:
    assert bit_range("uint8") == (0, 255)
    assert bit_range(np.uint16) == (0, 65535)
    assert bit_range(np.dtype("int16")) == (-32768, 32767)
    with pytest.raises(InputError, match="no natural bounds"):
        bit_range("float32")


@pytest.mark.shared
def test_real_fundus_photographs_are_what_pillow_decodes() -> None:
    files = sorted((shared("cls_fundus_dr_aptos2019") / "images").glob("*.jpg"))[:5]
    for path in files:
        np.testing.assert_array_equal(read_image(path), np.asarray(Image.open(path)).transpose(2, 0, 1))
        assert read_form(path) == Form((3, 224, 224), "uint8")


# -- formats that are saved as another ---------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("suffix", "options"), [("bmp", {}), ("gif", {}), ("webp", {"lossless": True})])
def test_bmp_gif_and_webp_are_read_exactly(tmp_path: Path, suffix: str, options: dict, channels: int) -> None:
    pixels = noise(9, 7) if channels == 1 else np.array(Image.fromarray(noise(9, 7, 3)).quantize(9).convert("RGB"))
    path = save(tmp_path / f"a.{suffix}", pixels, **options)
    read = read_image(path)
    assert read_form(path).shape == read.shape and read.dtype == np.uint8
    np.testing.assert_array_equal(read[0] if channels == 1 else read.transpose(1, 2, 0), pixels)


@pytest.mark.parametrize("suffix", ["bmp", "gif", "webp"])
def test_their_copies_are_png_with_the_same_numbers(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", noise(9, 7))
    stored = 255 - read_image(path)
    write_copy(path, stored, tmp_path / "copy.png", Note("pgd", "1/255", "identity"))
    np.testing.assert_array_equal(read_image(tmp_path / "copy.png"), stored)
    with Image.open(tmp_path / "copy.png") as copy:
        assert copy.format == "PNG" and "Synthetic" in copy.info["Comment"]


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"tile": (16, 16)}])
def test_tiff_of_measured_values_comes_back_bit_for_bit(tmp_path: Path, dtype: str, options: dict) -> None:
    stored = ((noise(20, 24).astype(np.float64) - 99) / (7 if dtype == "float32" else 1)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    scan = read_scan(tmp_path / "a.tif")
    assert scan.stored.dtype == dtype and (scan.header.lattice is None) == (dtype == "float32")
    np.testing.assert_array_equal(scan.values[0], stored)
    write_copy(tmp_path / "a.tif", scan.stored + scan.stored.dtype.type(1), tmp_path / "b.tif", Note("pgd", "1", "i"))
    np.testing.assert_array_equal(read_scan(tmp_path / "b.tif").stored[0], stored + 1)


def test_holes_in_floating_point_are_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[1, np.nan], [np.inf, 0]], np.float32))
    with pytest.raises(InputError, match=r"a\.tif holds NaN or infinity in 2 pixels"):
        read_image(tmp_path / "a.tif")


def test_what_is_no_still_image_of_bytes_is_refused(tmp_path: Path) -> None:
    Image.fromarray(noise(8, 8) > 99).save(tmp_path / "a.bmp")
    refused(tmp_path / "a.bmp", "stores 1 bit")
    frames = [Image.fromarray(noise(8, 8)), Image.fromarray(255 - noise(8, 8))]
    for suffix in ("gif", "webp"):
        frames[0].save(tmp_path / f"b.{suffix}", save_all=True, append_images=frames[1:])
        refused(tmp_path / f"b.{suffix}", "an animation of 2 frames")
    whole = save(tmp_path / "c.webp", noise(60, 60)).read_bytes()
    refused(write(tmp_path / "c.webp", whole[: len(whole) // 2]), "truncated")
