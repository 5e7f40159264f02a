"""The evidence folder: complete, harmless, without names of patients, and without a word about conformity."""

import csv
import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from palpate.errors import InputError, StorageError
from palpate.evidence import folder as module
from palpate.evidence import pdf
from palpate.evidence.csv_tables import sheet, tables
from palpate.evidence.folder import MANIFEST, write_evidence
from palpate.evidence.material import Material, People, gather
from palpate.evidence.pages import texts
from palpate.evidence.traceability import retest, threats_of, traced
from palpate.evidence.words import BLANK
from palpate.report.model.schema import Results
from palpate.report.model.schema_compare import Comparison
from palpate.report.model.typed import Figure
from tests.report.artefacts import make_graded
from tests.report.pages import Page
from tests.report.world import HOSTILE

PEOPLE = '[evidence]\ntester = "A. Tester"\npurpose = "grading"\n'


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """A run with hostile names, and a comparison with the run before it."""
    run = make_graded(tmp_path_factory.mktemp("run") / "run", images=10, pictures=0, hostile=True)
    run.plan.write_text(PEOPLE)
    alone = gather(run, People.of(run, {"organisation": "Test House"}))
    (run.path.parent / "compare.json").write_text(_compared(alone.results).model_dump_json())
    return gather(run, alone.people, comparison=run.path.parent)


