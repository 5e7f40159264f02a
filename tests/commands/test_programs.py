"""What programs read: JSON alone on stdout, the gates as JUnit, and a dry run that writes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from palpate import catalog, cli
from palpate.commands.cite import entries
from tests.audit import tiny
from tests.audit.run.test_copies import PLAN

GATE = '[[gates]]\nmetric = "clean_accuracy"\nat_least = 0.99\n'

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(
        tmp_path_factory.mktemp("programs") / "study", PLAN.replace("[run]", "[run]\nbatch = 5\nshard = 5") + GATE
    ).origin


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process: exit status, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_a_dry_run_counts_and_writes_nothing(plan: Path, call: Call) -> None:
    before = sorted(plan.parent.rglob("*"))
    status, out, _ = call("audit", plan, "--dry-run", "--json")
    found = json.loads(out)
    assert status == 0 and found["images"] == 12 and found["shards"] == 3 and found["stored"] == 0
    assert [one["effort"] for one in found["attacks"]] == [1] and found["gates"] == ["clean accuracy: at least 0.99"]
    _, text, _ = call("audit", plan, "--dry-run")
    assert "12 images, 2 budgets (6/255, 16/255)" in text and "palpate estimate" in text
    assert sorted(plan.parent.rglob("*")) == before


def test_an_audit_prints_json_alone_and_its_gates_as_junit(plan: Path, call: Call, tmp_path: Path) -> None:
    status, out, err = call("audit", plan, "--json", "-v", "--junit", tmp_path / "gates.xml")
    found = json.loads(out)
    assert status == found["exit"] == 1 and not found["passed"] and found["shards"] == {"stored": 3, "total": 3}
    assert err.count(" done: fgsm, images") == 3
    assert ElementTree.parse(tmp_path / "gates.xml").getroot().attrib["failures"] == "1"
    _, shown, _ = call("show", found["folder"], "--json")
    assert json.loads(shown) == json.loads(Path(found["results"]).read_text())


def test_facts_as_json(plan: Path, call: Call, tmp_path: Path) -> None:
    _, out, _ = call("describe", plan.parent / "image0.png", "--json")
    assert json.loads(out)["shape"] == [1, 8, 8]
    _, out, _ = call("init", plan.parent, "--out", tmp_path / "first.toml", "--json")
    found = json.loads(out)
    assert Path(found["plan"]).is_file() and {"seen", "fill_in", "check"} < set(found)
    for name in ("attacks", "artefacts", "defences", "post-processing", "formats", "recipes"):
        assert all(one["name"] for one in json.loads(call("list", name, "--json")[1]))


def test_every_attack_is_cited_with_author_and_title() -> None:
    for entry in catalog.attacks().values():
        for text in entries(entry.name, entry.reference):
            assert "author = {" in text and "title = {{" in text and "note" not in text, entry.name
            authors = text.partition("author = {")[2].partition("}")[0].replace(" and others", " et al.")
            assert authors.split(" and ")[0] in entry.reference
    assert len(entries("dice-pgd", catalog.find("dice-pgd").reference)) == 2
