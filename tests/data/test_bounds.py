"""The memory that a reader takes is bounded by the image, whatever a file claims to hold; nothing is unpickled."""

from __future__ import annotations

import gzip
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from functools import cache
from pathlib import Path

import nrrd
import numpy as np
import pytest
import tifffile
from pydicom.uid import JPEG2000Lossless

from palpate.data.formats.registry import BYTES_A_NUMBER, OVERHEAD, header_of, read_scan
from palpate.data.table import Table
from palpate.errors import InputError
from tests.data.dicom.making import ct_slice, saved
from tests.data.pictures import chunk, noise, png_bytes, save
from tests.data.volumes import changed, scan, write

GAUGE = """
import os, resource, sys
from pathlib import Path
from palpate.data.formats.registry import read_scan
from palpate.data.table import Table
from palpate.errors import InputError
import nibabel, nrrd, PIL.JpegImagePlugin, PIL.PngImagePlugin, pydicom, tifffile

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

for name in sys.argv[1:]:
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    before = peak()
    try:
        if name.endswith(".npz"):
            Table.from_medmnist(Path(name)).image(0)
        else:
            read_scan(Path(name)).values
        said = "read"
    except InputError as refused:
        said = str(refused)
    print((peak() - before) * 1024, said, flush=True)
    os._exit(0)
"""
ENDLESS = 2**28


def gauged(*paths: Path) -> list[tuple[int, str]]:
    """Bytes that the process grew by while reading each file, and what came of it."""
    command = [sys.executable, "-c", GAUGE, *map(str, paths)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(paths)
    return [(int(grown), said) for grown, said in (line.split(" ", 1) for line in lines)]


@cache
def zeros(wrapping: int, count: int = ENDLESS, first: bytes = b"") -> bytes:
    """`first` and so many zeros, packed to a thousandth."""
    engine = zlib.compressobj(1, zlib.DEFLATED, wrapping)
    piece = bytes(2**24)
    return (
        engine.compress(first) + b"".join(engine.compress(piece) for _ in range(count // len(piece))) + engine.flush()
    )


# -- what is read ------------------------------------------------------------------------------------------------------


def test_memory_is_what_the_documentation_says(tmp_path: Path) -> None:
    side = 1000
    draw = np.random.default_rng(0)
    save(tmp_path / "grey.png", noise(side, side))
    deep = png_bytes(noise(side, side, 3, dtype="uint16"), depth=16, colour=2)
    (tmp_path / "deep.png").write_bytes(deep)
    save(tmp_path / "a.jpg", noise(side, side, 3), progressive=True)
    tifffile.imwrite(tmp_path / "a.tif", noise(side, side, 3, dtype="uint16"), photometric="rgb", compression="zlib")
    save(tmp_path / "lzw.tif", noise(side, side, dtype="uint16"), compression="tiff_lzw")
    volume = draw.integers(-1000, 1000, (side, side, 4)).astype(np.int16)
    changed(write(tmp_path / "scaled.nii", volume), "scl_slope", 0.5, "scl_inter", -3.0)
    changed(write(tmp_path / "double.nii", volume.astype(np.float64)), "scl_slope", 0.5, "scl_inter", -3.0)
    write(tmp_path / "packed.nii.gz", volume)
    nrrd.write(str(tmp_path / "a.nrrd"), volume.astype(np.float64), {"encoding": "gzip"}, compression_level=1)
    saved(tmp_path / "a.dcm", ct_slice(volume[..., 0], 0.0))
    packed = ct_slice(volume[..., 0], 0.0)
    packed.compress(JPEG2000Lossless)
    saved(tmp_path / "j2k.dcm", packed)
    paths = sorted(tmp_path.iterdir())
    for path, (grown, said) in zip(paths, gauged(*paths), strict=True):
        assert said == "read", path
        numbers = int(np.prod(header_of(path).shape))
        assert grown <= numbers * BYTES_A_NUMBER + path.stat().st_size + OVERHEAD, path.name


# -- what claims more than it is ---------------------------------------------------------------------------------------


def bomb_png(path: Path, extra: bytes = b"", data: bytes | None = None) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0))
    pixels = zlib.compress(bytes(17 * 16)) if data is None else data
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def bomb_tiff(path: Path, *, tile: int = 16, data: bytes = b"") -> None:
    """A TIFF of 16 x 16 in one tile, written by hand."""
    tags = [(256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1), (322, tile), (323, tile), (324, 200)]
    tags.append((325, len(data)))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, n) for tag, n in tags)
    path.write_bytes((head + bytes(4)).ljust(200, b"\0") + data)


