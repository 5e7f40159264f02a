"""The gates, commands and Python of the page about comparisons can be used as they are printed."""

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

import palpate
from palpate.cli import app
from palpate.report.compute.compare.gates import parse_gate, read_gates
from palpate.report.compute.hardening.judge import judge
from palpate.storage.runs import RunFolder
from tests.report.pair import make_pair

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, TUTORIAL = ((DOCS / name).read_text() for name in ("howto/compare.md", "tutorial/repair.md"))


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_gate_of_the_page_can_be_read(tmp_path):
    gates = [word for text in blocks("sh") for word in re.findall(r'--gate "([^"]+)"', text)]
    gates += re.findall(r'--gate "([^"]+)"', TUTORIAL)
    assert len(gates) == 6 and all(parse_gate(gate).figure.endswith("accuracy") for gate in gates)
    (text,) = blocks("toml")
    (tmp_path / "gates.toml").write_text(text)
    first, second = read_gates(tmp_path / "gates.toml")
    assert first.limit == 1 and second.of == "each structure" and second.by == "interval"


def test_commands_and_python_run_as_printed(tmp_path, monkeypatch):
    make_pair(tmp_path / "runs", images=20, attacks=("fgsm", "pgd"))
    (tmp_path / "runs" / "old").rename(tmp_path / "runs" / "before")
    (tmp_path / "runs" / "new").rename(tmp_path / "runs" / "after")
    monkeypatch.chdir(tmp_path)
    command, _ = blocks("sh")
    assert CliRunner().invoke(app, shlex.split(command)[1:]).exit_code == 0
    assert (tmp_path / "runs" / "compare-before-after" / "compare.html").is_file()
    found = palpate.compare("runs/before", "runs/after", gates=["robust accuracy: at most 1 point worse"])
    verdict = judge(RunFolder(Path("runs/before")), RunFolder(Path("runs/after")))
    assert f"`{found.place.name}`" in PAGE
    for check in verdict.reasons:
        assert f"| {check.name} |" in PAGE
    for text in blocks("python"):
        exec(compile(text, "page", "exec"), {})
