"""What the how-to on the clinic's files shows is what palpate does."""

import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.cli import main
from palpate.data.formats.registry import header_of
from palpate.errors import PalpateError
from palpate.report.page.html import write_report
from palpate.storage.runs import RunFolder
from tests import clinic

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "howto" / "clinic.md").read_text()
MAKE, MODEL, RELOAD = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PLAN, XRAY, JPEG, NIFTI = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
MISTAKES = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", PAGE.partition("## Mistakes")[2], re.MULTILINE)[2:]
FEWER_PASSES = "\n[quality]\nimages = 0\n\n[stability]\nimages = 1\nstarts = 1\n"
"""A test of the page needs no probes, and one trace."""
BUDGETS = 'eps = ["8 HU", "2% of window"]'


def edited(text: str, *edits: tuple[str, str]) -> str:
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the page's script writes, with its model and its plan; fewer series of fewer slices."""
    root = tmp_path_factory.mktemp("howto")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        exec(edited(MAKE, ("range(4)", "range(2)"), ("16:28", "16:24")), {})
    (root / "clinic" / "model.py").write_text(MODEL)
    (root / "clinic" / "plan.toml").write_text(PLAN)
    return root / "clinic"


def test_describe_says_what_the_page_shows(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["describe", str(made / "ct0")])
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert capsys.readouterr().out == edited(shown, ("x 12 x", "x 8 x"))


