"""Audits of files as the clinic has them, from end to end: budgets in their units, exports that reload."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.data.formats.registry import read_scan
from palpate.report.page.html import write_report
from palpate.storage.runs import RunFolder
from tests import clinic

WORLDS = {
    "CT series": {
        "make": clinic.ct_series,
        "name": "case{}",
        "model": "arguments = {axes = 3}\nbounds = [-1024, 3071]\n[model.preprocess]\nsteps = [{window = [-500, 500]}]",
        "threat": 'eps = ["40 HU", "200 HU"]\nlattice = true',
        "amount": "40 HU",
    },
    "16-bit X-ray": {
        "make": clinic.xray,
        "name": "case{}.dcm",
        "model": "bounds = [0, 65535]\n[model.preprocess]\nmean = [30000]\nstd = [20000]",
        "threat": 'eps = ["100 stored steps", "3000 stored steps"]\nlattice = true',
        "amount": "100 stored steps",
    },
    "endoscopic JPEG": {
        "make": clinic.jpeg,
        "name": "case{}.jpg",
        "model": "arguments = {channels = 3}\nbounds = [0, 255]\n[model.preprocess]\nmean = [127.5]\nstd = [60]",
        "threat": 'eps = ["2/255", "16/255"]',
        "amount": "2/255 of the range",
    },
    "NIfTI volume": {
        "make": clinic.nifti,
        "name": "case{}.nii.gz",
        "model": "arguments = {axes = 3}\nbounds = [-1000, 2000]\n[model.preprocess]\nmean = [500]\nstd = [250]",
        "threat": 'eps = ["10 a.u.", "100 a.u."]\nlattice = true',
        "amount": "10 a.u.",
    },
}
COUNT = 4


def audited(kind: str, root: Path) -> RunFolder:
    """Make the files of a world and audit them, with every adversarial image exported."""
    world = WORLDS[kind]
    names = [world["name"].format(row) for row in range(COUNT)]
    for row, name in enumerate(names):
        world["make"](root / name, row)
    more = '[survival]\nimages = "all"\n[export]\nimages = "all"'
    if kind == "NIfTI volume":
        more += "\n"
    path = clinic.plan(root, names, [0] * COUNT, world["model"], world["threat"], more)
    if kind == "NIfTI volume":
        path.write_text(path.read_text().replace("[data]\n", '[data]\nunit = "a.u."\n'))
    labels = clinic.decided(path)
    clinic.plan(root, names, labels, world["model"], world["threat"], more)
    if kind == "NIfTI volume":
        path.write_text(path.read_text().replace("[data]\n", '[data]\nunit = "a.u."\n'))
    run = RunFolder(root / "run")
    assert audit(load_plan(path), run.path).status == "finished"
    return run


@pytest.mark.parametrize("kind", WORLDS)
def test_a_clinics_files_are_audited_in_their_own_units(kind: str, tmp_path: Path) -> None:
    run = audited(kind, tmp_path)
    described, frame = run.describe(), run.frame()
    assert WORLDS[kind]["amount"] in described["threat"]["amounts"][0]
    assert [one["name"] for one in described["handlings"]][:2] == ["saved", "8bit"]
    eligible = frame["eligible"]
    assert eligible.all(), "labels are the model's own decisions"
    handled = np.stack(frame["handled"])
    assert np.isfinite(handled).all() and handled.shape[1] == len(described["handlings"])
    if kind != "endoscopic JPEG":  # a JPEG is never read back as it was written
        assert (frame["saved_linf"] == 0).all()
        # What is saved is what was found; a search and a verdict may differ in their last digits.
        np.testing.assert_allclose(handled[:, 0], frame["margin"], rtol=1e-4, atol=1e-5)
        assert ((handled[:, 0] <= 0) == (frame["margin"] <= 0)).all()
    bim = frame["attack"] == "bim"
    assert frame["success"][bim & (frame["eps"] == frame["eps"].max())].any(), "the larger budget beats some image"
    write_report(run)
    assert WORLDS[kind]["amount"] in run.results.read_text()


def _values(path: Path) -> np.ndarray:
    """Values of an export, by the library of its format rather than by palpate."""
    if path.is_dir():
        slices = sorted(map(pydicom.dcmread, path.iterdir()), key=lambda one: one.ImagePositionPatient[2])
        rescaled = [one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices]
        return np.stack(rescaled)[None]
    if path.suffix == ".dcm":
        return pydicom.dcmread(path).pixel_array[None].astype(float)
    if path.suffix == ".gz":
        return nib.load(path).get_fdata()[None]
    return np.asarray(Image.open(path)).transpose(2, 0, 1).astype(float)


@pytest.mark.parametrize("kind", WORLDS)
def test_exports_reload_in_the_libraries_of_their_formats(kind: str, tmp_path: Path) -> None:
    run = audited(kind, tmp_path)
    frame, exports = run.frame(), run.describe()["exports"]
    assert len(exports) == len(frame["row"])
    for entry in exports:
        place = np.flatnonzero(
            (frame["attack"] == entry["attack"]) & (frame["row"] == entry["row"]) & (frame["eps"] == entry["eps"])
        )
        (place,) = place
        clean = read_scan(tmp_path / frame["image"][place]).values
        change = np.abs(_values(run.path / entry["file"]) - clean).max()
        if kind == "endoscopic JPEG":
            assert change <= frame["linf"][place] + frame["saved_linf"][place] + 1
        else:
            assert change == pytest.approx(frame["linf"][place], abs=1e-9)


def test_a_dicom_export_says_that_it_is_derived_and_has_new_uids(tmp_path: Path) -> None:
    run = audited("16-bit X-ray", tmp_path)
    original = pydicom.dcmread(tmp_path / "case0.dcm")
    series = [pydicom.dcmread(path).SeriesInstanceUID for path in (run.path / "exports").iterdir()]
    assert len(set(series)) == len(series) == 2 * 2 * COUNT, "every attack and budget makes series of its own"
    for entry in run.describe()["exports"]:
        copy = pydicom.dcmread(run.path / entry["file"])
        assert copy.ImageType[0] == "DERIVED" and "palpate" in copy.DerivationDescription
        assert copy.SOPInstanceUID != original.SOPInstanceUID and copy.SeriesInstanceUID != original.SeriesInstanceUID
        assert copy.StudyInstanceUID != original.StudyInstanceUID
        assert copy.PhotometricInterpretation == "MONOCHROME1"


def test_monochrome1_is_shown_as_readers_see_it(tmp_path: Path) -> None:
    run = audited("16-bit X-ray", tmp_path)
    entries = run.describe()["gallery"]
    assert entries
    for entry in entries:
        stored = pydicom.dcmread(tmp_path / entry["image"]).pixel_array.astype(float)
        shown = np.asarray(Image.open(run.path / entry["clean"])).astype(float)
        assert entry["window"][0] > entry["window"][1], "high stored values are black"
        assert np.corrcoef(stored.ravel(), shown.ravel())[0, 1] < -0.9
    write_report(run)
    told = run.report.read_text()
    assert any(f"stored values {entry['window'][0]:.0f} to" in told for entry in entries)


@pytest.mark.parametrize(
    ("threat", "message"),
    [
        ('eps = ["0.4 stored steps"]\nlattice = true', "less than one stored step of case0.dcm"),
        ('eps = ["5 HU"]', "'5 HU': the images have no unit"),
        ('eps = ["1% of window"]', "has no window"),
    ],
)
def test_budgets_that_the_files_cannot_mean_are_refused(threat: str, message: str, tmp_path: Path) -> None:
    clinic.xray(tmp_path / "case0.dcm", 0)
    path = clinic.plan(tmp_path, ["case0.dcm"], [0], WORLDS["16-bit X-ray"]["model"], threat)
    with pytest.raises(ValueError, match=message):
        audit(load_plan(path), tmp_path / "run")
    assert not (tmp_path / "run" / "records").exists()


def test_what_is_said_of_files_reaches_the_findings(tmp_path: Path) -> None:
    clinic.xray(tmp_path / "case0.dcm", 0)
    clinic.dicom(
        np.full((32, 28), 7, dtype=np.uint16), tmp_path / "case1.dcm", Modality="CR", BitsStored=12, HighBit=11
    )
    model = WORLDS["16-bit X-ray"]["model"]
    path = clinic.plan(tmp_path, ["case0.dcm", "case1.dcm"], [0, 1], model, "eps = [0.25, 8]")
    outcome = audit(load_plan(path), tmp_path / "run")
    texts = {finding.subject: finding.text for finding in outcome.findings}
    assert "1 of 2 images are MONOCHROME1" in texts["polarity"]
    assert "case1.dcm can store 0 to 4095 (1 of 2 images)" in texts["bounds"]
    assert "below half a stored step of 1 (0.25)" in texts["stored steps"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["formats"] == ["DICOM"]


def test_records_say_where_and_with_what_an_image_was_taken(tmp_path: Path) -> None:
    world, names = WORLDS["CT series"], ["case0", "case1"]
    for row, name in enumerate(names):
        clinic.ct_series(tmp_path / name, row)
    path = clinic.plan(tmp_path, names, [0, 1], world["model"], world["threat"])
    path.write_text(path.read_text().replace('group = "patient"', 'group = "patient"\nsite = "hospital"'))
    table = tmp_path / "labels.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([f"{lines[0]},hospital", f"{lines[1]},north", f"{lines[2]},south", ""]))
    run = RunFolder(tmp_path / "run")
    audit(load_plan(path), run.path)
    frame, before = run.frame(), set(run.describe()["shards"])
    sites = dict(zip(frame["row"].tolist(), frame["site"].tolist(), strict=True))
    assert sites == {0: "north", 1: "south"}
    assert set(frame["scanner"]) == {"Maker Model 9"}
    assert all(spacing.tolist() == [2.5, 0.7, 0.7] for spacing in frame["spacing"])
    # A site that is corrected is another record.
    table.write_text(table.read_text().replace("south", "east"))
    audit(load_plan(path), run.path, update=True)
    assert not before & set(run.describe()["shards"]) and "east" in set(run.frame()["site"])
