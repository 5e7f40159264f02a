"""Damaged files of every format are read right or refused in a sentence; whatever is read is written back right."""

from __future__ import annotations

import gzip
import struct
import zlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palpate.data.formats.registry import FORMATS, read_scan
from palpate.errors import InputError
from tests.data.dicom.making import ct_series
from tests.data.exercise import exercise
from tests.data.specimens import specimens
from tests.data.volumes import scan

_PNG, _GZIP = b"\x89PNG\r\n\x1a\n", b"\x1f\x8b"
_TELLING = (b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\xc0\x7f", b"9" * 9, b"-1 nan\n")


@cache
def valid() -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        return specimens(Path(folder))


@cache
def slices() -> tuple[bytes, ...]:
    """Three files of one series."""
    with TemporaryDirectory() as folder:
        ct_series(Path(folder) / "series", np.stack([scan(8, 9, seed=seed) for seed in range(3)]))
        return tuple(path.read_bytes() for path in sorted((Path(folder) / "series").iterdir()))


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A valid file after a few changes: inside its compression, and with checksums that are right again."""
    name = draw(st.sampled_from(sorted(valid())))
    content = valid()[name]
    packed = content.startswith(_GZIP)
    whole = changed(draw, gzip.decompress(content) if packed else content)
    if packed:
        return name, gzip.compress(bytes(whole))
    return name, mended(bytes(whole)) if whole.startswith(_PNG) else bytes(whole)


def changed(draw: st.DrawFn, content: bytes) -> bytearray:
    """A few bytes flipped, overwritten, put in or taken out, or the end cut off."""
    whole = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(whole)))
        what = draw(st.sampled_from(["flip", "write", "insert", "remove", "end"]))
        if what == "flip" and place < len(whole):
            whole[place] ^= 1 << draw(st.integers(0, 7))
        elif what in ("write", "insert"):
            piece = draw(st.sampled_from(_TELLING) | st.binary(min_size=1, max_size=8))
            whole[place : place + (len(piece) if what == "write" else 0)] = piece
        elif what == "remove":
            del whole[place : place + draw(st.integers(1, 40))]
        elif what == "end" and draw(st.booleans()):
            del whole[place:]
    return whole


def mended(png: bytes) -> bytes:
    """The chunks of a PNG with their checksums made right."""
    whole, place = bytearray(png), len(_PNG)
    while place + 12 <= len(whole):
        end = place + 8 + struct.unpack_from(">I", whole, place)[0]
        if end + 4 > len(whole):
            break
        struct.pack_into(">I", whole, end, zlib.crc32(whole[place + 4 : end]))
        place = end + 4
    return bytes(whole)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(file=damaged())
def test_damage_is_read_right_or_refused(file: tuple[str, bytes]) -> None:
    name, content = file
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        said = exercise(path, Path(folder) / "copy")
    assert said and "\n" not in said and "Traceback" not in said


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_series_with_a_damaged_slice_is_read_right_or_refused(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        series = Path(folder) / "series"
        series.mkdir()
        for place, content in enumerate(slices()):
            whole = data.draw(st.composite(changed)(content)) if place == 1 else content
            (series / f"{place}.dcm").write_bytes(whole)
        said = exercise(series, Path(folder) / "copy")
    assert said and "\n" not in said


def test_the_specimens_are_of_every_format(tmp_path: Path) -> None:
    said = {}
    for name, content in valid().items():
        (tmp_path / name).write_bytes(content)
        said[name] = exercise(tmp_path / name, tmp_path / "copy")
    refused = {name for name, what in said.items() if len(what.split()) > 4 and not what.startswith("npz")}
    assert refused == {"tiff_ccitt.tif"}
    assert {form.name for form in FORMATS} - set(said.values()) == {"DICOM series", "npz"}


@pytest.mark.parametrize("content", [b"\0" * 2000, b"\xff" * 2000, b"II*\0" + b"\xff" * 200, b"NRRD0005\n" + b":" * 99])
def test_noise_is_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match="a "):
        read_scan(tmp_path / "a")
