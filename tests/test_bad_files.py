"""Bad files and contradictory plans through the command line: exit status 2, one sentence, nothing half-done."""

from __future__ import annotations

import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless

from palpate import cli
from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.storage.runs import RunFolder
from tests import clinic
from tests.test_clinic import WORLDS

XRAY = WORLDS["16-bit X-ray"]["model"]
CT = WORLDS["CT series"]["model"]
COLOUR = WORLDS["endoscopic JPEG"]["model"]
VOLUME = WORLDS["NIfTI volume"]["model"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command line says where it refuses: one line on stderr, exit status 2."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr().err.strip()
    assert ended.value.code == cli.BAD_INPUT, said
    assert said.startswith("palpate: ") and "Traceback" not in said and len(said.splitlines()) == 1
    return said


def changed(path: Path, **fields: object) -> None:
    """A DICOM file with other attributes; None removes one."""
    data = pydicom.dcmread(path)
    for name, value in fields.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path)


def slice_of(folder: Path, place: int) -> Path:
    return sorted(folder.iterdir())[place]


# -- DICOM ---------------------------------------------------------------------------------------------------------


def no_decoder(path: Path) -> None:
    data = pydicom.dcmread(path)
    data.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = JPEGLSLossless
    data.save_as(path)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: changed(path, PixelData=None), "holds no pixel data"),
        (no_decoder, "no decoder for it is installed. Install one: pip install pyjpegls"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "is truncated: its header declares"),
        (lambda path: changed(path, Rows=60000, Columns=60000), "declares 60000 x 60000 pixels"),
        (lambda path: changed(path, NumberOfFrames=2**31 - 1), "2147483647 frames"),
        (lambda path: path.write_bytes(pickle.dumps([1, 2])), "looks like a pickle"),
        (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
    ],
)
def test_a_bad_dicom_file_is_named(
    spoil: Callable[[Path], object], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clinic.xray(tmp_path / "good.dcm", 0)
    clinic.xray(tmp_path / "bad.dcm", 1)
    spoil(tmp_path / "bad.dcm")
    plan = clinic.plan(tmp_path, ["good.dcm", "bad.dcm"], [0, 1], XRAY, "eps = [300]")
    for said in (refused(capsys, "audit", plan), refused(capsys, "describe", tmp_path / "bad.dcm")):
        assert "bad.dcm" in said and sentence in said
    assert not (tmp_path / "runs" / "plan" / "records").exists()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: changed(slice_of(folder, 2), SeriesInstanceUID="1.9"), "holds slices of 2 series"),
        (lambda folder: slice_of(folder, 2).unlink(), "slices are missing between"),
        (lambda folder: changed(slice_of(folder, 2), PixelSpacing=[0.9, 0.9]), "pixels of different spacing"),
        (lambda folder: changed(slice_of(folder, 2), ImagePositionPatient=None), "does not give its position"),
        (
            lambda folder: (folder / "again.dcm").write_bytes(slice_of(folder, 0).read_bytes()),
            "again.dcm is a copy of",
        ),
    ],
)
def test_a_bad_series_is_named(
    spoil: Callable[[Path], object], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clinic.ct_series(tmp_path / "case0", 0)
    spoil(tmp_path / "case0")
    plan = clinic.plan(tmp_path, ["case0"], [0], CT, 'eps = ["40 HU"]')
    for said in (refused(capsys, "audit", plan), refused(capsys, "describe", tmp_path / "case0")):
        assert "case0" in said and sentence in said


# -- other files ---------------------------------------------------------------------------------------------------


def bomb(path: Path) -> None:
    """A PNG of a few bytes that declares 60000 x 60000 pixels."""
    parts = ((b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def volume(*shape: int, dtype: str = "int16") -> Callable[[Path], None]:
    return lambda path: nib.Nifti1Image(np.zeros(shape, dtype), np.eye(4)).to_filename(path)


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("bomb.png", bomb, "declares 60000 x 60000 pixels"),
        ("five.nii.gz", volume(4, 5, 6, 3, 2), "a series of volumes"),
        ("line.nii.gz", volume(5), "has one axis"),
        ("pickle.png", lambda path: path.write_bytes(pickle.dumps({})), "looks like a pickle"),
        ("pipe.png", os.mkfifo, "is a pipe or a device"),
        ("text.jpg", lambda path: path.write_text("hello"), "is not an image that palpate knows"),
    ],
)
def test_other_bad_files_are_named(
    name: str, make: Callable[[Path], None], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / name)
    said = refused(capsys, "describe", tmp_path / name)
    assert name in said and sentence in said


# -- plans that the files contradict -------------------------------------------------------------------------------


def of_xrays(root: Path, threat: str = "eps = [300]", more: str = "", model: str = XRAY) -> Path:
    for row in range(2):
        clinic.xray(root / f"case{row}.dcm", row)
    return clinic.plan(root, ["case0.dcm", "case1.dcm"], [0, 1], model, threat, more)


def of_colours(root: Path, threat: str) -> Path:
    for row in range(2):
        clinic.jpeg(root / f"case{row}.jpg", row)
    return clinic.plan(root, ["case0.jpg", "case1.jpg"], [0, 1], COLOUR, threat)


def of_floats(root: Path, threat: str, more: str = "") -> Path:
    volume(12, 16, 14, dtype="float32")(root / "case0.nii.gz")
    return clinic.plan(root, ["case0.nii.gz"], [0], VOLUME, threat, more)


def edited(path: Path, *pairs: tuple[str, str]) -> Path:
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def regions_of(root: Path, second: np.ndarray | None) -> Path:
    """Two X-rays with masks in a column; the second is empty, of another size, or not named at all."""
    plan = edited(
        of_xrays(root, 'eps = [300]\nregion = ["inside column"]'), ('"patient"\n', '"patient"\nregion = "lung"\n')
    )
    Image.fromarray(np.full((32, 28), 255, np.uint8)).save(root / "one.png")
    if second is not None:
        Image.fromarray(second).save(root / "two.png")
    cell = "" if second is None else "two.png"
    (root / "labels.csv").write_text(f"file,label,patient,lung\ncase0.dcm,0,p0,one.png\ncase1.dcm,1,p1,{cell}\n")
    return plan


def steps(text: str) -> str:
    return f"bounds = [0, 65535]\n[model.preprocess]\nsteps = [{text}]"


L2 = ('norm = "linf"', 'norm = "l2"')
BIM = "steps = 6\n"
PLANS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "HU on an X-ray": (lambda root: of_xrays(root, 'eps = ["5 HU"]'), "threat.eps: '5 HU': the images have no unit"),
    "steps of floats": (lambda root: of_floats(root, 'eps = ["1 stored step"]'), "the images store floating point"),
    "a window that is none": (lambda root: of_xrays(root, 'eps = ["1% of window"]'), "preprocessing has no window"),
    "a budget beyond all": (
        lambda root: of_xrays(root, 'eps = ["1e99/1e-99"]'),
        "threat.eps[0]: '1e99/1e-99' is wider than the whole range",
    ),
    "a budget of no end": (lambda root: of_xrays(root, 'eps = ["1e999999999/255"]'), "is not a budget"),
    "a lattice of floats": (lambda root: of_floats(root, "eps = [10]\nlattice = true"), "threat.lattice: case0.nii.gz"),
    "half a step": (lambda root: of_xrays(root, "eps = [0.4]\nlattice = true"), "0.4 is less than one stored step of"),
    "half a step in L2": (
        lambda root: edited(of_xrays(root, "eps = [0.4]\nlattice = true"), L2),
        "threat.eps: 0.4 is less than one stored step of case0.dcm, which is 1",
    ),
    "a step in tied channels in L2": (
        lambda root: edited(of_colours(root, "eps = [1.2]\nlattice = true\ntied = true"), L2),
        "of case0.jpg in 3 tied channels, which needs l2 1.73205",
    ),
    "a step of shared channels": (
        lambda root: of_colours(root, "eps = [1]\nlattice = true\nchannels = [0.5, 0.5, 0.5]"),
        "of case0.jpg at a share of 0.5, which needs linf 2",
    ),
    "shares of other channels": (
        lambda root: of_colours(root, "eps = [3]\nchannels = [1, 1]"),
        "threat.channels: 2 shares, and case0.jpg has 3 channels",
    ),
    "a smoothness beyond images": (lambda root: of_xrays(root, "eps = [3]\nsmooth = 1e9"), "at most 1024"),
    "an empty region": (lambda root: regions_of(root, np.zeros((32, 28), np.uint8)), "no pixel of case1.dcm is inside"),
    "a region of another size": (
        lambda root: regions_of(root, np.ones((9, 9), np.uint8)),
        "two.png has the size 9 x 9",
    ),
    "a region that is not named": (lambda root: regions_of(root, None), "names no mask for case1.dcm"),
    "a column that is not there": (
        lambda root: edited(
            of_xrays(root, 'eps = [3]\nregion = ["inside column"]'), ("[data]", '[data]\nregion = "lung"')
        ),
        "labels.csv has no column 'lung'",
    ),
    "a window without width": (lambda root: of_xrays(root, model=steps("{window = [40, 40]}")), "has zero width"),
    "a size beyond all": (
        lambda root: of_xrays(root, model=steps("{resize = [99999, 99999]}")),
        "more than 536",
    ),
    "a spacing beyond all": (
        lambda root: of_xrays(root, model=steps("{resample = [1e-9, 1e-9]}")),
        "more than 536",
    ),
    "another spacing": (
        lambda root: edited(of_xrays(root), ("[data]", "[data]\nspacing = [0.5, 0.5]")),
        "data.spacing: [0.5, 0.5] is given, and case0.dcm stores [0.7, 0.7]",
    ),
    "another unit": (
        lambda root: edited(
            (clinic.ct_series(root / "case0", 0), clinic.plan(root, ["case0"], [0], CT, "eps = [40]"))[1],
            ("[data]", '[data]\nunit = "mm"'),
        ),
        "data.unit: case0 says that it is in HU, not in mm",
    ),
    "patients of PNG": (
        lambda root: edited(of_colours(root, "eps = [3]"), ('group = "patient"', 'group = "dicom"')),
        'data.group: "dicom" reads the patient from the files. ',
    ),
    "an unknown handling": (
        lambda root: of_xrays(root, more='[survival]\nafter = ["half", "jpg75"]'),
        "survival.after[1]: 'jpg75' is not a post-processing step. Did you mean 'jpeg75'?",
    ),
    "one handling twice": (
        lambda root: of_xrays(root, more='[survival]\nafter = ["half", "resample0.5"]'),
        "survival.after[1]: 'resample0.5' does the same as 'half'",
    ),
    "rounding floats": (
        lambda root: of_floats(root, "eps = [10]", '[survival]\nafter = ["rounded"]'),
        "survival.after: rounded: the images store floating point",
    ),
    "surviving the unknown": (
        lambda root: edited(of_xrays(root), (BIM, f'{BIM}robust_to = ["jpg75"]\n')),
        "attacks[0].robust_to: 'jpg75' is not a post-processing step",
    ),
    "noise that survives": (
        lambda root: edited(of_xrays(root), ("tries = 2\n", 'tries = 2\nrobust_to = ["jpeg75"]\n')),
        "attacks[1].robust_to: RandomNoise follows no gradient",
    ),
    "a foreign service": (
        lambda root: edited(
            of_xrays(root),
            ('factory = "model.py:build"\n', ""),
            ("[data]", '[model.endpoint]\nurl = "http://example.com/"\n[data]'),
        ),
        "model.endpoint.url: example.com is another machine",
    ),
}


