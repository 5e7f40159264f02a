"""Images behind a URL: the same images, identities and errors as from a folder; copies are bounded and removed."""

import gc
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from palpate.data import remote as module
from palpate.data.annotations.labels import ClassLabels, MaskLabels
from palpate.data.layouts.csv_table import CsvTable
from palpate.data.remote import Remote
from palpate.data.table import Table, read_table
from palpate.errors import InputError
from tests.data.pictures import noise, save

COUNT = 20
SCANS = "memory://scans"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.fixture
def folder(tmp_path: Path, temporary: Path) -> Iterator[Path]:
    """Images and masks in a folder, and the same behind a URL."""
    lines = ["file,label,mask"]
    for number in range(COUNT):
        save(tmp_path / f"{number}.png", noise(6, 5, seed=number))
        save(tmp_path / f"mask{number}.png", (noise(6, 5, seed=number) > 99).astype(np.uint8))
        lines.append(f"{number}.png,{number % 2},mask{number}.png")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    system = fsspec.filesystem("memory")
    system.put([str(path) for path in tmp_path.glob("*.png")], "/scans/", recursive=False)
    yield tmp_path
    system.rm("/scans", recursive=True)


def table(folder: Path, url: str | None = SCANS, room: int = module.ROOM) -> Table:
    remote = None if url is None else Remote.open(url)
    if remote is not None:
        remote.room = room
    layout = CsvTable(folder / "labels.csv", remote)
    return read_table(layout, MaskLabels(["lesion"], exclusive=True, mask="mask")).scanned()


@pytest.mark.parametrize("url", [SCANS, f"{SCANS}/", "file://{folder}"])
def test_images_masks_and_identity_are_those_of_the_files(folder: Path, temporary: Path, url: str) -> None:
    here, there = table(folder, None), table(folder, url.format(folder=folder))
    assert there.fingerprint() == here.fingerprint() and list(there) == list(here)
    for row in (0, COUNT - 1):
        np.testing.assert_array_equal(there.image(row), here.image(row))
        np.testing.assert_array_equal(there.annotation(row).labels, here.annotation(row).labels)
    assert there.paths(0)[0].read_bytes() == here.paths(0)[0].read_bytes()
    assert list(temporary.iterdir())
    del there
    gc.collect()
    assert not list(temporary.iterdir()), "nothing of a patient stays behind"


def test_cells_may_be_urls_below_that_of_the_plan(folder: Path) -> None:
    whole, lines = table(folder), (folder / "labels.csv").read_text().splitlines()
    urls = [f"{SCANS}/{number}.png,{number % 2},{SCANS}/mask{number}.png" for number in range(COUNT)]
    (folder / "labels.csv").write_text("\n".join([lines[0], *urls[:2], *lines[3:]]) + "\n")
    assert table(folder).fingerprint() == whole.fingerprint()
    with pytest.raises(
        InputError, match=rf"line 2: column 'file': '{SCANS}/0.png' is not below data.images, memory://o"
    ):
        table(folder, "memory://other")
    with pytest.raises(InputError, match=rf"column 'file' holds URLs. Write in \[data\] .*images = '{SCANS}'"):
        table(folder, None)
    secret = f"https://me:secret@host/{lines[3].partition(',')[0]}?token=secret,1,mask1.png"
    for images, said in ((None, "holds URLs"), (SCANS, "'https://host/.*' is not below")):
        (folder / "labels.csv").write_text("\n".join([lines[0], secret, *urls[1:]]) + "\n")
        with pytest.raises(InputError, match=said) as caught:
            table(folder, images)
        assert "secret" not in str(caught.value)
    (folder / "labels.csv").write_text("\n".join([lines[0], *urls]) + "\n")
    found = table(folder, "memory://")
    assert found[1].name == "scans/1.png"
    np.testing.assert_array_equal(found.image(1), whole.image(1))


