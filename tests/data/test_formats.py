"""Which format a file is, its content says; what is refused is refused in a sentence that names the fix."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
from PIL import Image

from palpate.data.formats.images import MAX_SCANS
from palpate.data.formats.registry import FORMATS, format_of, header_of, read_scan
from palpate.data.table import Table
from palpate.errors import InputError
from tests.data.dicom.making import ct_series, ct_slice, saved
from tests.data.meta import meta
from tests.data.pictures import noise, save
from tests.data.volumes import scan, write


@pytest.mark.parametrize("name", ["a", "a.png", "a.nii.gz", "a.dcm"])
def test_content_decides_and_not_the_name(tmp_path: Path, name: str) -> None:
    made = {
        "PNG": save(tmp_path / "1.png"),
        "JPEG": save(tmp_path / "1.jpg"),
        "TIFF": save(tmp_path / "1.tif"),
        "BMP": save(tmp_path / "1.bmp"),
        "GIF": save(tmp_path / "1.gif"),
        "WEBP": save(tmp_path / "1.webp"),
        "NIfTI": write(tmp_path / "1.nii.gz", scan(3, 5, 4)),
        "DICOM": saved(tmp_path / "1.dcm", ct_slice(scan(8, 9), 1.0)),
        "NRRD": nrrd_file(tmp_path / "1.nrrd"),
        "MetaImage": meta(tmp_path / "1.mha", scan(3, 5, 4)),
        "npy": npy(tmp_path / "1.npy"),
        "npz": npz(tmp_path / "1.npz"),
    }
    for known, path in made.items():
        path.rename(tmp_path / name)
        assert format_of(tmp_path / name).name == read_scan(tmp_path / name).header.format == known
    assert {*made, "DICOM series"} == {one.name for one in FORMATS}


def npz(path: Path) -> Path:
    """An archive of one array."""
    np.savez(path, scan(3, 5, 4))
    return path


def npy(path: Path) -> Path:
    """An array of 3 x 5 x 4."""
    np.save(path, scan(3, 5, 4))
    return path


def nrrd_file(path: Path, voxels: np.ndarray | None = None, **fields: Any) -> Path:
    """An NRRD file; 3 x 5 x 4 voxels of 0.5 x 2 x 3 mm by default."""
    placed = {"space": "left-posterior-superior", "space directions": np.diag([0.5, 2.0, 3.0])}
    nrrd.write(str(path), scan(3, 5, 4) if voxels is None else voxels, fields or placed)
    return path


def edited(path: Path, *changes: tuple[bytes, bytes]) -> Path:
    """Replace parts of a file, which must be there."""
    content = path.read_bytes()
    for before, after in changes:
        assert before in content
        content = content.replace(before, after, 1)
    path.write_bytes(content)
    return path


def test_a_dicom_file_whose_preamble_is_a_tiff_is_dicom(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.dcm", ct_slice(scan(8, 9), 1.0))
    path.write_bytes(b"II*\0" + path.read_bytes()[4:])
    assert header_of(path).format == "DICOM"


def test_a_series_is_a_folder(tmp_path: Path) -> None:
    folder = ct_series(tmp_path / "p1", np.stack([scan(8, 9, seed=seed) for seed in range(3)]))
    assert header_of(folder).format == "DICOM series" and header_of(folder).shape == (1, 3, 8, 9)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty contains no DICOM slices; palpate reads DICOM, "):
        format_of(tmp_path / "empty")


@pytest.mark.parametrize(
    ("head", "what"),
    [(b"\xff\x0a", "is not an image that palpate knows"), (b"\0\0\0\x0cjP  ", "JPEG 2000")],
)
def test_other_formats_are_refused(tmp_path: Path, head: bytes, what: str) -> None:
    (tmp_path / "a.png").write_bytes(head.ljust(500, b"\x01"))
    with pytest.raises(InputError, match=rf"a\.png .*{what}; palpate reads DICOM, DICOM series, PNG, .*Convert it"):
        format_of(tmp_path / "a.png")


def test_a_damaged_volume_is_told_from_another_format(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"\x1f\x8b damaged")
    with pytest.raises(InputError, match=r"a\.nii\.gz is not a complete NIfTI volume"):
        format_of(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(("content", "words"), [(None, "does not exist"), (b"", "is empty")])
def test_missing_and_empty_files(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "a.nrrd").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.nrrd {words}"):
        header_of(tmp_path / "a.nrrd")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png is a pipe or a device"):
        read_scan(tmp_path / "a.png")


def test_a_jpeg_that_is_drawn_for_ever(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", noise(16, 16), progressive=True)
    content = path.read_bytes()
    start = content.index(b"\xff\xda")
    path.write_bytes(content[:start] + content[start:-2] * (MAX_SCANS + 1) + content[-2:])
    with pytest.raises(InputError, match=r"a\.jpg has \d+ scans"):
        read_scan(path)


# -- NRRD --------------------------------------------------------------------------------------------------------------


def test_nrrd_says_its_spacing(tmp_path: Path) -> None:
    spacings = {"spacings": [0.5, 2.0, 3.0]}
    assert header_of(nrrd_file(tmp_path / "a.nrrd")).spacing == (0.5, 2.0, 3.0)
    assert header_of(nrrd_file(tmp_path / "b.nrrd", **spacings)).spacing == (0.5, 2.0, 3.0)
    assert header_of(nrrd_file(tmp_path / "c.nrrd", **spacings, units=["cm"] * 3)).spacing == (5.0, 20.0, 30.0)
    assert header_of(nrrd_file(tmp_path / "d.nrrd", **spacings, units=["s"] * 3)).spacing is None
    assert header_of(nrrd_file(tmp_path / "e.nrrd", spacings=[1.0, 1.0, 1.0])).spacing is None
    assert header_of(nrrd_file(tmp_path / "f.nrrd", encoding="raw")).spacing is None
    oblique = np.array([[0.3, 0.4, 0], [-1.6, 1.2, 0], [0, 0, 3]])
    turned = nrrd_file(tmp_path / "g.nrrd", **{"space": "scanner-xyz", "space directions": oblique})
    assert header_of(turned).spacing == pytest.approx((0.5, 2.0, 3.0))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b"encoding: gzip", b"data file: /etc/hostname\nencoding: raw", "names another file for its data"),
        (b"encoding: gzip", b"datafile: a.raw\nencoding: raw", "names another file for its data"),
        (b"encoding: gzip", b"byte skip: -1\nencoding: raw", "skips bytes or lines"),
        (b"encoding: gzip", b"encoding: bzip2", "stores its data as bzip2"),
        (b"encoding: gzip", b"encoding: raw", "holds .* bytes where its header promises 120"),
        (b"type: int16", b"type: int64", "numbers of type int64"),
        (b"type: int16", b"type: float", "holds 120 bytes where its header promises 240"),
        (b"endian: little\n", b"", "little- or big-endian"),
        (b"sizes: 3 5 4", b"sizes: 3 5 2000000000", "header declares 3 x 5 x 2000000000 voxels"),
        (b"sizes: 3 5 4", b"sizes: 3 5 0", "header declares 3 x 5 x 0 voxels"),
        (b"sizes: 3 5 4", b"sizes: 3 5", "contradicts itself"),
        (b"sizes: 3 5 4", b"sizes: 3 5 2", "holds more bytes where its header promises 60"),
        (b"dimension: 3\n", b"", "truncated or damaged"),
        (b"left-posterior-superior", b"Doe", "the space 'Doe'"),
        (b"(0.5,0,0)", b"(0,0,0)", "have the spacing"),
        (b"(0.5,0,0)", b"none", "have the spacing"),
        (b"NRRD0005", b"NRRD0009", "truncated or damaged"),
        (b"encoding: gzip\n", b"encoding: gzip\nkinds: list domain domain\n", "an axis of the kind list"),
        (b"encoding: gzip\n", b"encoding: gzip\nkinds: domain RGB-color domain\n", "the kind RGB-color"),
    ],
)
def test_nrrd_headers_that_cannot_be_believed(tmp_path: Path, before: bytes, after: bytes, words: str) -> None:
    with pytest.raises(InputError, match=rf"a\.nrrd.*({words})"):
        read_scan(edited(nrrd_file(tmp_path / "a.nrrd"), (before, after)))


def test_nrrd_of_several_volumes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.nrrd has 4 axes \(2 x 3 x 5 x 4\)\. Save each image or volume as a file"):
        header_of(nrrd_file(tmp_path / "a.nrrd", scan(2, 3, 5, 4), encoding="raw"))


def test_nrrd_that_is_not_finite(tmp_path: Path) -> None:
    voxels = scan(3, 5, 4).astype(np.float32)
    voxels[0, 1, 2] = np.nan
    with pytest.raises(InputError, match=r"a\.nrrd holds NaN in 1 of 60 voxels"):
        read_scan(nrrd_file(tmp_path / "a.nrrd", voxels))


def test_nrrd_without_pynrrd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nrrd_file(tmp_path / "a.nrrd")
    monkeypatch.setitem(sys.modules, "nrrd", None)
    with pytest.raises(InputError, match=r"NRRD files need pynrrd\. Install it: pip install 'palpate\[nrrd\]'"):
        header_of(path)


# -- tables ------------------------------------------------------------------------------------------------------------


def listing(folder: Path, *names: str) -> Path:
    path = folder / "table.csv"
    path.write_text("file,label\n" + "".join(f"{name},{row % 2}\n" for row, name in enumerate(names)))
    return path


def test_a_table_of_every_format(tmp_path: Path) -> None:
    volume = np.stack([scan(8, 9, seed=seed) for seed in range(3)])
    ct_series(tmp_path / "p1", volume)
    saved(tmp_path / "p2.dcm", ct_slice(volume[0], 0.0))
    nrrd_file(tmp_path / "p3.nrrd")
    write(tmp_path / "p4.nii.gz", scan(3, 5, 4))
    save(tmp_path / "p5.png")
    table = Table.from_csv(listing(tmp_path, "p1", "p2", "p3", "p4", "p5"), tmp_path)
    assert [case.name for case in table] == ["p1", "p2.dcm", "p3.nrrd", "p4.nii.gz", "p5.png"]
    np.testing.assert_array_equal(table.image(0)[0], volume - 1024.0)
    for row, case in enumerate(table):
        assert table.paths(row) == (tmp_path / case.name,)
        assert table.header(row) == header_of(tmp_path / case.name)
        assert table.header(row).form.shape == table.shape_of(row) == table.image(row).shape
        assert table.image(row).dtype == table.header(row).form.dtype
    assert len({table.fingerprint([row]) for row in range(5)}) == 5


def test_the_identity_of_a_series_is_its_slices_and_not_their_names(tmp_path: Path) -> None:
    volume = np.stack([scan(8, 9, seed=seed) for seed in range(3)])
    folder = ct_series(tmp_path / "p1", volume)
    prints = [Table.from_csv(listing(tmp_path, "p1"), tmp_path, classes=["a", "b"]).fingerprint()]
    for place, path in enumerate(sorted(folder.iterdir(), reverse=True)):
        path.rename(folder / f"renamed{place}.dcm")
    (folder / ".DS_Store").write_bytes(b"hidden")
    prints.append(Table.from_csv(listing(tmp_path, "p1"), tmp_path, classes=["a", "b"]).fingerprint())
    edited(folder / "renamed1.dcm", (struct.pack("<h", volume[1, 0, 0]), struct.pack("<h", volume[1, 0, 0] + 1)))
    prints.append(Table.from_csv(listing(tmp_path, "p1"), tmp_path, classes=["a", "b"]).fingerprint())
    assert prints[0] == prints[1] != prints[2]


def test_a_folder_that_is_no_series_is_no_image(tmp_path: Path) -> None:
    save(tmp_path / "p1" / "a.png")
    with pytest.raises(InputError, match=r"1 of 1 images are folders .* without a DICOM file: first 'p1'"):
        Table.from_csv(listing(tmp_path, "p1"), tmp_path)


def test_class_folders_hold_files_of_every_format(tmp_path: Path) -> None:
    for name in ("0", "1"):
        (tmp_path / name).mkdir()
        nrrd_file(tmp_path / name / "a.nrrd")
        saved(tmp_path / name / "b.dcm", ct_slice(scan(8, 9), 0.0))
        write(tmp_path / name / "c.nii.gz", scan(3, 5, 4))
    assert len(Table.from_folders(tmp_path)) == 6


def test_an_archive_has_headers_and_no_paths(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", test_images=noise(3, 8, 9), test_labels=np.array([[0], [1], [0]]))
    table = Table.from_medmnist(tmp_path / "a.npz")
    header = table.header(1)
    assert (header.format, header.shape, header.dtype, header.lattice) == ("npz", (1, 8, 9), "uint8", (0, 255))
    assert table.paths(1) == ()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pictures_have_the_lattice_of_their_bits(tmp_path: Path, mode: str) -> None:
    Image.fromarray(noise(8, 9)).convert(mode).save(tmp_path / "a.png")
    header = header_of(tmp_path / "a.png")
    assert (header.lattice, header.step, header.bounds, header.unit) == ((0, 255), 1, (0, 255), "")