def bomb_nrrd(path: Path, sizes: str, data: bytes) -> None:
    head = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: {sizes}\nencoding: gzip\n\n"
    path.write_bytes(head.encode() + data)


def bomb_npz(path: Path, images: bytes) -> None:
    np.savez(path, test_labels=np.zeros((4, 1), np.uint8))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("test_images.npy", images)


def npy(shape: tuple[int, ...], rest: bytes = b"") -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + rest


def test_bombs_take_no_memory(tmp_path: Path) -> None:
    profile = chunk(b"iCCP", b"p\0\0" + zeros(15))
    bomb_png(tmp_path / "profile.png", profile)
    bomb_png(tmp_path / "text.png", chunk(b"zTXt", b"Comment\0\0" + zeros(15)))
    bomb_png(tmp_path / "pixels.png", data=zeros(15))
    bomb_tiff(tmp_path / "strip.tif", data=zeros(15))
    bomb_tiff(tmp_path / "tile.tif", tile=2**15, data=zeros(15))
    plain = write(tmp_path / "v.nii", scan(3, 5, 4)).read_bytes()
    (tmp_path / "more.nii.gz").write_bytes(zeros(31, first=plain))
    header = changed(tmp_path / "v.nii", "dim", [3, 2000, 2000, 2000, 1, 1, 1, 1]).read_bytes()
    (tmp_path / "absurd.nii.gz").write_bytes(zeros(31, first=header))
    changed(tmp_path / "v.nii", "dim", [3, 800, 800, 800, 1, 1, 1, 1])
    bomb_nrrd(tmp_path / "more.nrrd", "3 5 4", zeros(31))
    bomb_nrrd(tmp_path / "absurd.nrrd", "2000 2000 2000", zeros(31))
    bomb_nrrd(tmp_path / "less.nrrd", "800 800 800", gzip.compress(bytes(100)))
    bomb_npz(tmp_path / "absurd.npz", npy((4, 8192, 8192)))
    bomb_npz(tmp_path / "more.npz", npy((4, 8, 8), bytes(2**28)))
    paths = sorted(tmp_path.iterdir())
    for path, (grown, said) in zip(paths, gauged(*paths), strict=True):
        assert grown <= OVERHEAD + path.stat().st_size, path.name
        read = path.name in ("pixels.png", "more.nii.gz", "more.npz")
        assert (said == "read") == read, (path.name, said)


@pytest.mark.parametrize("name", ["a.png", "a.nii", "a.nrrd", "a.dcm", "a.npz"])
@pytest.mark.parametrize("protocol", range(6))
def test_pickles_are_refused(tmp_path: Path, name: str, protocol: int) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({"a": Path}, protocol=protocol))
    with pytest.raises(InputError, match=name):
        Table.from_medmnist(tmp_path / name) if name.endswith("npz") else read_scan(tmp_path / name)


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    objects = np.array([[{"a": 1}]] * 4, dtype=object)
    np.savez(tmp_path / "images.npz", test_images=objects, test_labels=np.zeros((4, 1), int))
    np.savez(tmp_path / "labels.npz", test_images=noise(4, 8, 8), test_labels=objects)
    for name in ("images", "labels"):
        with pytest.raises(InputError, match=rf"{name}.* type object"):
            Table.from_medmnist(tmp_path / f"{name}.npz")