def _compared(results: Results) -> Comparison:
    """What `palpate compare` may have written, with the names of images."""
    model = {"letter": "A", "folder": "old", "title": "t", "palpate": "1", "created": "", "finished": "", "seed": 0}
    this = {"letter": "B", "created": results.created, "seed": results.seed}
    model |= {"model": results.model, "verdict": "", "quality": "high"}
    lost = {"row": 0, "second_row": 0, "image": f"{HOSTILE}0.png", "label": 0, "first_score": 1.0, "second_score": 0.0}
    switch = {"figure": "clean accuracy", "eps": None, "both": 9, "neither": 0, "gained": [], "lost": [lost], "p": 1.0}
    check = {"name": "attacks of other kinds", "state": "passed", "sentence": "It withstood them.", "figures": {}}
    price = {"name": "clean accuracy", "sentence": "It fell by 10 points.", "worse": True}
    price |= dict.fromkeys(("before", "after", "change", "low", "high"), 0.0)
    verdict = {"word": True, "sentence": "Hardened.", "eps": 1.0, "checks": [check], "price": [price]}
    pair = {"first": "A", "second": "B", "sentence": "B is better.", "details": [], "changes": [], "switches": [switch]}
    intervals = {"level": 0.95, "groups": 10, "clustered": False, "replicates": 10, "seed": 0}
    return Comparison(
        notice="", palpate="1", task=results.task, data=results.data, threat=results.threat, images=10, eps=[1.0],
        headline=1.0, attacks=["fgsm"], runs=[model, {**model, **this}], warnings=[],
        pairs=[{**pair, "hardening": verdict}], intervals=intervals,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report itself has its own tests, and drawing it takes longer than all the rest."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "render", lambda *_, names: f"<html><head>\n<meta charset='utf-8'><title>{names}")
        return write_evidence(material, tmp_path_factory.mktemp("evidence") / "made", pdf=False).folder


def test_everything_is_there_and_the_manifest_fits(folder: Path) -> None:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    wanted = {
        "report.html",
        "test_report.html",
        "texts.md",
        "results.json",
        "junit.xml",
        "traceability.csv",
        "plan.toml",
    }
    wanted |= {"tables/images.csv", "tables/attacks.csv", "tables/classes.csv", "comparison/compare.html"}
    assert wanted <= set(files)
    lines = files.pop(MANIFEST).read_text().splitlines()
    found = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert {line.split("  ")[1]: line.split("  ")[0] for line in lines} == found


def test_no_file_says_that_anything_complies(folder: Path) -> None:
    for path in folder.rglob("*.*"):
        assert b"complian" not in path.read_bytes().lower() and b"complies" not in path.read_bytes().lower(), path


def test_names_of_images_are_hidden_unless_asked_for(folder: Path, material: Material) -> None:
    names = {f"{HOSTILE}{row}.png" for row in range(10)}
    with (folder / "tables" / "images.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert (
        len(rows) == 10 * 5
        and rows[0]["image"] == f"image {rows[0]['row']}" == "image 0"
        and rows[0]["group"] == "group 1"
    )
    assert not any(".png" in path.read_text() for path in (folder / "comparison").iterdir())
    shown = tables(replace(material, names=True))["images.csv"].decode()
    assert {row["image"] for row in csv.DictReader(io.StringIO(shown, newline=""))} == names


def test_the_test_report_runs_nothing_and_marks_what_a_person_must_write(folder: Path) -> None:
    page = Page((folder / "test_report.html").read_text())
    assert page.all("script") == [] and page.all("img") == [] and page.all("link") == []
    assert "A. Tester" in page.text and "Test House" in page.text
    assert page.text.count(BLANK) == 3, "product, its version, independence"
    assert "Weakness that it adds" in page.text and "Signature" in page.text


def test_names_are_text_in_markdown_too(folder: Path, material: Material) -> None:
    text = (folder / "texts.md").read_text()
    assert "<" not in text and "&lt;img src=x" in text and BLANK in text
    assert "at most 1 in each stored value: decided" in text and "missed disease: " in text
    assert (
        "sites: not known" in text and "| Robust accuracy, all attacks together, changes of at most 4 in each" in text
    )
    hostile = replace(material, people=People(tester="a | b `c`\n# d [e](f)"))
    assert "| Tested by | a \\| b \\`c\\` # d [e\\](f), " in texts(hostile).decode()
    assert "`" not in Page((folder / "test_report.html").read_text()).text
    assert b"untargeted,robust accuracy,4.0" in tables(material)["worst_case.csv"]


def test_no_cell_is_a_formula() -> None:
    lines = sheet(["a"], [["=1+1"], ["@x"], ["-x"], [-2.5], [float("nan")]]).decode().splitlines()
    assert lines == ["a", "'=1+1", "'@x", "'-x", "-2.5", '""']


def test_findings_are_traced_to_threats(material: Material) -> None:
    rows = {row.subject: row for row in traced(material, Path("evidence"))}
    assert {row.threat for row in rows.values() if " succeeds on " in row.finding} == {"AML.T0015; AML.T0043.000"}
    assert any(row.threat == "AML.T0041; AML.T0015" for row in rows.values()), "artefacts"
    attack = material.results.attacks[0]
    beaten = attack.points[-1].model_copy(update={"success_rate": Figure(value=0, low=0, high=0.3, method="Wilson")})
    weak = attack.model_copy(update={"points": [beaten]})
    results = material.results.model_copy(update={"attacks": [weak]})
    row = next(row for row in traced(replace(material, results=results), Path("evidence")) if row.subject == weak.name)
    assert "no effect found" in row.finding and row.control == ""
    assert threats_of(attack.model_copy(update={"catalog": "transfer"}))[1] == "AML.T0043.002"
    square = attack.model_copy(update={"catalog": "square", "kind": "gradient-free"})
    assert threats_of(square)[1] == "AML.T0043.001"
    assert threats_of(attack.model_copy(update={"catalog": "noise"})) == ("AML.T0015",)
    assert any(row.where == "comparison/compare.html" for row in rows.values())


def test_the_command_that_tests_again_fits_the_folder(material: Material, tmp_path: Path) -> None:
    run = material.run
    assert retest(run, run.path / "evidence")[0].startswith("palpate audit ../plan.toml --out ../../run-retest")
    command, where = retest(run, tmp_path)
    assert command.startswith("palpate audit plan.toml --out ../run-retest") and where == "the run folder run"


def test_a_folder_of_others_and_a_comparison_of_others_are_refused(material: Material, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("mine")
    with pytest.raises(StorageError, match="other files"):
        write_evidence(material, tmp_path / "thesis", pdf=False)
    again = tmp_path / "again"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "render", lambda *_, names: f"{names}")
        write_evidence(material, again, pdf=False)
        files = write_evidence(replace(material, comparison=None), again, pdf=False).files
        assert {path.relative_to(again).as_posix() for path in again.rglob("*.*")} == set(files)
        unsigned = (again / "test_report.html").read_bytes()
        (again / "test_report.html").write_bytes(unsigned + b"signed")
        with pytest.raises(StorageError, match=r"test_report\.html was changed"):
            write_evidence(material, again, pdf=False)
        (again / "test_report.html").write_bytes(unsigned)
        (again / "tables" / "mine.csv").write_text("mine")
        with pytest.raises(StorageError, match=r"such as tables/mine\.csv"):
            write_evidence(material, again, pdf=False)
    assert (again / "texts.md").is_file(), "nothing is removed then"
    assert material.comparison is not None
    model = material.results.model.model_copy(update={"sha256": "cd" * 32})
    for other in ({"model": model}, {"created": "2026-11-19T09:12:44+00:00"}):
        others = [one.model_copy(update=other) for one in material.comparison.runs]
        compared = material.comparison.model_copy(update={"runs": others})
        (tmp_path / "compare.json").write_text(compared.model_dump_json())
        with pytest.raises(InputError, match="other runs"):
            gather(material.run, People(), comparison=tmp_path)


def test_a_browser_prints_a_page_whose_scripts_and_requests_are_forbidden(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = tmp_path / "chromium"
    loop = "for a; do case $a in --print-to-pdf=*) out=${a#*=};; file:*) page=${a#file://};; esac; done"
    browser.write_text(f'#!/bin/sh\n{loop}\ncp "$page" "$out"; echo "$@" > "$out.called"\n')
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert pdf.printer() == str(browser)
    assert pdf.print_page(folder / "report.html", tmp_path / "a.pdf", str(browser)) == ""
    head = (tmp_path / "a.pdf").read_text().partition("<title>")[0]
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in head.partition("<meta charset")[0]
    called = (tmp_path / "a.pdf.called").read_text()
    assert "--host-resolver-rules=MAP * ~NOTFOUND" in called and "--proxy-server=" in called


def test_a_stopped_printer_leaves_nothing_that_the_manifest_does_not_list(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(page: Path, made: Path, by: str) -> str:
        made.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "render", lambda *_, names: "<html><head>")
    monkeypatch.setattr(module, "printer", lambda: "chromium")
    monkeypatch.setattr(module, "print_page", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_evidence(material, tmp_path / "made")
    monkeypatch.setattr(module, "print_page", lambda page, made, by: str(made.write_bytes(b"whole"))[:0])
    # The folder is known as palpate's, so the same command goes on.
    files = write_evidence(material, tmp_path / "made").files
    listed = (tmp_path / "made" / MANIFEST).read_text()
    assert {"report.pdf", "test_report.pdf"} <= set(files) and all(f"  {name}\n" in listed for name in files)


def test_weasyprint_may_load_what_the_page_holds_and_nothing_else() -> None:
    loaded = pdf.fetch("data:image/png;base64,aGFsbG8%3D")
    assert loaded["string"] == b"hallo" and loaded["mime_type"] == "image/png"
    for url in ("https://example.org/a.png", "file:///etc/hosts", "data:text/css,a"):
        with pytest.raises(ValueError, match="holds all that it shows"):
            pdf.fetch(url)