def test_the_plan_leads_to_a_report_and_to_exports(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = made / "quick.toml"
    fewer = [("steps = 10", "steps = 1"), ("tries = 2", "tries = 1"), (BUDGETS, 'eps = ["30 HU"]')]
    fewer += [('mask = "mask"', 'mask = "mask"\nlimit = 1'), ('"8bit", ', ""), ('"jpeg2000", "half", ', "")]
    quick.write_text(edited(PLAN, *fewer) + FEWER_PASSES)
    run = RunFolder(made / "runs" / "plan")
    assert audit(load_plan(quick), run.path).status == "finished"
    page = write_report(run).read_text()
    table = PAGE.partition("## 5.")[2].partition("## 6.")[0]
    sections = re.findall(r"^\| ([A-Z][^|]+) \| [^|]+ \| [^|]+ \|$", table, re.MULTILINE)
    assert len(sections) == 7
    found = [re.sub("<[^>]*>", "", title) for title in re.findall(r"<h[23][^>]*>(.*?)</h[23]>", page)]
    places = [found.index(name) for name in sections if name != "Sites and scanners"]
    assert places == sorted(places), "in the order of the report"
    monkeypatch.chdir(made.parent)
    exec(RELOAD, {})
    said = capsys.readouterr().out
    assert said.count("SYNTHETIC^PALPATE") == len(run.describe()["exports"]) > 0
    assert "MRN" not in said and "DERIVED" in said


def test_2_percent_of_the_window_is_what_the_page_says(made: Path) -> None:
    assert load_plan(made / "plan.toml").radii == (8.0, 30.0)


def test_single_slices_are_audited_by_the_network_itself(made: Path) -> None:
    (row,) = re.findall(r"`(ct0/\S+,\S+)`", PAGE)
    (made / "slices.csv").write_text(f"file,mask\n{row}\n")
    (factory,) = re.findall(r'`(factory = "model.py:load")`', PAGE)
    text = edited(
        PLAN, ('factory = "model.py:build"', factory), ("images.csv", "slices.csv"), ("steps = 10", "steps = 1")
    )
    (made / "slices.toml").write_text(text + FEWER_PASSES)
    assert audit(load_plan(made / "slices.toml"), made / "runs" / "slices").status == "finished"


IN_THE_PLAN: tuple[tuple[tuple[str, str], ...], ...] = (
    ((BUDGETS, 'eps = ["0.4 HU"]'),),
    ((BUDGETS, 'eps = ["5 mGy"]'),),
    (('mask = "mask"', 'mask = "mask"\nunit = "mGy"'),),
    (("  {window = {centre = -500, width = 1500}},\n", ""),),
    (("width = 1500", "width = 0"),),
    (("bounds = [-1024, 3071]", "bounds = [0, 255]"), (BUDGETS, "eps = [8]")),
    (("inside body", "inside liver"),),
    (('robust_to = ["jpeg75"', 'robust_to = ["jpg75"'),),
    (('mask = "mask"', 'mask = "file"'),),
)


@pytest.mark.parametrize(
    ("edits", "said"), list(zip(IN_THE_PLAN, [said for _, said in MISTAKES], strict=False)), ids=lambda one: None
)
def test_mistakes_in_the_plan(edits: tuple[tuple[str, str], ...], said: str, made: Path) -> None:
    (made / "wrong.toml").write_text(edited(PLAN, *edits))
    with pytest.raises(PalpateError) as refused:
        audit(load_plan(made / "wrong.toml"), made / "runs" / "wrong")
    assert said in str(refused.value)
    assert not list((made / "runs").glob("wrong/records/*"))


def _changed(path: Path, **values: object) -> None:
    file = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(file, name, value)
    file.save_as(path)


def _without_pixels(folder: Path) -> Path:
    file = pydicom.dcmread(folder / "0000.dcm")
    del file.PixelData
    file.save_as(folder / "0000.dcm")
    return folder / "0000.dcm"


def _cut_off(folder: Path) -> Path:
    (folder / "0000.dcm").write_bytes((folder / "0000.dcm").read_bytes()[:9000])
    return folder / "0000.dcm"


def _huge(folder: Path) -> Path:
    _changed(folder / "0000.dcm", Rows=60000, Columns=60000)
    return folder / "0000.dcm"


def _missing(folder: Path) -> Path:
    (folder / "0005.dcm").unlink()
    return folder


def _mixed(folder: Path) -> Path:
    shutil.copy(folder.parent / "ct1" / "0003.dcm", folder / "other.dcm")
    return folder


def _uneven(folder: Path) -> Path:
    _changed(folder / "0003.dcm", PixelSpacing=[1, 1])
    return folder


IN_THE_FILES: tuple[Callable[[Path], Path], ...] = (_missing, _mixed, _uneven, _without_pixels, _cut_off, _huge)


@pytest.mark.parametrize(
    ("damage", "said"), list(zip(IN_THE_FILES, [said for _, said in MISTAKES[len(IN_THE_PLAN) :]], strict=True))
)
def test_mistakes_in_the_files(damage: Callable[[Path], Path], said: str, made: Path, tmp_path: Path) -> None:
    for name in ("ct0", "ct1"):
        shutil.copytree(made / name, tmp_path / "clinic" / name)
    with pytest.raises(PalpateError) as refused:
        header_of(damage(tmp_path / "clinic" / "ct0"))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "make", "name", "arguments"),
    [
        (XRAY, clinic.xray, "case.dcm", "{}"),
        (JPEG, clinic.jpeg, "case.jpg", "{channels = 3}"),
        (NIFTI, clinic.nifti, "case.nii.gz", "{axes = 3}"),
    ],
    ids=["X-ray", "JPEG", "NIfTI"],
)
def test_other_files_are_audited(
    text: str, make: Callable[[Path, int], None], name: str, arguments: str, tmp_path: Path
) -> None:
    make(tmp_path / name, 0)
    (tmp_path / "model.py").write_text(clinic.MODEL)
    (tmp_path / "images.csv").write_text(f"file,label,hospital\n{name},0,north\n")
    rest = '[task]\nkind = "multiclass"\nclasses = ["a", "b", "c"]\n[[attacks]]\nattack = "bim"\nsteps = 2\n'
    path = tmp_path / "plan.toml"
    path.write_text(edited(text, (':build"\n', f':build"\narguments = {arguments}\n')) + rest)
    (right,) = clinic.decided(path)
    (tmp_path / "images.csv").write_text(f"file,label,hospital\n{name},{right},north\n")
    run = RunFolder(tmp_path / "run")
    assert audit(load_plan(path), run.path).status == "finished"
    frame = run.frame()
    assert frame["eligible"].all() and (frame["linf"] > 0).any()
    assert (frame["site"] == ("north" if "site" in tomllib.loads(text)["data"] else "")).all()
