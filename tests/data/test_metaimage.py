"""MetaImage and NumPy arrays: read to the bit, written back marked and on the same grid, refused in a sentence."""

from __future__ import annotations

import pickle
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palpate.data.cases import Case
from palpate.data.formats.registry import format_of, read_scan
from palpate.data.formats.scan import Note
from palpate.data.source import Folder
from palpate.errors import InputError
from tests.data.exercise import exercise
from tests.data.meta import KINDS, meta
from tests.data.pictures import save
from tests.data.volumes import scan

NOTE = Note("pgd", "2 HU", "identity")


@pytest.mark.parametrize("name", ["a.mha", "a.mhd"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("dtype", KINDS)
def test_volumes_are_read_and_written_back_to_the_bit(
    tmp_path: Path, name: str, packed: bool, big: bool, dtype: str
) -> None:
    voxels = scan(3, 5, 4).astype(dtype)
    path = meta(tmp_path / name, voxels, packed=packed, big=big)
    read = read_scan(path)
    assert read.header.shape == (1, 3, 5, 4) and read.header.spacing == (0.5, 2.0, 3.0)
    np.testing.assert_array_equal(read.stored[0], voxels)
    format_of(path).write(path, read.stored + np.ones_like(read.stored), tmp_path / "b.mha", NOTE)
    again = read_scan(tmp_path / "b.mha")
    assert again.header == read.header
    np.testing.assert_array_equal(again.stored, read.stored + 1)
    content = (tmp_path / "b.mha").read_bytes()
    assert b"Comment = Synthetic: altered by palpate" in content and b"Doe" not in content
    for line in (b"Offset = -4.5 -4.5 -4.5", b"TransformMatrix = 1 0 0 0 1 0 0 0 1", b"AnatomicalOrientation = RAI"):
        assert line in content


def test_planes_and_channels(tmp_path: Path) -> None:
    plane = read_scan(meta(tmp_path / "a.mha", scan(9, 8)))
    assert plane.header.shape == (1, 8, 9) and plane.header.spacing == (2.0, 0.5)
    voxels = scan(6, 5, 4, 3)
    fourth = read_scan(meta(tmp_path / "b.mha", voxels))
    np.testing.assert_array_equal(fourth.stored, np.moveaxis(voxels, 3, 0))
    beside = np.moveaxis(voxels, 3, 0)
    path = meta(tmp_path / "c.mha", beside, NDims=3, DimSize="6 5 4", ElementSpacing="1 1 2", ElementNumberOfChannels=3)
    np.testing.assert_array_equal(read_scan(path).stored, beside)
    for name in ("a.mha", "b.mha", "c.mha"):
        assert exercise(tmp_path / name, tmp_path / "copy") == "MetaImage"


def test_the_file_beside_a_header_counts_for_its_identity(tmp_path: Path) -> None:
    meta(tmp_path / "a.mhd", scan(3, 5, 4))
    folder, case = Folder(tmp_path), Case("a.mhd", 0, "a.mhd", 0)
    before = folder.content(case)
    assert folder.files(case) == (tmp_path / "a.mhd", tmp_path / "a.raw")
    (tmp_path / "a.raw").write_bytes((scan(3, 5, 4) + 1).tobytes(order="F"))
    assert folder.content(case) != before


def test_what_a_name_says_does_not_matter(tmp_path: Path) -> None:
    save(tmp_path / "a.png").rename(tmp_path / "a.mha")
    folder, case = Folder(tmp_path), Case("a.mha", 0, "a.mha", 0)
    assert folder.files(case) == (tmp_path / "a.mha",)
    assert folder.content(case) == (tmp_path / "a.mha").read_bytes()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ElementDataFile": "../a.raw"}, "another folder"),
        ({"ElementDataFile": "/etc/passwd"}, "another folder"),
        ({"ElementDataFile": "LIST"}, "one file per slice"),
        ({"ElementDataFile": "a%03d.raw 1 3 1"}, "one file per slice"),
        ({"ElementDataFile": "gone.raw"}, "gone.raw for its numbers, which does not exist"),
        ({"ElementDataFile": None}, "no line ElementDataFile|not 'key = value'"),
        ({"ElementType": "MET_UCHAR_ARRAY"}, "numbers of type 'MET_UCHAR_ARRAY'"),
        ({"DimSize": "3 5"}, "axes 3 x 5"),
        ({"DimSize": "3 5 2000000000"}, "header declares 3 x 5 x 2000000000"),
        ({"DimSize": "3 5 0"}, "header declares 3 x 5 x 0"),
        ({"DimSize": "3 5 x"}, "DimSize is '3 5 x'"),
        ({"DimSize": "3 5 5"}, "holds 120 bytes of numbers, and the header of a.mha promises 150"),
        ({"DimSize": "3 5 3"}, "holds more bytes"),
        ({"ElementSpacing": "0 1 1"}, "ElementSpacing"),
        ({"BinaryData": "False"}, "as text"),
        ({"CompressedData": "maybe"}, "must be True or False"),
    ],
)
def test_headers_that_cannot_be_believed(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_scan(meta(tmp_path / "a.mha", scan(3, 5, 4), **changed))


def test_compressed_numbers_are_unpacked_no_further_than_the_header_says(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(2**26))
    path = meta(tmp_path / "a.mhd", scan(3, 5, 4), packed=True)
    (tmp_path / "a.zraw").write_bytes(bomb)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"a\.zraw holds more bytes of numbers"):
        read_scan(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    (tmp_path / "a.zraw").write_bytes(zlib.compress(bytes(120))[:-6])
    with pytest.raises(InputError, match=r"a\.zraw is truncated"):
        read_scan(path)


# -- NumPy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ((8, 9), (1, 8, 9)),
        ((8, 9, 3), (3, 8, 9)),
        ((8, 9, 1), (1, 8, 9)),
        ((3, 5, 4), (1, 3, 5, 4)),
        ((6, 5, 4, 2), (2, 6, 5, 4)),
        ((2, 20, 21, 22), (2, 20, 21, 22)),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["int16", ">i2", "uint8", "float32", "float64"])
