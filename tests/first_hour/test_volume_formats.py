"""Volumes as people bring them, through the command line: described, started, and refused in a sentence that helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from palpate.audit.subject.file_findings import _rescales
from palpate.cli import main
from palpate.data.formats.registry import header_of
from tests.data.dicom.making import ct_series, ct_slice, saved
from tests.data.meta import meta
from tests.data.volumes import scan

Said = Callable[..., tuple[int, str]]


@pytest.fixture(name="said")
def saying(capsys: pytest.CaptureFixture[str]) -> Said:
    def said(*words: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return int(ended.value.code or 0), " ".join("".join(capsys.readouterr()).split())

    return said


def labelled(folder: Path, *names: str) -> None:
    lines = [f"{name},{row % 2}\n" for row, name in enumerate(names)]
    (folder / "labels.csv").write_text("file,label\n" + "".join(lines))


def test_metaimage_and_arrays_are_described_and_started(tmp_path: Path, said: Said) -> None:
    names = ["a.mha", "b.mhd", "c.mha", "d.mhd"]
    for name in names:
        meta(tmp_path / name, scan(6, 5, 4), packed=name == "b.mhd")
    np.save(tmp_path / "c.npy", scan(6, 5, 4).astype(np.float32))
    labelled(tmp_path, *names)
    status, text = said("describe", tmp_path / "b.mhd")
    assert status == 0 and "MetaImage" in text and "1 x 6 x 5 x 4" in text and "0.5 x 2.0 x 3.0" in text
    assert said("describe", tmp_path / "c.npy")[0] == 0
    status, text = said("init", tmp_path)
    assert status == 0 and (tmp_path / "plan.toml").exists(), text
    assert 'table = "labels.csv"' in (tmp_path / "plan.toml").read_text()


def pet(folder: Path) -> Path:
    for place in range(4):
        dataset = ct_slice(scan(8, 9, seed=place), place * 2.5, RescaleSlope=1 + 0.1 * place, Modality="PT")
        saved(folder / f"{place}.dcm", dataset)
    return folder


def test_pet_is_started_and_the_audit_says_how_it_is_saved(tmp_path: Path, said: Said) -> None:
    names = ["s0", "s1", "s2", "s3"]
    for name in names:
        pet(tmp_path / name)
    labelled(tmp_path, *names)
    status, text = said("init", tmp_path)
    assert status == 0, text
    found = _rescales(SimpleNamespace(headers=[header_of(tmp_path / "s0")]))  # type: ignore[arg-type]
    assert len(found) == 1 and found[0].text.startswith("1 of 1 series have a separate rescale in each slice")


def test_init_names_a_copy_of_a_slice(tmp_path: Path, said: Said) -> None:
    names = ["s0", "s1", "s2", "s3"]
    for name in names:
        folder = ct_series(tmp_path / name, np.stack([scan(8, 9, seed=seed) for seed in range(4)]))
        first = sorted(folder.iterdir())[0]
        (folder / f"{first.stem}(1).dcm").write_bytes(first.read_bytes())
    labelled(tmp_path, *names)
    status, text = said("init", tmp_path)
    assert status == 2 and f"(1).dcm is a copy of {first.name}" in text and "time points" not in text
