"""Adversarial images as files of the format that they came in."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from palpate.audit.work import saving
from palpate.audit.work.saving import Saver, storable, write_altered
from palpate.data.cases import Case
from palpate.data.formats.registry import header_of
from palpate.data.formats.scan import Header, Note
from palpate.data.rows import Rows
from palpate.data.source import Folder
from palpate.data.stacked import Stacked

NOTE = Note("bim", "1 HU", "identity")


def channel(path: Path, seed: int) -> None:
    """A volume of int16 at a place of its own."""
    stored = np.random.default_rng(seed).integers(0, 900, (5, 4, 3)).astype(np.int16)
    nib.Nifti1Image(stored, np.diag([1.0, 2.0, 3.0, 1.0])).to_filename(path)


def two_channels(root: Path) -> SimpleNamespace:
    """The part of a subject that saving asks for, on an image whose two channels are two files."""
    names = ("case_0000.nii.gz", "case_0001.nii.gz")
    for seed, name in enumerate(names):
        channel(root / name, seed)
    case = Case(names[0], 0, "p", 0)
    table = Rows((case,), ("a",), Stacked(root, {names[0]: names}))
    return SimpleNamespace(table=table, headers=(table.header(0),), victim=SimpleNamespace(bounds=(0.0, 1000.0)))


def test_channels_of_their_own_are_saved_as_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = two_channels(tmp_path)
    image = torch.from_numpy(subject.table.image(0)) + 7
    written = write_altered(subject, 0, image, tmp_path / "out" / "0", NOTE)
    assert [path.name for path in sorted(written.iterdir())] == ["0000.nii.gz", "0001.nii.gz"]
    for number, path in enumerate(sorted(written.iterdir())):
        assert (nib.load(path).get_fdata() == image[number].numpy()).all()
    saver, stems = Saver(subject, tmp_path / "run"), []
    (tmp_path / "run").mkdir()
    whole = saving.write_altered

    def watched(subject, row, image, stem, note):
        stems.append(stem)
        return whole(subject, row, image, stem, note)

    monkeypatch.setattr(saving, "write_altered", watched)
    back = saver.saved([0], image[None] + 0.2, [NOTE])
    assert [stem.parent.parent for stem in stems] == [tmp_path / "run"], "images in passing stay in the run folder"
    assert torch.equal(back[0], image) and not saver.refused
    assert not list((tmp_path / "run").iterdir()), "what was written in passing is gone"


def test_what_cannot_be_saved_is_counted_and_not_a_number(tmp_path: Path) -> None:
    subject = two_channels(tmp_path)
    (tmp_path / "case_0001.nii.gz").write_bytes(b"damaged")
    saver, image = Saver(subject, tmp_path), torch.zeros(2, 5, 4, 3)
    assert saver.saved([0, 0], torch.stack([image, image]), [NOTE, NOTE]).isnan().all()
    ((reason, count),) = saver.refused.items()
    assert "case_0001.nii.gz" in reason and count == 2


def test_what_a_file_cannot_hold_is_clipped_and_rounded(tmp_path: Path) -> None:
    channel(tmp_path / "a.nii.gz", 0)
    header = header_of(tmp_path / "a.nii.gz")
    assert storable(header, torch.tensor([1e6, -1e6, 2.4, 2.6])).tolist() == [32767, -32768, 2, 3]
    scaled = Header("DICOM", (1, 2, 2), "uint16", (0, 4095), 0.5, -100.0)
    assert storable(scaled, torch.tensor([-500.0, -99.6, 0.0, 9999.0])).tolist() == [0, 1, 200, 4095]


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_what_is_saved_in_memory_is_what_the_file_would_hold(suffix: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 250, (20, 9)).astype(np.uint8)
    turn = Image.Exif()
    turn[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", exif=turn)
    table = Rows((Case(f"a.{suffix}", 0, "p", 0),), ("a",), Folder(tmp_path)).turned()
    subject = SimpleNamespace(table=table, headers=(table.header(0),), victim=SimpleNamespace(bounds=(0.0, 255.0)))
    clean = torch.from_numpy(table.image(0).astype(np.float32))
    altered = (clean + torch.rand(clean.shape, generator=torch.Generator().manual_seed(0)) * 5).clamp(0, 255)
    saver = Saver(subject, tmp_path)
    for image, back in (
        (altered, saver.saved([0], altered[None], [NOTE])[0]),
        (clean, saver.read([0], clean[None], [NOTE])[0]),
    ):
        written = write_altered(subject, 0, image, tmp_path / "out" / "0", NOTE)
        expected = replace(table, source=Folder(written.parent), cases=(Case(written.name, 0, "p", 0, upright=True),))
        assert np.array_equal(back.numpy(), expected.image(0)) and not torch.equal(back, altered)
    assert not saver.refused


@pytest.mark.parametrize("suffix", ["bmp", "gif", "webp"])
def test_what_cannot_say_that_it_is_a_copy_is_saved_as_png(suffix: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 250, (8, 9)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    table = Rows((Case(f"a.{suffix}", 0, "p", 0),), ("a",), Folder(tmp_path))
    subject = SimpleNamespace(table=table, headers=(table.header(0),), victim=SimpleNamespace(bounds=(0.0, 255.0)))
    image = torch.from_numpy(table.image(0).astype(np.float32)) + 3
    written = write_altered(subject, 0, image, tmp_path / "out" / "0", NOTE)
    assert written.name == "0.png" and written.read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "run").mkdir()
    assert torch.equal(Saver(subject, tmp_path / "run").saved([0], image[None], [NOTE])[0], image)