def test_arrays_are_read_and_written_back(
    tmp_path: Path, sizes: tuple[int, ...], shape: tuple[int, ...], order: Any, dtype: str
) -> None:
    array = np.array(scan(*sizes).astype(dtype), order=order)
    np.save(tmp_path / "a.npy", array)
    read = read_scan(tmp_path / "a.npy")
    assert read.header.shape == shape
    if shape[0] == 1:
        np.testing.assert_array_equal(read.stored.reshape(sizes), array)
    assert exercise(tmp_path / "a.npy", tmp_path / "copy.npy") == "npy"
    format_of(tmp_path / "a.npy").write(tmp_path / "a.npy", read.stored, tmp_path / "b.npy", NOTE)
    again = np.load(tmp_path / "b.npy")
    np.testing.assert_array_equal(again, array)
    assert again.dtype == array.dtype and b"Synthetic: altered by palpate" in (tmp_path / "b.npy").read_bytes()


def test_an_archive_of_one_array_is_an_image(tmp_path: Path) -> None:
    array = scan(3, 5, 4)
    for pack, name in ((np.savez, "plain"), (np.savez_compressed, "packed")):
        pack(tmp_path / f"{name}.npz", array)
        np.testing.assert_array_equal(read_scan(tmp_path / f"{name}.npz").stored[0], array)
    source, copy = tmp_path / "packed.npz", tmp_path / "copy.npz"
    format_of(source).write(source, read_scan(source).stored + 1, copy, NOTE)
    with np.load(copy, allow_pickle=False) as again:
        np.testing.assert_array_equal(again["arr_0"], array + 1)
    with zipfile.ZipFile(copy) as archive:
        assert archive.comment.startswith(b"Synthetic: altered by palpate")


def test_an_archive_of_several_arrays_says_what_to_do(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=scan(3, 5, 4), label=scan(3, 5, 4))
    with pytest.raises(InputError, match=r"a\.npz holds 2 arrays \(image, label\).*with numpy\.save"):
        read_scan(tmp_path / "a.npz")


@pytest.mark.parametrize("change", [lambda data: data[:-40], lambda data: data[:120] + b"\0" * 30 + data[150:]])
def test_a_damaged_archive_is_refused_in_a_sentence(tmp_path: Path, change: Any) -> None:
    np.savez(tmp_path / "a.npz", scan(8, 9, 4))
    (tmp_path / "a.npz").write_bytes(change((tmp_path / "a.npz").read_bytes()))
    with pytest.raises(InputError, match=r"a\.npz"):
        read_scan(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([{"a": 1}], dtype=object), "type object"),
        (np.zeros((3, 4), complex), "type complex128"),
        (np.zeros(7), r"an array of 7\. Save one image or volume per file"),
        (np.zeros((2, 2, 2, 2, 2)), "an array of 2 x 2 x 2 x 2 x 2"),
    ],
)
def test_arrays_that_are_no_images(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=rf"a\.npy holds .*{words}"):
        read_scan(tmp_path / "a.npy")


def test_damaged_arrays_are_refused_in_a_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", scan(3, 5, 4))
    whole = (tmp_path / "a.npy").read_bytes()
    for content in (whole[:-1], whole[:20], whole + bytes(9999), b"\x93NUMPY" + pickle.dumps({})):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.npy "):
            read_scan(tmp_path / "a.npy")
