"""Nothing that identifies a patient leaves the headers: no record, report, picture, export or message holds it."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
from PIL import Image

from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.cli import main
from palpate.data.formats.dicom import Dicom
from palpate.errors import InputError
from palpate.report.page.html import write_report
from palpate.storage.runs import RunFolder
from tests import clinic

PLANTED = [*clinic.SECRETS.values(), "private remark 4242", "SECRET MAKER", "1.2.3.4.5"]


def told(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a folder as it is and, where it is packed, as a reader sees it."""
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        yield path.name, path.name.encode()
        yield path.name, path.read_bytes()
        if path.suffix == ".parquet":
            yield path.name, str(pq.read_table(path).to_pydict()).encode()
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                yield path.name, str({name: arrays[name].tolist() for name in arrays.files}).encode()
        elif path.suffix == ".png":
            with Image.open(path) as picture:
                yield path.name, str(picture.info).encode()
        elif path.suffix == ".dcm":
            yield path.name, str(pydicom.dcmread(path)).encode()


def leaks(root: Path, *, also: tuple[str, ...] = ()) -> set[tuple[str, str]]:
    """Where a planted text stands."""
    return {(name, text) for name, content in told(root) for text in (*PLANTED, *also) if text.encode() in content}


def made(root: Path, kind: str, more: str = "") -> Path:
    """A plan on files whose headers are full of planted texts; `dicom` groups them by patient."""
    make, model = {
        "series": (clinic.ct_series, "arguments = {axes = 3}\nbounds = [-1024, 3071]\n[model.preprocess]\nstd = [500]"),
        "xray": (clinic.xray, "bounds = [0, 65535]\n[model.preprocess]\nmean = [30000]\nstd = [20000]"),
    }[kind]
    names = [f"case{row}" + (".dcm" if kind == "xray" else "") for row in range(3)]
    for row, name in enumerate(names):
        make(root / name, row, clinic.SECRETS)
    about = (model, 'eps = ["500 stored steps"]', f'[export]\nimages = "all"\n{more}')
    right = clinic.decided(clinic.plan(root, names, [0, 0, 0], *about))
    path = clinic.plan(root, names, right, *about)
    path.write_text(path.read_text().replace('group = "patient"', 'group = "dicom"'))
    return path


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    made(tmp_path, "xray")
    assert {text for _, text in leaks(tmp_path)} == set(PLANTED)


@pytest.mark.parametrize("kind", ["series", "xray"])
def test_no_identifier_reaches_any_output(kind: str, tmp_path: Path) -> None:
    path, run, heard = made(tmp_path / "data", kind), RunFolder(tmp_path / "run"), io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        audit(load_plan(path), run.path)
        write_report(run, names=True)
        with contextlib.suppress(SystemExit):
            main(["show", str(run.path)])
        with contextlib.suppress(SystemExit):
            main(["describe", str(path.parent / "case0.dcm" if kind == "xray" else path.parent / "case0")])
    assert len(list(run.path.rglob("exports/*"))) == 6
    assert {path.suffix for path in run.path.glob("stability/*")} == {".parquet", ".npz"}, "traces are looked at too"
    # Paths are relative: where the data lie on this machine is nobody's business either.
    assert leaks(run.path, also=(str(tmp_path),)) == set()
    assert "MONOCHROME" in heard.getvalue() or "lattice" in heard.getvalue(), "something was said"
    assert [text for text in PLANTED if text in heard.getvalue()] == []


def test_patients_are_told_apart_by_number_alone(tmp_path: Path) -> None:
    path, run = made(tmp_path / "data", "xray"), RunFolder(tmp_path / "run")
    other = {**clinic.SECRETS, "PatientID": "MRN-0000-0001"}
    clinic.xray(tmp_path / "data" / "case2.dcm", 2, other)
    audit(load_plan(path), run.path)
    frame = run.frame()
    groups = dict(zip(frame["row"].tolist(), frame["group"].tolist(), strict=True))
    assert groups == {0: "patient 1", 1: "patient 1", 2: "patient 2"}


def test_identifiers_are_exported_only_where_the_plan_asks_for_them(tmp_path: Path) -> None:
    path, run = made(tmp_path / "data", "xray", "identifiers = true"), RunFolder(tmp_path / "run")
    audit(load_plan(path), run.path)
    copies = list(run.path.glob("exports/*.dcm"))
    assert copies
    for file in copies:
        copy = pydicom.dcmread(file)
        assert copy.PatientID == clinic.SECRETS["PatientID"]
        assert copy.ImageType[0] == "DERIVED" and copy.SeriesInstanceUID != "1.2.3.4.5.6"
    # The rest of the run holds none even then.
    for file in copies:
        file.unlink()
    assert leaks(run.path) == set()


def test_findings_name_files_without_the_place_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, run = made(tmp_path / "data", "xray"), RunFolder(tmp_path / "run")

    def refuse(*_: object) -> None:
        raise InputError(f"{tmp_path / 'data' / 'case0.dcm'} cannot be written: made up.")

    monkeypatch.setattr(Dicom, "write", refuse)
    audit(load_plan(path), run.path)
    texts = [finding["text"] for finding in run.describe()["findings"]]
    assert any("case0.dcm cannot be written" in text for text in texts)
    assert leaks(run.path, also=(str(tmp_path),)) == set()