def test_copies_take_no_more_than_their_room_and_are_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LATEST", 4)
    found = table(folder, room=300)
    assert found.remote is not None
    pixels = [found.image(row) for row in range(COUNT)]
    assert 1 <= len(list(found.remote.folder.iterdir())) <= 4
    np.testing.assert_array_equal(found.image(0), pixels[0])
    # The first image is no longer here; what comes instead of it is not attacked under its name.
    for row in range(5, 15):
        found.image(row)
    fsspec.filesystem("memory").pipe_file("/scans/0.png", (folder / "1.png").read_bytes())
    with pytest.raises(InputError, match=rf"{SCANS}/0.png has changed since the audit began"):
        found.image(0)


def test_what_is_being_read_stays_whatever_others_need(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LATEST", 1)
    remote = Remote.open(SCANS)
    remote.room = 1
    first, second, third = (remote.folder / f"{place}.png" for place in range(3))
    with remote.reading([first]):
        remote.hold([first])
        remote.hold([second])
        remote.hold([third])
        assert first.is_file() and not second.exists()
    remote.hold([second])
    assert not first.exists()


def test_another_process_begins_without_copies(folder: Path) -> None:
    found = table(folder)
    other = pickle.loads(pickle.dumps(found.remote))
    assert other.hold([other.folder / "0.png"]) is True and other.hold([other.folder / "0.png"]) is False


def test_a_series_of_files_is_a_folder(folder: Path, tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    for name in ("a.dcm", "b.dcm", ".hidden"):
        system.pipe_file(f"/scans/series/{name}", name.encode())
    remote = Remote("memory://scans", tmp_path / "copies")
    remote.folder.mkdir()
    remote.hold([remote.folder / "series"])
    assert sorted(path.name for path in (remote.folder / "series").iterdir()) == ["a.dcm", "b.dcm"]


def _refused(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(*given: object, **named: object) -> None:
        raise error

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", get)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(), r"memory://scans/0.png cannot be read with the credentials of this machine"),
        (RuntimeError("Unable to locate credentials"), "cannot be read with the credentials"),
        (TimeoutError("no route\nmore"), r"0.png cannot be read: TimeoutError: no route\. Try again later"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_url(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    _refused(error, monkeypatch)
    with pytest.raises(InputError, match=said):
        table(folder)


def test_a_missing_or_damaged_file_is_named_by_its_url(folder: Path) -> None:
    system = fsspec.filesystem("memory")
    system.pipe_file("/scans/1.png", (folder / "1.png").read_bytes()[:40])
    found = table(folder)
    with pytest.raises(InputError, match=r"^memory://scans/1.png is truncated or damaged"):
        found.image(1)
    system.rm_file("/scans/0.png")
    with pytest.raises(InputError, match=r"memory://scans/0.png does not exist. Correct its name in the table"):
        table(folder)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.SCHEMES, "s3", "s3fs")

    def missing(*given: object, **named: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(InputError, match=r"data.images: s3:// needs s3fs, .* Install it: pip install s3fs\."):
        Remote.open("s3://bucket")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("zip://a.zip::s3://bucket", "begins with none of s3://, gs://"),
        ("pickle://bucket", "begins with none of"),
        ("sftp://me:secret@host/scans", r"it holds a password or a token"),
        ("https://host/scans?token=1", r"it holds a password or a token"),
    ],
)
def test_a_url_of_another_kind_or_with_a_password_is_refused(url: str, said: str) -> None:
    with pytest.raises(InputError, match=f"data.images: .*{said}") as caught:
        Remote.open(url)
    assert "secret" not in str(caught.value)


def test_classes_need_no_masks(folder: Path) -> None:
    layout = CsvTable(folder / "labels.csv", Remote.open(SCANS))
    found = read_table(layout, ClassLabels(["a", "b"]))
    assert found.form().shape == (1, 6, 5) and found.counts() == (COUNT // 2, COUNT // 2)
