"""The how-to on artefacts, word by word: its plan and gates are audited, its code runs."""

import re
import sys
import tomllib
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from palpate.artefacts import catalog
from palpate.audit.demo.folder import write_demo
from palpate.audit.plan.artefacts import artefact_items
from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.checks import ContractError, check_artefact
from palpate.cli import main
from palpate.storage.runs import RunFolder

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "howto" / "artefacts.md").read_text()
PLAN, GATES, PACKAGE = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
NOTEBOOK, OWN = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
LISTS, PREVIEWS = (block.splitlines() for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
MODEL = """
from torch import nn

def build():
    return nn.Conv2d(1, 4, 3, padding=1)
"""
SHORT = "draws = 1\ntries = 2\nevolution = 2\npolish = 0\nbisection = 1\n"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """The demo's plan with the artefacts and gates of the page."""
    path = write_demo(tmp_path, "segmentation", images=1)
    (path.parent / "model.py").write_text(MODEL)
    text = path.read_text()
    head, gates = text[: text.index("[[attacks]]")], text.index("[[gates]]")
    path.write_text(f"{head}{PLAN}{GATES}{text[text.index('[survival]') : gates]}")
    return path


def test_the_plan_is_audited_with_its_gates(plan: Path) -> None:
    text = plan.read_text().replace("evolution = 50 ", "#").replace("\n\n[[artefacts]]", f"\n{SHORT}\n[[artefacts]]")
    text = text.replace("any_modality = false", f"{SHORT}#")
    assert text.count(SHORT) == 3
    few = '[[attacks]]\nattack = "noise"\ntries = 1\n'
    plan.write_text(text.replace("\n[threat]", f"\n{few}\n[threat]"))
    outcome = audit(load_plan(plan), plan.parent / "run")
    assert outcome.status == "finished" and len(outcome.gates) == 2
    assert ["severity 3" in outcome.gates[0].text, "worst" in outcome.gates[1].text] == [True, True]
    frame = RunFolder(plan.parent / "run").artefact_frame()
    assert set(frame["artefact"]) == {"metal", "low-dose", "metal at low dose"}


def test_an_artefact_costs_what_the_page_says(plan: Path) -> None:
    plan.write_text(plan.read_text() + '[[attacks]]\nattack = "fgsm"\n')
    metal, *_ = artefact_items(load_plan(plan))
    drawn = sum(count for _, count in metal.ladder.drawn(2))
    asked = 1 + drawn + metal.ladder.evolution + metal.ladder.polish + metal.ladder.bisection
    assert f"an artefact costs {asked} questions" in PAGE


def run(command: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(command.split()[1:])
    return int(ended.value.code or 0)


def test_the_commands_run(plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plan.write_text(plan.read_text() + '[[attacks]]\nattack = "fgsm"\n')
    monkeypatch.chdir(plan.parent)
    assert [run(command) for command in (*LISTS, PREVIEWS[1].replace("--images 5", "--images 1"))] == [0, 0, 0]
    assert "low-dose" in capsys.readouterr().out and (plan.parent / "metal.png").is_file()
    assert run(f"{PREVIEWS[0]} --images 1") == 0
    names = {path.name for path in (plan.parent / "preview").iterdir()}
    assert names == {"metal.png", "low-dose.png", "metal-at-low-dose.png"}


def test_the_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    exec(NOTEBOOK, {})
    said = capsys.readouterr().out
    assert "torch.Size([2, 1, 128, 128])" in said and "diameter 6 mm" in said and "material iron" in said


def test_an_artefact_of_ones_own_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("my_package")
    exec(OWN, module.__dict__)
    monkeypatch.setitem(sys.modules, "my_package", module)
    ((name, value),) = tomllib.loads(PACKAGE)["project"]["entry-points"]["palpate.artefacts"].items()
    point = EntryPoint(name, value, catalog.ENTRY_POINT_GROUP)
    monkeypatch.setattr(catalog, "entry_points", lambda group: [point] if group == catalog.ENTRY_POINT_GROUP else [])
    catalog.artefacts.cache_clear()
    try:
        assert catalog.make(name) == module.WeakRow() and catalog.find(name) in catalog.of_modality("xray")
    finally:
        catalog.artefacts.cache_clear()


def test_the_check_of_the_page_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = OWN.replace("* (image - scene.bounds[0])", "* 300 * 0 + 7")
    assert broken != OWN
    with pytest.raises(ContractError):
        exec(broken, {"__name__": "my_package"})
    assert check_artefact.__name__ in OWN