@pytest.mark.parametrize("case", PLANS)
def test_plans_that_cannot_be_meant_are_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, sentence = PLANS[case]
    assert sentence in refused(capsys, "audit", make(tmp_path))
    assert not (tmp_path / "runs" / "plan" / "records").exists()


def test_a_spacing_that_no_file_says_is_the_plans(tmp_path: Path) -> None:
    Image.fromarray((clinic.pattern((32, 28), 0) * 255).astype(np.uint8)).save(tmp_path / "case0.png")
    model = "bounds = [0, 255]\n[model.preprocess]\nsteps = [{resample = [1.0, 1.0]}]"
    path = clinic.plan(tmp_path, ["case0.png"], [0], model, "eps = [3]")
    with pytest.raises(ValueError, match=r"Give data\.spacing in mm"):
        audit(load_plan(path), tmp_path / "run")
    edited(path, ("[data]", "[data]\nspacing = [0.5, 0.5]"))
    assert audit(load_plan(path), tmp_path / "run").status == "finished"
    assert set(map(tuple, RunFolder(tmp_path / "run").frame()["spacing"])) == {(0.5, 0.5)}


GATE = '[[gates]]\nmetric = "robust_accuracy"\nattack = "any"\nat_least = 0.0\neps = '


@pytest.mark.parametrize(
    ("eps", "sentence"),
    [
        ('"300 mm"', "gates[0].eps: '300 mm': the images have no unit"),
        ('"7 stored steps"', "gates[0].eps: 7 stored steps is not one of the budgets of threat.eps. Known are: 300"),
    ],
)
def test_budgets_of_gates_are_those_of_the_images_before_anything_is_attacked(
    eps: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refused(capsys, "audit", of_xrays(tmp_path, more=GATE + eps))
    assert not (tmp_path / "runs" / "plan" / "records").exists()


def test_a_gate_may_write_its_budget_in_another_unit_than_the_threat(tmp_path: Path) -> None:
    clinic.nifti(tmp_path / "case0.nii.gz", 0)  # one stored step is worth 0.5
    more = f'[survival]\nsaved = false\nafter = []\n{GATE}"20 stored steps"'
    plan = clinic.plan(tmp_path, ["case0.nii.gz"], [0], VOLUME, "eps = [10]", more)
    assert audit(load_plan(plan), tmp_path / "run").status == "finished"
    edited(plan, ("20 stored steps", "10 stored steps"))
    with pytest.raises(ValueError, match=r"10 stored steps is not one of the budgets of threat\.eps"):
        audit(load_plan(plan), tmp_path / "other")


# -- exports -------------------------------------------------------------------------------------------------------


def test_exports_with_identifiers_go_when_the_plan_no_longer_asks_for_them(tmp_path: Path) -> None:
    more = '[survival]\nafter = []\n[export]\nimages = "all"\nidentifiers = true'
    for row in range(2):
        clinic.xray(tmp_path / f"case{row}.dcm", row, clinic.SECRETS)
    plan = of_secret(tmp_path, more)
    run = RunFolder(tmp_path / "run")
    audit(load_plan(plan), run.path)
    assert any(b"Mustermann" in file.read_bytes() for file in (run.path / "exports").iterdir())
    outcome = audit(load_plan(edited(plan, ("identifiers = true", "identifiers = false"))), run.path, update=True)
    assert not (run.path / "exports").exists() and run.describe()["exports"] == []
    assert any("Images of finished shards are not kept" in finding.text for finding in outcome.findings)
    again = audit(load_plan(plan), run.path)
    assert [one.text for one in again.findings].count(outcome.findings[-1].text) == 1, "still missing, said once"


def of_secret(root: Path, more: str) -> Path:
    names = ["case0.dcm", "case1.dcm"]
    plan = clinic.plan(root, names, [0, 1], XRAY, "eps = [300]", more)
    return clinic.plan(root, names, clinic.decided(plan), XRAY, "eps = [300]", more)


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for name in ("exports/.abc-1-0.77.new.partial", "exports/.abc-1-0.77.old.partial", ".saving-x.tmp"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "0001.dcm").write_bytes(b"half")
    (tmp_path / "exports" / "abc-1-0").mkdir()
    run.sweep()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["abc-1-0", "exports"]


def test_images_of_an_archive_are_no_exports_and_that_is_said_once_where_it_was_asked_for(tmp_path: Path) -> None:
    archive = {"test_images": np.stack([clinic.pattern((28, 28), row) * 255 for row in range(3)]).astype(np.uint8)}
    plan = clinic.plan(tmp_path, [], [], "bounds = [0, 255]\n[model.preprocess]\nmean = [127]\nstd = [60]", "eps = [9]")
    edited(plan, ('table = "labels.csv"\ngroup = "patient"', 'medmnist = "some.npz"'))
    np.savez(tmp_path / "some.npz", test_labels=np.zeros((3, 1), np.int64), **archive)
    np.savez(tmp_path / "some.npz", test_labels=np.array(clinic.decided(plan))[:, None], **archive)
    silent = audit(load_plan(plan), tmp_path / "shown")
    assert silent.status == "finished" and "exports" not in {finding.subject for finding in silent.findings}
    plan.write_text(plan.read_text() + '[export]\nimages = "all"\n')
    told = audit(load_plan(plan), tmp_path / "all")
    assert [finding.level for finding in told.findings if finding.subject == "exports"] == ["note"]
